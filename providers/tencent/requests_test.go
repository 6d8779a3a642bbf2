package tencent_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/vault"
)

var keys = []envelope.KeySource{kek.InsecureFixed()}

func newVault(t *testing.T, st *vault.Store, tenant vault.Tenant) *vault.Vault {
	t.Helper()
	v, err := vault.New(st, tenant, keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// noise returns n bytes that depend only on the seed.
func noise(seed uint64, n int64) io.Reader {
	var key [32]byte
	key[0] = byte(seed)
	return io.LimitReader(rand.NewChaCha8(key), n)
}

type discardAt struct{}

func (discardAt) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// TestRequests checks the exact requests of each operation, for every kind of bucket.
func TestRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	const (
		put = "PUT bots/acme/credentials/x.enc"
		get = "GET bots/acme/credentials/x.enc"

		headVersion = "HEAD bots/acme/credentials/x.enc?versionId=ID"
		versions    = "GET ?encoding-type=url&max-keys=1000&prefix=bots%2Facme%2Fcredentials%2Fx.enc&versions="
		all         = "GET ?encoding-type=url&max-keys=1000&prefix=bots%2Facme%2Fcredentials%2F&versions="
		list        = "GET ?encoding-type=url&max-keys=1000&prefix=bots%2Facme%2Fcredentials%2F"
	)
	parts := []string{
		"POST bots/acme/credentials/x.enc?uploads=",
		put + "?partNumber=1", put + "?partNumber=2", put + "?partNumber=3", put + "?partNumber=4", put + "?partNumber=5",
		"POST bots/acme/credentials/x.enc?uploadId=",
	}
	for _, versioning := range []string{"", "Enabled"} {
		s := newServer(t, &costest.Options{Versioning: versioning})
		v := newVault(t, open(t, config(s, owner(s))), "acme")
		ctx := t.Context()
		write := func(size int64, o *vault.PutOptions) func() error {
			return func() error { _, err := v.Put(ctx, "x", noise(1, size), o); return err }
		}
		read := func(o *vault.GetOptions) func() error {
			return func() error {
				r, err := v.Get(ctx, "x", o)
				if err != nil {
					return err
				}
				defer r.Close()
				_, err = io.Copy(io.Discard, r)
				return err
			}
		}
		var info vault.Info
		steps := []struct {
			name      string
			do        func() error
			plain     []string
			versioned []string // nil means the same requests
		}{
			{"create", write(100, &vault.PutOptions{Create: true}), []string{put, get + " bytes=0-HEAD"}, []string{versions, put, versions}},
			{"put", write(100, nil), []string{put}, nil},
			{"put of 8 MiB", write(8<<20, nil), []string{put}, nil},
			{"multipart put", write(20<<20, nil), parts, nil},
			{"get of 20 MiB", read(nil), []string{get + " bytes=0-8388607", get + " bytes=RANGE", get + " bytes=RANGE", get + " bytes=RANGE"}, nil},
			{"download of 20 MiB", func() error {
				r, err := v.Get(ctx, "x", nil)
				if err == nil {
					defer r.Close()
					_, err = r.Download(discardAt{})
				}
				return err
			}, []string{get + " bytes=0-8388607", get + " bytes=RANGE", get + " bytes=RANGE"}, nil},
			{"multipart rewrap", func() error {
				r, err := v.Rewrap(ctx, "x", &vault.RewrapOptions{Add: []envelope.KeySource{kek.NewLocal(kek.RandomRoot())}, NoOtherWriters: true})
				if err == nil && !r.Changed {
					err = errors.New("nothing changed")
				}
				return err
			}, slices.Concat(
				[]string{get + " bytes=0-16383", get + " bytes=RANGE", get + " bytes=0-HEAD"},
				parts[:1], []string{put + "?partNumber=1", put + "?partNumber=2 copy of an ETag"}, parts[6:],
				[]string{get + " bytes=0-HEAD"}, // NoOtherWriters compares the header before and after
			), slices.Concat(
				[]string{get + " bytes=0-16383", get + " bytes=RANGE"},
				[]string{versions, headVersion}, parts[:1], []string{put + "?partNumber=1", put + "?partNumber=2 copy of a version"}, parts[6:],
				[]string{versions},
			)},
			{"rm", func() error { return v.Delete(ctx, "x", nil) }, []string{"DELETE bots/acme/credentials/x.enc"}, nil},
			{"multipart create", write(20<<20, &vault.PutOptions{Create: true}), slices.Concat(parts, []string{get + " bytes=0-HEAD"}), slices.Concat(parts[:1], []string{versions}, parts[1:], []string{versions})},
			{"put again", func() (err error) { info, err = v.Put(ctx, "x", noise(1, 100_000), nil); return err }, []string{put}, nil},
			{"get", read(nil), []string{get + " bytes=0-8388607"}, nil},
			{"range", read(&vault.GetOptions{Range: &vault.Range{Offset: 70_000, Length: 10}}), []string{get + " bytes=0-16383", get + " bytes=RANGE"}, nil},
			{"stat", func() error { _, err := v.Stat(ctx, "x"); return err }, []string{get + " bytes=0-16383"}, nil},
			{"list", func() error {
				for _, err := range v.List(ctx, nil) {
					return err
				}
				return nil
			}, []string{list}, nil},
			{"list after a name", func() error {
				for e, err := range v.List(ctx, &vault.ListOptions{After: "a"}) {
					if err != nil || e.Name != "x" {
						return fmt.Errorf("%q, %v", e.Name, err)
					}
				}
				return nil
			}, []string{"GET ?encoding-type=url&marker=bots%2Facme%2Fcredentials%2Fa.enc&max-keys=1000&prefix=bots%2Facme%2Fcredentials%2F"}, nil},
			{"put if revision", func() error {
				_, err := v.Put(ctx, "x", noise(2, 100), &vault.PutOptions{IfRevision: info.Revision})
				if versioning == "" {
					err = nil // without swap, nothing is sent
				}
				return err
			}, []string{}, []string{get + " bytes=0-16383", versions, headVersion, put, versions}},
			{"history", func() error {
				n := 0
				for _, err := range v.History(ctx, "x") {
					if n++; err != nil && versioning != "" {
						return err
					}
					if n == 2 {
						break // more entries would need more requests
					}
				}
				return nil
			}, []string{}, []string{versions, get + "?versionId=ID bytes=0-16383", get + "?versionId=ID bytes=0-16383"}},
			{"another put", func() error { _, err := v.Put(ctx, "y", noise(1, 10), nil); return err }, []string{"PUT bots/acme/credentials/y.enc"}, nil},
			{"teardown", func() error { _, err := v.Teardown(ctx, nil); return err }, []string{list, "POST ?delete="}, []string{list, "POST ?delete=", all}},
		}
		for _, step := range steps {
			t.Run(fmt.Sprintf("%s %q", step.name, versioning), func(t *testing.T) {
				s.Reset()
				if err := step.do(); err != nil {
					t.Fatal(err)
				}
				want := step.plain
				if versioning != "" && step.versioned != nil {
					want = step.versioned
				}
				got := []string{}
				for _, r := range s.Requests() {
					got = append(got, line(r))
				}
				if started, complete := slices.Index(got, parts[0]), slices.Index(got, parts[6]); complete > 1 {
					slices.Sort(got[started+1 : complete]) // sent concurrently
				}
				if !slices.Equal(got, want) {
					t.Errorf("requests:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		}
	}
}

// line describes a request without the values that differ from run to run.
func line(r costest.Request) string {
	s := r.Method + " " + r.Key
	var query []string
	for _, part := range strings.Split(r.Query, "&") {
		switch name, _, _ := strings.Cut(part, "="); {
		case name == "versionId":
			part = "versionId=ID"
		case name == "uploadId" && r.Method == "PUT":
			continue
		case name == "uploadId":
			part = "uploadId="
		}
		if part != "" {
			query = append(query, part)
		}
	}
	if len(query) > 0 {
		s += "?" + strings.Join(query, "&")
	}
	if source := r.Header.Get("X-Cos-Copy-Source"); strings.Contains(source, "?versionId=") {
		s += " copy of a version"
	} else if source != "" && r.Header.Get("X-Cos-Copy-Source-If-Match") != "" {
		s += " copy of an ETag"
	}
	if asked := r.Header.Get("Range"); asked != "" {
		switch {
		case !strings.HasPrefix(asked, "bytes=0-"):
			asked = "bytes=RANGE"
		case asked != "bytes=0-16383" && asked != "bytes=0-8388607": // the start of the object
			asked = "bytes=0-HEAD"
		}
		s += " " + asked
	}
	return s
}
