package tencent_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/vault"
)

// TestSwapOnLoser: while the loser of a race removes its version, another writer must not swap that
// version, because the new value would be lost with it.
func TestSwapOnLoser(t *testing.T) {
	for _, created := range []bool{false, true} {
		s := newServer(t, &costest.Options{Versioning: "Enabled"})
		winner, loser, third := open(t, config(s, owner(s))), open(t, config(s, owner(s))), open(t, config(s, owner(s)))
		write := func(st *vault.Store, tag, value string) error {
			if tag == "" {
				_, err := st.Create.Create(context.Background(), "key", fill(value))
				return err
			}
			_, err := st.Swap.Swap(context.Background(), "key", tag, fill(value))
			return err
		}
		tag := ""
		if !created {
			var err error
			if tag, err = winner.Put.Put(t.Context(), "key", fill("first")); err != nil {
				t.Fatal(err)
			}
		}
		var put, undo atomic.Bool
		built := errors.New("not tried")
		s.SetRule(func(r *costest.Request) *costest.Fault {
			switch {
			case r.Action == "PutObject" && put.CompareAndSwap(false, true): // the loser's put
				if err := write(winner, tag, "winner"); err != nil {
					t.Error(err)
				}
			case r.Action == "DeleteObject" && undo.CompareAndSwap(false, true): // removes the loser's version
				value, on := readTag(t, third)
				if value != "loser" {
					t.Errorf("the current value is %q", value)
				}
				built = write(third, on, "third")
			}
			return nil
		})
		lost := write(loser, tag, "loser")
		s.SetRule(nil)
		if !errors.Is(lost, vault.ErrExist) && !errors.Is(lost, vault.ErrConflict) {
			t.Errorf("the losing write: %v", lost)
		}
		if !errors.Is(built, vault.ErrConflict) {
			t.Errorf("a swap based on the loser's value: %v, want %v", built, vault.ErrConflict)
		}
		value, on := readTag(t, third)
		if value != "winner" {
			t.Errorf("afterwards the value is %q", value)
		}
		if err := write(third, on, "third"); err != nil {
			t.Errorf("a swap based on the winner's value: %v", err)
		}
	}
}

// TestSwapOnDeadLoser: if the losing process was killed, its value stays. After some time, other
// writers can swap it like any other value.
func TestSwapOnDeadLoser(t *testing.T) {
	var ahead atomic.Int64
	s := newServer(t, &costest.Options{Versioning: "Enabled", Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	st := open(t, config(s, owner(s)))
	var put atomic.Bool
	s.SetRule(func(r *costest.Request) *costest.Fault {
		switch {
		case r.Action == "PutObject" && put.CompareAndSwap(false, true):
			if _, err := st.Put.Put(context.Background(), "key", fill("winner")); err != nil {
				t.Error(err)
			}
		case r.Action == "DeleteObject":
			return costest.DropBefore()
		}
		return nil
	})
	if _, err := st.Create.Create(t.Context(), "key", fill("loser")); !errors.Is(err, vault.ErrUnsure) {
		t.Fatalf("create: %v, want %v", err, vault.ErrUnsure)
	}
	s.SetRule(nil)
	_, on := readTag(t, st)
	if _, err := st.Swap.Swap(t.Context(), "key", on, fill("new")); !errors.Is(err, vault.ErrConflict) {
		t.Errorf("at once: %v, want %v", err, vault.ErrConflict)
	}
	ahead.Store(int64(2 * time.Minute))
	if _, err := st.Swap.Swap(t.Context(), "key", on, fill("new")); err != nil {
		t.Errorf("later: %v", err)
	}
}

func readTag(t *testing.T, st *vault.Store) (value, tag string) {
	t.Helper()
	r, err := st.Bucket.NewReader(context.Background(), "key", nil)
	if err != nil {
		t.Error(err)
		return "", ""
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return string(b), st.Tag(r)
}
