package aws_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// TestGroups: a list with a delimiter requests no more than a page of the names that it combines.
func TestGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of objects")
	}
	t.Parallel()
	versity, rgw := testcloud.RequireVersity(t), testcloud.RequireRGW(t)
	for server, s := range map[string]struct {
		url  string
		keys testcloud.Keys
	}{"versitygw": {versity.URL, versity.Root}, "Ceph": {rgw.URL, rgw.Owner}} {
		bucket := testcloud.NewBucket(t, s.url, s.keys, false)
		proxy := testcloud.NewProxy(s.url, nil)
		t.Cleanup(func() { proxy.Close() })
		v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: proxy.URL, Static: static(s.keys)}), "acme")
		names := []vault.Name{"a", "big-", "big0", "z/1", "z/2"}
		for i := range 2100 {
			names = append(names, vault.Name(fmt.Sprintf("big/%04d", i)))
		}
		writers, ctx := errgroup.WithContext(t.Context())
		writers.SetLimit(16)
		for _, name := range names {
			writers.Go(func() error { _, err := v.Put(ctx, name, strings.NewReader("x"), nil); return err })
		}
		if err := writers.Wait(); err != nil {
			t.Fatal(err)
		}
		proxy.Reset()
		var got []string
		for e, err := range v.List(t.Context(), &vault.ListOptions{Delimiter: "/"}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(e.Name)+e.Group)
		}
		if want := []string{"a", "big-", "big/", "big0", "z/"}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", server, got, want)
		}
		if n := len(proxy.Requests()); n != 2 { // 3 without a delimiter
			t.Errorf("%s: %d requests", server, n)
		}
	}
}
