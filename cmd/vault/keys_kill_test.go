//go:build !windows

package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// TestKillRewrap: a rewrap that is killed at any moment leaves each object readable, with the old key or
// the new one, and the next run completes it.
func TestKillRewrap(t *testing.T) {
	const objects, large, rounds = 60, 3, 12
	if testing.Short() {
		t.Skip("it starts and kills many processes")
	}
	h := newHome(t)
	data := filepath.Join(h.dir, ".local/share/objectvault")
	next := "local://" + filepath.Join(data, "next.key")
	h.run(nil, 0, "init", "--keys", next)
	source := func(name string) envelope.KeySource {
		l, err := kek.OpenFile(filepath.Join(data, name))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	before, after := source("root.key"), source("next.key")
	open := func(keys ...envelope.KeySource) *vault.Vault {
		store, err := memfs.Open(t.Context(), memfs.Config{Dir: filepath.Join(data, "store")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		v, err := vault.New(store, vault.DefaultTenant, keys, nil)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	value := func(i int) string {
		if i < large {
			return strings.Repeat(fmt.Sprint(i), 17<<20)
		}
		return fmt.Sprint("sk-", i)
	}
	v := open(before)
	for i := range objects {
		if _, err := v.Put(t.Context(), vault.Name(fmt.Sprint("name-", i)), strings.NewReader(value(i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	check := func(v *vault.Vault) {
		t.Helper()
		for i := range objects {
			got, _, err := v.ReadAll(context.WithoutCancel(t.Context()), vault.Name(fmt.Sprint("name-", i)), &vault.ReadAllOptions{Limit: 32 << 20})
			if err != nil || string(got) != value(i) {
				t.Errorf("name-%d: %d bytes, %v", i, len(got), err)
			}
		}
	}
	killed := 0
	for round := range rounds {
		args := []string{"keys", "rewrap", "--add", next, "--remove", "local:"}
		if round%2 == 1 {
			args = []string{"keys", "rewrap", "--keys", next, "--add", "local:", "--remove", next}
		}
		args = append(args, "--keys", "local:", "--keys", next)
		cmd := h.command(args...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range rand.IntN(objects / 2) {
			if !lines.Scan() {
				break
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		// Kill also succeeds for a process that has ended. One that was killed has no exit code.
		switch code := cmd.ProcessState.ExitCode(); code {
		case -1:
			killed++
		case 0:
		default:
			t.Errorf("a rewrap ended with exit code %d", code)
		}
		check(open(before, after))
	}
	if killed < rounds/2 {
		t.Errorf("only %d of %d runs were killed", killed, rounds)
	}
	h.run(nil, 0, "keys", "rewrap", "--keys", "local:", "--keys", next, "--add", next, "--remove", "local:")
	check(open(after))
	if _, err := open(before).Stat(t.Context(), "name-5"); err == nil {
		t.Error("the removed key still opens an object")
	}
}
