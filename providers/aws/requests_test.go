package aws_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// TestRequests checks the exact requests of each operation.
func TestRequests(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, true)
	proxy := testcloud.NewProxy(server.URL, nil)
	t.Cleanup(func() { proxy.Close() })
	v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: proxy.URL, Static: static(server.Root)}), "acme")
	ctx := t.Context()
	put := func(name vault.Name, size int64, o *vault.PutOptions) (vault.Info, error) {
		return v.Put(ctx, name, noise(4, size), o)
	}
	get := func(o *vault.GetOptions) error {
		r, err := v.Get(ctx, "openai", o)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(io.Discard, r)
		return err
	}
	info, err := put("openai", 100_000, nil)
	if err != nil {
		t.Fatal(err)
	}
	const object = " /B/bots/acme/credentials/"
	rewrap := func() error {
		r, err := v.Rewrap(ctx, "c", &vault.RewrapOptions{Add: []envelope.KeySource{kek.NewLocal(kek.RandomRoot())}})
		if err == nil && !r.Changed {
			err = errors.New("nothing changed")
		}
		return err
	}
	head := []string{
		"GET" + object + "c.enc?x-id=GetObject bytes=0-16383", "GET" + object + "c.enc?x-id=GetObject bytes=RANGE",
		"POST" + object + "c.enc?uploads=",
	}
	end := []string{"GET" + object + "c.enc?x-id=GetObject bytes=0-0", "POST" + object + "c.enc?uploadId="} // the GET only if the server is not AWS
	for _, tc := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"put", func() error { _, err := put("a", 100, nil); return err }, []string{"PUT" + object + "a.enc?x-id=PutObject"}},
		{"overwrite", func() error { _, err := put("a", 1<<20, nil); return err }, []string{"PUT" + object + "a.enc?x-id=PutObject"}},
		{"put of 8 MiB", func() error { _, err := put("a", 8<<20, nil); return err }, []string{"PUT" + object + "a.enc?x-id=PutObject"}},
		{"create", func() error { _, err := put("b", 100, &vault.PutOptions{Create: true}); return err }, []string{"PUT" + object + "b.enc?x-id=PutObject"}},
		{"put if revision", func() error {
			_, err := put("openai", 100_000, &vault.PutOptions{IfRevision: info.Revision})
			return err
		}, []string{"GET" + object + "openai.enc?x-id=GetObject bytes=0-16383", "PUT" + object + "openai.enc?x-id=PutObject"}},
		{"multipart put", func() error { _, err := put("c", 20<<20, nil); return err }, []string{
			"POST" + object + "c.enc?uploads=",
			"PUT" + object + "c.enc?partNumber=1", "PUT" + object + "c.enc?partNumber=2", "PUT" + object + "c.enc?partNumber=3",
			"PUT" + object + "c.enc?partNumber=4", "PUT" + object + "c.enc?partNumber=5",
			"POST" + object + "c.enc?uploadId=",
		}},
		// The first splice of a store tests whether the server copies ranges.
		{"first multipart rewrap", rewrap, slices.Concat(head[:2], []string{
			"GET" + object + "c.enc?x-id=GetObject bytes=RANGE", head[2], "PUT" + object + "c.enc?partNumber=2" + firstBytes,
			"PUT" + object + "c.enc?partNumber=1", "PUT" + object + "c.enc?partNumber=2 copy",
		}, end)},
		{"second multipart rewrap", rewrap, slices.Concat(head, []string{"PUT" + object + "c.enc?partNumber=1", "PUT" + object + "c.enc?partNumber=2 copy"}, end)},
		{"get", func() error { return get(nil) }, []string{"GET" + object + "openai.enc?x-id=GetObject bytes=0-8388607"}},
		{"get of 20 MiB", func() error { _, _, err := v.ReadAll(ctx, "c", &vault.ReadAllOptions{Limit: 32 << 20}); return err }, slices.Concat(
			[]string{"GET" + object + "c.enc?x-id=GetObject bytes=0-8388607"}, slices.Repeat([]string{"GET" + object + "c.enc?x-id=GetObject bytes=RANGE"}, 3))},
		{"download of 20 MiB", func() error {
			r, err := v.Get(ctx, "c", nil)
			if err == nil {
				_, err = r.Download(discardAt{})
			}
			return err
		}, slices.Concat(
			[]string{"GET" + object + "c.enc?x-id=GetObject bytes=0-8388607"}, slices.Repeat([]string{"GET" + object + "c.enc?x-id=GetObject bytes=RANGE"}, 2))},
		{"range", func() error { return get(&vault.GetOptions{Range: &vault.Range{Offset: 70_000, Length: 10}}) }, []string{
			"GET" + object + "openai.enc?x-id=GetObject bytes=0-16383", "GET" + object + "openai.enc?x-id=GetObject bytes=RANGE",
		}},
		{"stat", func() error { _, err := v.Stat(ctx, "openai"); return err }, []string{"GET" + object + "openai.enc?x-id=GetObject bytes=0-16383"}},
		{"history", func() error {
			for _, err := range v.History(ctx, "openai") {
				if err != nil {
					return err
				}
			}
			return nil
		}, []string{
			"GET /B?max-keys=1000&prefix=bots%2Facme%2Fcredentials%2Fopenai.enc&versions=",
			"GET" + object + "openai.enc?versionId=ID bytes=0-16383", "GET" + object + "openai.enc?versionId=ID bytes=0-16383",
		}},
		{"list", func() error {
			for _, err := range v.List(ctx, nil) {
				if err != nil {
					return err
				}
			}
			return nil
		}, []string{"GET /B?list-type=2&max-keys=1000&prefix=bots%2Facme%2Fcredentials%2F"}},
		{"list after a name", func() error {
			for e, err := range v.List(ctx, &vault.ListOptions{After: "b", Limit: 1}) {
				if err != nil || e.Name != "c" {
					return fmt.Errorf("%q, %v", e.Name, err)
				}
			}
			return nil
		}, []string{"GET /B?list-type=2&max-keys=1000&prefix=bots%2Facme%2Fcredentials%2F&start-after=bots%2Facme%2Fcredentials%2Fb.enc"}},
		{"rm", func() error { return v.Delete(ctx, "a", nil) }, []string{"DELETE" + object + "a.enc?x-id=DeleteObject"}},
		{"teardown", func() error { _, err := v.Teardown(ctx, nil); return err }, []string{
			"GET /B?list-type=2&max-keys=1000&prefix=bots%2Facme%2Fcredentials%2F", "POST /B?delete=",
			"GET /B?max-keys=1000&prefix=bots%2Facme%2Fcredentials%2F&versions=",
		}},
		{"list of an empty collection", func() error {
			for _, err := range v.List(ctx, nil) {
				return fmt.Errorf("the object exists, %v", err)
			}
			return nil
		}, []string{"GET /B?list-type=2&max-keys=1000&prefix=bots%2Facme%2Fcredentials%2F"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			proxy.Reset()
			if err := tc.do(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range proxy.Requests() {
				got = append(got, line(r, bucket))
			}
			sortParts(got)
			if !slices.Equal(got, tc.want) {
				t.Errorf("requests:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

type discardAt struct{}

func (discardAt) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// sortParts sorts the parts of an upload, which are sent concurrently.
func sortParts(lines []string) {
	isPart := func(s string) bool { return strings.Contains(s, "?partNumber=") && !strings.HasSuffix(s, firstBytes) }
	for i := 0; i < len(lines); i++ {
		j := i
		for j < len(lines) && isPart(lines[j]) {
			j++
		}
		slices.Sort(lines[i:j])
		i = max(i, j-1)
	}
}

// firstBytes marks the copy of a few bytes, which tests whether the server copies ranges.
const firstBytes = " copy of 1024 bytes"

// line describes a request without the values that differ from run to run.
func line(r testcloud.Request, bucket string) string {
	var query []string
	for _, part := range strings.Split(r.Query, "&") {
		name, _, _ := strings.Cut(part, "=")
		switch {
		case name == "versionId":
			part = "versionId=ID"
		case name == "uploadId" && r.Method == "PUT", name == "x-id" && strings.Contains(r.Query, "partNumber"),
			name == "x-id" && strings.Contains(r.Query, "versionId"):
			continue
		case name == "uploadId":
			part = "uploadId="
		}
		query = append(query, part)
	}
	s := r.Method + " " + strings.Replace(r.Path, "/"+bucket, "/B", 1) + "?" + strings.Join(query, "&")
	if r.Header.Get("X-Amz-Copy-Source") != "" {
		var first, last int
		fmt.Sscanf(r.Header.Get("X-Amz-Copy-Source-Range"), "bytes=%d-%d", &first, &last)
		if s += " copy"; last-first == 1023 {
			s = strings.TrimSuffix(s, " copy") + firstBytes
		}
		if r.Header.Get("X-Amz-Copy-Source-If-Match") == "" {
			s += " without a condition"
		}
	}
	if asked := r.Header.Get("Range"); asked != "" {
		if !strings.HasPrefix(asked, "bytes=0-") {
			asked = "bytes=RANGE"
		}
		s += " " + asked
	}
	return s
}
