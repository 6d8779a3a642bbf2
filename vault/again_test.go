package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/vault"
)

// A contested store fails the first n writes after it has consumed their bytes.
type contested struct {
	vault.Store
	cause  vault.Cause
	n      int
	writes int
}

func (c *contested) Create(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	if c.writes++; c.writes > c.n {
		return c.Store.Create.Create(ctx, key, fill)
	}
	if err := fill(io.Discard); err != nil {
		return "", err
	}
	return "", &c.cause
}

// TestNewUpload: if the store needs a new upload, Put seeks a streamed value back to where it
// started. If the reader cannot seek, the error states that nothing was stored.
func TestNewUpload(t *testing.T) {
	const size = 3 << 20
	text := strings.Repeat("0123456789abcdef", size/16)
	conflict := vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.WriteConflict, Effect: vault.NotApplied}
	aborted := vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.UploadAborted, Effect: vault.NotApplied}
	unsent := vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.Unreachable, Effect: vault.NotApplied}
	lost := vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.Unreachable}
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, []byte("skipped"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	openFile := func() io.Reader {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		if _, err := f.Seek(int64(len("skipped")), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		return f
	}
	pipe := func() io.Reader {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		go func() {
			defer w.Close()
			io.WriteString(w, text)
		}()
		return r
	}
	memory := func() io.Reader { return strings.NewReader(text) }
	for _, tc := range []struct {
		name   string
		value  func() io.Reader
		cause  vault.Cause
		fail   int
		writes int
		stored bool
		again  bool // the error asks the caller to put the value again
	}{
		{"value in memory", memory, conflict, 2, 3, true, false},
		{"file that is read from its middle", openFile, conflict, 1, 2, true, false},
		{"another client aborts the upload", openFile, aborted, 1, 2, true, false},
		{"every attempt conflicts", memory, conflict, 100, 3, false, false},
		{"stream without Seek", func() io.Reader { return io.LimitReader(memory(), size) }, conflict, 1, 1, false, true},
		{"pipe", pipe, conflict, 1, 1, false, true},
		{"outcome unknown", memory, lost, 1, 1, false, false},
		{"request not sent, value in a file", openFile, unsent, 2, 3, true, false},
		{"request not sent, value from a pipe", pipe, unsent, 1, 1, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStore(t)
			c := &contested{Store: *s, cause: tc.cause, n: tc.fail}
			front := *s
			front.Create = c
			v := newVault(t, &front, nil)
			_, err := v.Put(t.Context(), "a", tc.value(), &vault.PutOptions{Create: true})
			if c.writes != tc.writes {
				t.Errorf("%d writes, want %d", c.writes, tc.writes)
			}
			if tc.stored {
				if err != nil {
					t.Fatal(err)
				}
				if got := get(t, newVault(t, s, nil), "a", nil); got != text {
					t.Errorf("%d bytes were stored, and differ from the value of %d bytes", len(got), len(text))
				}
				return
			}
			if !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrUnsure) != (tc.cause == lost) {
				t.Errorf("put: %v", err)
			}
			if asks := strings.Contains(fmt.Sprint(err), "nothing was stored, and a streamed value cannot be sent again"); asks != tc.again {
				t.Errorf("put: %v, want an error that asks for the value again: %v", err, tc.again)
			}
		})
	}
}

// A seeker fails to seek back.
type seeker struct {
	io.Reader
	moved int
	err   error
}

func (s *seeker) Seek(int64, int) (int64, error) {
	if s.moved++; s.moved > 1 {
		return 0, s.err
	}
	return 0, nil
}

// TestNewUploadSource: a reader that fails to seek back is an error of the reader, not of the
// store.
func TestNewUploadSource(t *testing.T) {
	s := newStore(t)
	broken := errors.New("the disk is gone")
	front := *s
	front.Create = &contested{Store: *s, n: 1, cause: vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.WriteConflict, Effect: vault.NotApplied}}
	_, err := newVault(t, &front, nil).Put(t.Context(), "a", &seeker{Reader: strings.NewReader(strings.Repeat("v", 2<<20)), err: broken}, &vault.PutOptions{Create: true})
	if !errors.As(err, new(*vault.SourceError)) || !errors.Is(err, broken) {
		t.Errorf("put: %v, want the reader's error", err)
	}
}
