package main

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// TestSaveAll: if the spool has no room for a second copy of an output, the first one makes room.
func TestSaveAll(t *testing.T) {
	open := func(c spool.Config) *recording {
		sp, err := spool.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		return &recording{spool: sp, ref: envelope.Ref{Collection: string(vault.DefaultCollection), Name: "a"}}
	}
	c := spool.Config{Dir: t.TempDir(), Store: "store", Total: 1}
	if _, err := open(c).save("none"); err != nil { // creates the directories, whose sizes count
		t.Fatal(err)
	}
	r := open(c)
	aside, err := r.spool.Aside(t.Context())
	if err != nil || len(aside) != 1 {
		t.Fatal(aside, err)
	}
	r.spool.Forget(aside[0].Entry.ID)
	files, err := os.ReadDir(r.spool.Dir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		fi, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		c.Total += fi.Size()
	}
	r = open(c) // it has room for one entry
	for _, text := range []string{"start, ", "end"} {
		if _, err := io.WriteString(r, text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.save("again"); !errors.Is(err, vault.ErrNoSpace) {
		t.Fatalf("the spool has room for two: %v", err)
	}
	id, err := r.saveAll("no match")
	if err != nil {
		t.Fatal(err)
	}
	value, err := r.spool.OpenValue(t.Context(), id, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer value.Close()
	if text, err := io.ReadAll(value); err != nil || string(text) != "start, end" {
		t.Errorf("%q, %v", text, err)
	}
	if aside, err := r.spool.Aside(t.Context()); err != nil || len(aside) != 1 || aside[0].Reason != "no match" {
		t.Errorf("%+v, %v", aside, err)
	}
}
