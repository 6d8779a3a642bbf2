package owed_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/owed"
)

// A record that was replaced after it was read stays; otherwise Forget removes it.
func TestForget(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "owed")
	add := func(missing string) {
		t.Helper()
		if err := owed.Add(dir, owed.Key{Tenant: "acme", Name: "openrouter", Missing: []string{missing}, Since: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	list := func() []owed.Key {
		t.Helper()
		list, err := owed.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	add("old")
	read := list()
	add("new")
	read[0].Forget()
	if now := list(); len(now) != 1 || now[0].Missing[0] != "new" {
		t.Errorf("after another put: %+v", now)
	}
	list()[0].Forget()
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// The oldest record comes first, and one of another object replaces none.
func TestList(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"second", "first"} {
		if err := owed.Add(dir, owed.Key{Name: name, Since: time.Unix(int64(10-i), 0)}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := owed.List(dir)
	if err != nil || len(list) != 2 || list[0].Name != "first" || list[1].Ref().Name != "second" {
		t.Errorf("%+v, %v", list, err)
	}
	if none, err := owed.List(filepath.Join(dir, "absent")); err != nil || len(none) > 0 {
		t.Errorf("%+v, %v", none, err)
	}
}
