package vault_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// TestPages lists and tears down about as many objects as fit in a page.
func TestPages(t *testing.T) {
	for _, tc := range []struct{ n, pages int }{{0, 1}, {1, 1}, {999, 1}, {1000, 1}, {1001, 2}, {2000, 2}} {
		var rec recorder
		s := newStore(t)
		for i := range tc.n {
			if err := s.Bucket.WriteAll(t.Context(), fmt.Sprintf("bots/0xabc/credentials/%04d.enc", i), []byte("x"), nil); err != nil {
				t.Fatal(err)
			}
		}
		v := newVault(t, intercept.Store(s, rec.hooks()), nil)
		if got := len(names(t, v, "")); got != tc.n {
			t.Errorf("%d objects: listed %d", tc.n, got)
		}
		if got := len(rec.take()); got != tc.pages {
			t.Errorf("%d objects: listed in %d requests, want %d", tc.n, got, tc.pages)
		}
		result, err := v.Teardown(t.Context(), nil)
		if err != nil || result.Deleted != tc.n {
			t.Errorf("%d objects: teardown = %+v, %v", tc.n, result, err)
		}
		want := tc.pages + (tc.n+999)/1000 + 1 // lists, removes, and one list of the history
		if got := len(rec.take()); got != want {
			t.Errorf("%d objects: teardown in %d requests, want %d", tc.n, got, want)
		}
		if got := names(t, v, ""); got != nil {
			t.Errorf("%d objects: %d left", tc.n, len(got))
		}
	}
}

func TestList(t *testing.T) {
	s := newStore(t)
	v := newVault(t, s, nil)
	for _, n := range []vault.Name{"a", "a.enc/b", "a.encoded", "a.e", "ab", "a/b", "__x", "_", "é", "é/x"} {
		put(t, v, n, "x", nil)
	}
	for _, key := range []string{"bots/0xabc/credentials/raw", "bots/0xabc/credentials/a%2eenc/b.enc", "bots/0xabcd/credentials/z.enc", "bots/0xabc/notes/z.enc"} {
		if err := s.Bucket.WriteAll(t.Context(), key, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		prefix string
		want   []string
	}{
		{"a.", []string{"a.enc/b", "a.e", "a.encoded", "foreign bots/0xabc/credentials/a%2eenc/b.enc"}},
		{"a.e", []string{"a.enc/b", "a.e", "a.encoded"}},
		{"a.enc", []string{"a.enc/b", "a.encoded"}},
		{"a.enc/", []string{"a.enc/b"}},
		{"_", []string{"__x", "_"}},
		{"__", []string{"__x"}},
		{"é", []string{"é", "é/x"}},
		{"\xc3", []string{"é", "é/x"}}, // half a character
		{"zzz", nil},
		{"r", []string{"foreign bots/0xabc/credentials/raw"}},
	} {
		var want []string
		for _, n := range tc.want {
			if tc.prefix == "a." && strings.HasPrefix(n, "foreign") {
				continue // its key does not start with "a."
			}
			want = append(want, n)
		}
		if diff := cmp.Diff(want, names(t, v, tc.prefix)); diff != "" {
			t.Errorf("list %q (-want +got):\n%s", tc.prefix, diff)
		}
	}
	last := ""
	for e, err := range v.List(t.Context(), nil) {
		if err != nil || e.Key <= last {
			t.Errorf("%q after %q, %v: not in key order", e.Key, last, err)
		}
		last = e.Key
		if !e.Foreign && (e.SealedSize == 0 || e.Modified.IsZero()) {
			t.Errorf("%+v has no size or no time", e)
		}
	}
}
