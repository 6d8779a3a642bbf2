package audit_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/audit"
	"github.com/objectvault/objectvault/vault"
)

// fuzzDialect adds the log of a dialect as a seed, and its lines.
func fuzzDialect(f *testing.F, d audit.Dialect) {
	added := 0
	for _, log := range logs {
		if log.dialect != d {
			continue
		}
		text, err := os.ReadFile(filepath.Join("testdata", log.file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		for line := range bytes.Lines(text) {
			f.Add(line)
			added++
		}
	}
	if added == 0 {
		f.Fatal("no seeds: this target would pass without looking at anything")
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for r, err := range audit.Read(bytes.NewReader(text), &audit.Options{Dialect: d, MaxRecord: 1 << 16}) {
			if err != nil {
				var p *audit.ParseError
				if errors.As(err, &p) && (p.Dialect != d || p.Problem == "" || p.Offset < 0 || p.Offset > int64(len(text))) {
					t.Fatalf("%#v", p)
				}
				continue
			}
			if r.Dialect != d || r.Time.IsZero() || r.Bytes < 0 || r.Status < 0 || r.Verb == "" {
				t.Fatalf("%+v", r)
			}
			if r.Object && d != audit.Client { // it has no keys
				tenant, collection, name, ok := vault.ParseKey(r.Key)
				if !ok || tenant != r.Tenant || collection != r.Collection || name != r.Name {
					t.Fatalf("%+v", r)
				}
			}
			if r.Denied && !r.Failed() {
				t.Fatalf("denied and not failed: %+v", r)
			}
		}
	})
}

func FuzzS3(f *testing.F)         { fuzzDialect(f, audit.S3) }
func FuzzCloudTrail(f *testing.F) { fuzzDialect(f, audit.CloudTrail) }
func FuzzCOS(f *testing.F)        { fuzzDialect(f, audit.COS) }
func FuzzRGW(f *testing.F)        { fuzzDialect(f, audit.RGW) }
func FuzzVersity(f *testing.F)    { fuzzDialect(f, audit.Versity) }
func FuzzWeed(f *testing.F)       { fuzzDialect(f, audit.Weed) }
func FuzzClient(f *testing.F)     { fuzzDialect(f, audit.Client) }

// FuzzDetect: the dialect of a log is that of its parser, and does not change when the log grows.
func FuzzDetect(f *testing.F) {
	for _, log := range logs {
		text, err := os.ReadFile(filepath.Join("testdata", log.file))
		if err != nil {
			f.Fatal(err)
		}
		if d := audit.Detect(text); d != log.dialect {
			f.Fatalf("%s: %q", log.file, d)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := audit.Detect([]byte(text))
		if again := audit.Detect([]byte(text + "\n" + strings.Repeat("x", 10))); d != "" && again != d {
			t.Fatalf("%q, then %q", d, again)
		}
	})
}
