package audit_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/audit"
)

func readUsage(r io.Reader) (all []audit.Usage, err error) {
	for u, e := range audit.ReadUsage(r) {
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		all = append(all, u)
	}
	return all, err
}

// TestReadUsage: what radosgw-admin of Ceph 16.2.15 printed for requests of three hours, of two owners, of a tenant
// of RGW and of a caller that pays.
func TestReadUsage(t *testing.T) {
	text, err := os.ReadFile("testdata/usage.json")
	if err != nil {
		t.Fatal(err)
	}
	if !audit.IsUsage(text) || audit.Detect(text) != "" {
		t.Errorf("IsUsage: %t; the dialect is %q", audit.IsUsage(text), audit.Detect(text))
	}
	var want []string
	for line := range strings.Lines(usageLines) {
		want = append(want, strings.TrimSpace(line))
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(text)
	z.Close()
	for name, r := range map[string]io.Reader{
		"plain": bytes.NewReader(text), "one byte at a time": iotest.OneByteReader(bytes.NewReader(text)), "gzip": &zipped,
	} {
		all, err := readUsage(r)
		var got []string
		for _, u := range all {
			got = append(got, fmt.Sprintf("%q %q %q %s %d %d", u.Owner, u.Payer, u.Bucket, u.Operation, u.Requests, u.Successful))
			if !u.Hour.Equal(time.Date(2026, 11, 30, 5, 0, 0, 0, time.UTC)) || u.Hour.Location() != time.UTC {
				t.Errorf("%s: the hour is %v", name, u.Hour)
			}
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

const usageLines = `"acme$bob" "" "-" get_obj 1 0
"acme$bob" "" "vault" create_bucket 1 1
"acme$bob" "" "vault" put_obj 1 1
"anonymous" "" "" list_buckets 4 4
"otherSEI7XU3CDO" "" "" list_buckets 2 2
"otherSEI7XU3CDO" "" "gone" create_bucket 1 0
"ownerWHOWOLREDE" "otherSEI7XU3CDO" "vault" get_obj 1 0
"ownerWHOWOLREDE" "otherSEI7XU3CDO" "vault" list_bucket 1 0
"ownerWHOWOLREDE" "" "" list_buckets 1 1
"ownerWHOWOLREDE" "" "-" copy_obj 1 0
"ownerWHOWOLREDE" "" "-" get_bucket_policy 1 0
"ownerWHOWOLREDE" "" "-" get_obj 6 0
"ownerWHOWOLREDE" "" "gone" create_bucket 1 1
"ownerWHOWOLREDE" "" "gone" delete_bucket 2 1
"ownerWHOWOLREDE" "" "vault" copy_obj 1 1
"ownerWHOWOLREDE" "" "vault" create_bucket 3 3
"ownerWHOWOLREDE" "" "vault" get_obj 6 3
"ownerWHOWOLREDE" "" "vault" list_bucket 3 1
"ownerWHOWOLREDE" "" "vault" multi_object_delete 2 1
"ownerWHOWOLREDE" "" "vault" options_cors 1 0
"ownerWHOWOLREDE" "" "vault" put_acls 1 1
"ownerWHOWOLREDE" "" "vault" put_obj 8 7
"ownerWHOWOLREDE" "" "vault" set_request_payment 1 1`

// TestReadUsageStrict: what is missing, malformed or cut off is an error, which contains nothing of the text. The
// numbers before it are returned.
func TestReadUsageStrict(t *testing.T) {
	const (
		numbers = `"bytes_sent":1,"bytes_received":2,"ops":3,"successful_ops":2}`
		entry   = `{"bucket":"b","time":"x","epoch":3600,"owner":"o","categories":[{"category":"get_obj",` + numbers + `]}`
		start   = `{"entries":[{"user":"o","buckets":[`
		end     = `]}],"summary":[{"user":"o","categories":[],"total":{"ops":[1,{"a":null}]}}]}`
		secret  = "sk-secret"
	)
	for _, tc := range []struct {
		name, text string
		n          int
		problem    string // "" means that there is no error
	}{
		{"nothing", " \n", 0, ""},
		{"an output", start + entry + end, 1, ""},
		{"two outputs", start + entry + end + "\n" + start + entry + "," + entry + end, 3, ""},
		{"no requests", `{"entries":[],"summary":[]}`, 0, ""},
		{"members of later versions", start + strings.Replace(entry, `"ops"`, `"bytes_processed":0,"ops"`, 1) + end, 1, ""},
		{"no entries", `{"summary":[]}`, 0, "there are no entries; omit --show-log-entries=false"},
		{"a cut output", start + entry + `,{"bucket":"` + secret, 1, "the text ends inside an output"},
		{"a cut list", start + entry, 1, "the text ends inside an output"},
		{"an output without its end", start + entry + end[:len(end)-1], 1, "the text ends inside an output"},
		{"text after an output", start + entry + end + secret, 1, "the JSON is malformed"},
		{"no JSON", start + secret, 0, "the JSON is malformed"},
		{"another type", start + strings.Replace(entry, "3600", `"`+secret+`"`, 1) + end, 0, "the JSON is malformed"},
		{"a fraction", start + strings.Replace(entry, `"ops":3`, `"ops":3.5`, 1) + end, 0, "the JSON is malformed"},
		{"a list instead of an output", `["` + secret + `"]`, 0, "an object is missing"},
		{"an object instead of a list", `{"entries":{"` + secret + `":1}}`, 0, "a list is missing"},
		{"no bucket", start + strings.Replace(entry, `"bucket":"b",`, "", 1) + end, 0, "the bucket, its owner, the hour or the categories are missing"},
		{"no hour", start + strings.Replace(entry, `"epoch":3600,`, "", 1) + end, 0, "the bucket, its owner, the hour or the categories are missing"},
		{"a negative hour", start + strings.Replace(entry, "3600", "-1", 1) + end, 0, "the hour is malformed"},
		{"no number", start + strings.Replace(entry, `"ops":3,`, "", 1) + end, 0, "an operation or a number of it is missing"},
		{"no operation", start + strings.Replace(entry, "get_obj", "", 1) + end, 0, "an operation or a number of it is missing"},
		{"a negative number", start + strings.Replace(entry, `"ops":3,"successful_ops":2`, `"ops":-3,"successful_ops":-4`, 1) + end, 0, "a number is malformed"},
		{"more successes than requests", start + strings.Replace(entry, `"ops":3`, `"ops":1`, 1) + end, 0, "a number is malformed"},
		{"a long bucket", start + entry + `,{"bucket":"` + strings.Repeat(secret, 200_000) + end, 1, "the record is too long"},
		{"a name of 255 bytes", start + strings.Replace(entry, `"b"`, `"`+strings.Repeat("b", 255)+`"`, 1) + end, 1, ""},
		{"a bucket of 256 bytes", start + strings.Replace(entry, `"b"`, `"`+strings.Repeat("b", 256)+`"`, 1) + end, 0, "a name is too long"},
		{"a long operation", start + strings.Replace(entry, "get_obj", strings.Repeat("g", 256), 1) + end, 0, "a name is too long"},
		{"a long owner", start + strings.Replace(entry, `"o"`, `"`+strings.Repeat("o", 1025)+`"`, 1) + end, 0, "a name is too long"},
		{"a long payer", start + strings.Replace(entry, `"owner"`, `"payer":"`+strings.Repeat("p", 1025)+`","owner"`, 1) + end, 0, "a name is too long"},
		{"a long summary", start + entry + `]}],"summary":[` + strings.Repeat(`{"user":"o"},`, 200_000) + `{}]}`, 1, ""},
		{"a long member", `{"` + strings.Repeat(secret, 200_000) + `":1}`, 0, "the record is too long"},
	} {
		all, err := readUsage(strings.NewReader(tc.text))
		var p *audit.ParseError
		switch {
		case len(all) != tc.n:
			t.Errorf("%s: %d numbers, want %d", tc.name, len(all), tc.n)
		case tc.problem == "" && err != nil, tc.problem != "" && (!errors.As(err, &p) || p.Problem != tc.problem):
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.problem)
		case err != nil && (strings.Contains(err.Error(), secret) || p.Offset < 0 || p.Offset > int64(len(tc.text))):
			t.Errorf("%s: error %v, offset %d", tc.name, err, p.Offset)
		}
	}
	if _, err := readUsage(iotest.ErrReader(iotest.ErrTimeout)); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a reader that fails: %v", err)
	}
	if _, err := readUsage(io.MultiReader(strings.NewReader(start), iotest.ErrReader(iotest.ErrTimeout))); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a reader that fails later: %v", err)
	}
}

// TestReadUsageStops: many outputs can follow each other, and a caller that stops early gets no further call.
func TestReadUsageStops(t *testing.T) {
	text, err := os.ReadFile("testdata/usage.json")
	if err != nil {
		t.Fatal(err)
	}
	const times = 500 // more than the text that one value may have
	var many []io.Reader
	for range times {
		many = append(many, bytes.NewReader(text))
	}
	all, err := readUsage(io.MultiReader(many...))
	if want := times * (strings.Count(usageLines, "\n") + 1); err != nil || len(all) != want {
		t.Errorf("%d numbers, %v; want %d", len(all), err, want)
	}
	n := 0
	for range audit.ReadUsage(bytes.NewReader(text)) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d numbers before the end", n)
	}
}

// TestReadUsageNested: the text after too many brackets is not read, because each one of them takes memory.
func TestReadUsageNested(t *testing.T) {
	const depth = 4 << 20
	for _, start := range []string{`{"summary":`, `{"entries":[{"user":"x","z":`} {
		text := strings.NewReader(start + strings.Repeat("[", depth))
		all, err := readUsage(text)
		var p *audit.ParseError
		if len(all) > 0 || !errors.As(err, &p) || p.Problem != "the JSON is nested too deeply" {
			t.Errorf("%s: %d numbers, %v", start, len(all), err)
		}
		if text.Len() < depth/2 {
			t.Errorf("%s: only %d bytes were not read", start, text.Len())
		}
	}
}

func FuzzUsage(f *testing.F) {
	text, err := os.ReadFile("testdata/usage.json")
	if err != nil || len(text) == 0 {
		f.Fatalf("no seed: %v", err)
	}
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Add(bytes.ReplaceAll(text, []byte(`"ops": 1`), []byte(`"ops": -1`)))
	f.Add(append(bytes.Clone(text), text...))
	f.Add([]byte(`{"entries":[{"user":"x","z":` + strings.Repeat("[", 100)))
	f.Fuzz(func(t *testing.T, text []byte) {
		failed := false
		for u, err := range audit.ReadUsage(bytes.NewReader(text)) {
			if failed {
				t.Fatal("a result after an error")
			}
			if failed = err != nil; failed {
				continue
			}
			if u.Operation == "" || u.Successful < 0 || u.Requests < u.Successful || u.BytesSent < 0 || u.BytesReceived < 0 || u.Hour.Unix() < 0 {
				t.Fatalf("%+v", u)
			}
		}
	})
}
