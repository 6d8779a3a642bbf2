package memfs_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// A long history can be listed while another process keeps replacing the object: the list is a consistent
// snapshot, and never fails with "try again".
func TestHistoryOfBusyObject(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes a long history first")
	}
	const before, lists = 600, 10
	dir := t.TempDir()
	open := func() *vault.Store {
		s, err := memfs.Open(t.Context(), memfs.Config{Dir: dir, Versions: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	reader, writer := open(), open()
	for i := range before {
		if err := writer.Bucket.WriteAll(t.Context(), "a", fmt.Append(nil, i), nil); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		n := 0
		for ctx.Err() == nil {
			if err := writer.Bucket.WriteAll(context.WithoutCancel(ctx), "a", []byte("x"), nil); err != nil {
				done <- err
				return
			}
			n++
		}
		if n == 0 {
			done <- fmt.Errorf("the other process wrote nothing")
			return
		}
		done <- nil
	}()
	for range lists {
		n, last := 0, "g"
		for v, err := range reader.History.Versions(t.Context(), "a") {
			if err != nil {
				t.Fatal(err)
			}
			if v.Current != (n == 0) || v.ID >= last {
				t.Errorf("version %d: %+v after %s", n, v, last)
			}
			n, last = n+1, v.ID
		}
		if n < before {
			t.Errorf("%d versions, want at least %d", n, before)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
