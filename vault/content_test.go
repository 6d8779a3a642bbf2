package vault_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/objectvault/objectvault/vault"
)

// closing counts how often it was closed.
type closing struct {
	io.Reader
	n *int
}

func (c closing) Close() error { *c.n++; return nil }

// TestContent: a Content is stored once and closed, even if its reader returns the last bytes together
// with io.EOF. The lengths include every length at which Put changes the way it reads.
func TestContent(t *testing.T) {
	for _, size := range []int{0, 1, 64 << 10, 1 << 20, 1<<20 + 1, 1<<20 + 64<<10} {
		value := bytes.Repeat([]byte("x"), size)
		opens, closes := 0, 0
		c := &vault.Content{Size: int64(size), Open: func() (io.ReadCloser, error) {
			opens++
			return closing{iotest.DataErrReader(bytes.NewReader(value)), &closes}, nil
		}}
		v := newVault(t, newStore(t), nil)
		info, err := v.Put(t.Context(), "a", c, nil)
		if err != nil || info.Size != int64(size) {
			t.Errorf("%d bytes: %+v, %v", size, info, err)
		}
		if got := get(t, v, "a", nil); len(got) != size {
			t.Errorf("%d bytes: got %d", size, len(got))
		}
		if opens != closes || opens != 1 {
			t.Errorf("%d bytes: opened %d times, closed %d times", size, opens, closes)
		}
	}
}

// TestContentSize: a Content whose length differs from its Size is not stored.
func TestContentSize(t *testing.T) {
	for _, size := range []int64{0, 4, 6, 2 << 20} {
		v := newVault(t, newStore(t), nil)
		_, err := v.Put(t.Context(), "a", &vault.Content{Size: size, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("value")), nil
		}}, nil)
		var source *vault.SourceError
		if !errors.As(err, &source) {
			t.Errorf("Size %d of 5 bytes: %v", size, err)
		}
		if _, err := v.Stat(t.Context(), "a"); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("Size %d: stat: %v", size, err)
		}
	}
	v := newVault(t, newStore(t), nil)
	if _, err := v.Put(t.Context(), "a", new(vault.Content), nil); err == nil {
		t.Error("a Content without Open was stored")
	}
}

// TestReadAll: ReadAll returns a value up to its limit, and ErrTooLarge above it.
func TestReadAll(t *testing.T) {
	v := newVault(t, newStore(t), nil)
	put(t, v, "a", "value", nil)
	for _, tc := range []struct {
		o    *vault.ReadAllOptions
		want string
		err  error
	}{
		{nil, "value", nil},
		{&vault.ReadAllOptions{Limit: 5}, "value", nil},
		{&vault.ReadAllOptions{Limit: 4}, "", vault.ErrTooLarge},
		{&vault.ReadAllOptions{Limit: 4, GetOptions: vault.GetOptions{Range: &vault.Range{Offset: 1}}}, "alue", nil},
		{&vault.ReadAllOptions{GetOptions: vault.GetOptions{Version: "@2"}}, "", vault.ErrNotFound},
	} {
		value, info, err := v.ReadAll(t.Context(), "a", tc.o)
		if string(value) != tc.want || !errors.Is(err, tc.err) || err == nil && info.Name != "a" {
			t.Errorf("%+v: %q, %+v, %v, want %q, %v", tc.o, value, info, err, tc.want, tc.err)
		}
	}
}
