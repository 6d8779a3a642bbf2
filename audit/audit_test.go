package audit_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/audit"
	"github.com/objectvault/objectvault/vault"
)

// read returns the records of a log, and its errors.
func read(r io.Reader, o *audit.Options) (records []audit.Record, errs []error) {
	for r, err := range audit.Read(r, o) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		records = append(records, r)
	}
	return records, errs
}

// short returns the fields that the tests below compare.
func short(r audit.Record) string {
	object := r.Key
	switch {
	case r.Object:
		object = fmt.Sprintf("%s:%s:%s", r.Tenant, r.Collection, r.Name)
	case r.Key == "":
		object = fmt.Sprintf("%q of %q", r.Prefix, r.Tenant)
	}
	caller := strings.Trim(strings.Join([]string{r.Principal, r.Session, r.Subject}, "|"), "|")
	result := fmt.Sprintf("%d %s", r.Status, r.Code)
	if r.Denied {
		result += " denied"
	}
	return strings.Join([]string{string(r.Verb), object, r.Version, fmt.Sprint(r.Bytes), caller, r.Address, result}, ", ")
}

func shorts(records []audit.Record) (all []string) {
	for _, r := range records {
		all = append(all, short(r))
	}
	return all
}

// The logs in testdata. Those of rgw, versitygw and SeaweedFS were written by the servers that internal/testcloud
// installs. The others consist of the examples of the vendors, with keys of a vault:
//
//   - https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
//   - https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
//   - https://github.com/aws/aws-cdk/blob/main/packages/aws-cdk-lib/aws-cloudtrail/SAMPLE-EVENTS.md
//   - https://cloud.tencent.com/document/product/436/16920
var logs = []struct {
	file    string
	dialect audit.Dialect
	records []string
}{
	{"s3.log", audit.S3, []string{
		`stat, "" of "", , 0, 79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be, 192.0.2.3, 200 `,
		`stat, "" of "", , 0, 79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be, 192.0.2.3, 404 NoSuchBucketPolicy`,
		`write, s3-dg.pdf, , 4406583, 79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be, 192.0.2.3, 200 `,
	}},
	{"cloudtrail.json", audit.CloudTrail, []string{
		`write, 0xabc:credentials:openai, v1, 197, arn:aws:iam::123456789012:role/tenants|agent-7|agentkeys:agent:0xabc, 192.0.2.4, 0 `,
		`read, sitemap.xml, , 339117, cloudfront.amazonaws.com, cloudfront.amazonaws.com, 0 `,
		`read, 0xabc:credentials:openai, v1, 0, arn:aws:iam::123456789012:user/Alice, 192.0.2.9, 0 AccessDenied denied`,
		`read, 0xdef:credentials:a b, v9, 0, arn:aws:iam::123456789012:user/Alice, 192.0.2.9, 0 AccessDenied denied`,
		`write, 0xabc:credentials:copy, , 0, arn:aws:iam::123456789012:user/Alice, 192.0.2.9, 0 AccessDenied denied`,
		`delete, 0xabc:credentials:a, , 0, arn:aws:iam::123456789012:user/Alice, 192.0.2.9, 0 `,
		`delete, 0xabc:credentials:b, , 0, arn:aws:iam::123456789012:user/Alice, 192.0.2.9, 0 `,
		`list, "bots/0xabc/credentials/" of "0xabc", , 0, , 203.0.113.1, 0 AccessDenied denied`,
	}},
	{"cos.log", audit.COS, []string{
		`write, folder/text.txt, , 0, 100000000001:100000000002, 192.168.0.1, 404 NoSuchKey`,
		`read, 0xabc:credentials:a b, ver1, 1234, 100000000001:4611686018427397919, 192.0.2.7, 200 `,
		`write, 0xdef:credentials:x, , 0, 100000000001:4611686018427397919, 192.0.2.8, 403 AccessDenied denied`,
		`list, "bots/0xdef/" of "0xdef", , 0, , 192.0.2.8, 403 AccessDenied denied`,
	}},
	{"rgw.log", audit.RGW, []string{
		`configure, "" of "", , 0, owner, 127.0.0.1, 200 `,
		`write, alice:credentials:a b, , 5, owner, 127.0.0.1, 200 `,
		`read, alice:credentials:a b, , 5, owner, 127.0.0.1, 200 `,
		`stat, alice:credentials:a b, , 0, owner, 127.0.0.1, 200 `,
		`list, "bots/alice/cre" of "alice", , 0, owner, 127.0.0.1, 200 `,
		`list, "bots/alice/cre" of "alice", , 0, owner, 127.0.0.1, 200 `,
		`delete, bots/alice/credentials/a%20b.enc2, , 0, owner, 127.0.0.1, 200 `,
		`delete, alice:credentials:a b, , 0, owner, 127.0.0.1, 204 `,
		`delete, bots/alice/credentials/a b"ü.enc, , 0, owner, 127.0.0.1, 204 `,
		`write, alice:credentials:a b, , 0, other, 127.0.0.1, 403 AccessDenied denied`,
		`read, alice:credentials:a b, , 0, other, 127.0.0.1, 403 AccessDenied denied`,
		`stat, alice:credentials:a b, , 0, other, 127.0.0.1, 403 AccessDenied denied`,
		`delete, "" of "", , 0, other, 127.0.0.1, 403 AccessDenied denied`,
		`delete, alice:credentials:a b, , 0, other, 127.0.0.1, 403 AccessDenied denied`,
		`write, alice:credentials:a b, , 0, ` + rgwCaller + `, 127.0.0.1, 403 AccessDenied denied`,
		`read, alice:credentials:a b, , 0, ` + rgwCaller + `, 127.0.0.1, 403 AccessDenied denied`,
		`stat, alice:credentials:a b, , 0, ` + rgwCaller + `, 127.0.0.1, 403 AccessDenied denied`,
	}},
	{"versity.log", audit.Versity, []string{
		`configure, "" of "", , 0, root, 127.0.0.1, 200 `,
		`write, alice:credentials:a b, , 5, root, 127.0.0.1, 200 `,
		`list, "bots/alice/cre" of "alice", , 0, root, 127.0.0.1, 200 `,
		`write, bots/alice/credentials/a%20b.enc2, , 0, root, 127.0.0.1, 404 NoSuchKey`,
		`delete, "" of "", , 0, root, 127.0.0.1, 200 `,
		`write, alice:credentials:a b, , 0, root, 127.0.0.1, 200 `,
		`read, bots/alice/credentials/a b"ü.enc, , 0, root, 127.0.0.1, 200 `,
		`stat, bots/alice/credentials/a b"ü.enc, , 0, root, 127.0.0.1, 200 `,
		`read, alice:credentials:a b, , 0, mallory, 127.0.0.1, 403 AccessDenied denied`,
		`stat, alice:credentials:a b, , 0, mallory, 127.0.0.1, 403 AccessDenied denied`,
		`list, "bots/alice/cre" of "alice", , 0, mallory, 127.0.0.1, 403 AccessDenied denied`,
		`list, "bots/alice/cre" of "alice", , 0, mallory, 127.0.0.1, 403 AccessDenied denied`,
		`write, bots/alice/credentials/a%20b.enc2, , 0, mallory, 127.0.0.1, 403 AccessDenied denied`,
		`write, alice:credentials:a b, , 0, mallory, 127.0.0.1, 403 AccessDenied denied`,
		`read, alice:credentials:a b, nope, 0, mallory, 127.0.0.1, 403 AccessDenied denied`,
		`delete, alice:credentials:a b, , 0, mallory, 127.0.0.1, 403 AccessDenied denied`,
		`stat, alice:credentials:a b, , 0, , 127.0.0.1, 403 SignatureDoesNotMatch denied`,
		`list, "bots/alice/cre" of "alice", , 0, , 127.0.0.1, 403 SignatureDoesNotMatch denied`,
	}},
	{"client.log", audit.Client, []string{
		`write, 0xabc:credentials:openrouter, , 0, , , 0 `,
		`read, 0xabc:credentials:openrouter, , 0, , , 0 `,
		`read, 0xabc:credentials:none, , 0, , , 0 not_found`,
		`list, "" of "0xabc", , 0, , , 0 `,
	}},
	{"weed.log", audit.Weed, []string{
		`configure, "" of "", , 0, arn:aws:iam::000000000000:user/owner, 127.0.0.1, 200 `,
		`write, ready, , 0, arn:aws:iam::000000000000:user/owner, 127.0.0.1, 200 `,
		`write, ` + weedBob + `:credentials:seed, , 0, ` + weedCaller + `, 127.0.0.1, 403 AccessDenied denied`,
		`read, ` + weedBob + `:credentials:seed, , 0, ` + weedCaller + `, 127.0.0.1, 403 AccessDenied denied`,
		`stat, ` + weedBob + `:credentials:seed, , 0, ` + weedCaller + `, 127.0.0.1, 403 AccessDenied denied`,
		`delete, ` + weedBob + `:credentials:seed, , 0, ` + weedCaller + `, 127.0.0.1, 403 AccessDenied denied`,
		`list, "" of "", , 0, ` + weedCaller + `, 127.0.0.1, 403 AccessDenied denied`,
		`delete, 0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a:credentials:beside, , 0, ` + weedCaller + `, 127.0.0.1, 204 `,
		`delete, "" of "", , 0, ` + weedCaller + `, 127.0.0.1, 200 `,
		`delete, ready, , 0, arn:aws:iam::000000000000:user/owner, 127.0.0.1, 204 `,
	}},
}

const (
	weedBob    = "0xb0b5e376e7c213b7e7e7e46cc70a5dd086da0b0b"
	weedCaller = "arn:aws:sts::assumed-role/tenants-vault|objectvault|agentkeys:agent:0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a@vault"
)

const rgwCaller = "$oidc$agentkeys:agent:0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|session1|agentkeys:agent:0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func compressed(text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(text)
	z.Close()
	return b.Bytes()
}

// Every record of the logs is read, its dialect is detected, and the size of the reads, compression and
// the ends of lines make no difference.
func TestRead(t *testing.T) {
	for _, log := range logs {
		t.Run(log.file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", log.file))
			if err != nil {
				t.Fatal(err)
			}
			zipped := compressed(text)
			for name, r := range map[string]io.Reader{
				"plain": bytes.NewReader(text), "one byte at a time": iotest.OneByteReader(bytes.NewReader(text)), "gzip": bytes.NewReader(zipped),
				"windows": strings.NewReader("\ufeff" + strings.ReplaceAll(string(text), "\n", "\r\n")),
			} {
				o := new(audit.Options)
				if name == "windows" && log.dialect != audit.CloudTrail {
					o.Dialect = log.dialect
					r = strings.NewReader(strings.ReplaceAll(string(text), "\n", "\r\n"))
				}
				records, errs := read(r, o)
				if len(errs) > 0 {
					t.Errorf("%s: %v", name, errs)
				}
				if diff := cmp.Diff(log.records, shorts(records)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
				for _, r := range records {
					if r.Dialect != log.dialect || r.Bucket == "" || r.Time.Location() != time.UTC || r.Operation == "" {
						t.Errorf("%s: dialect %q, bucket %q, time %v, operation %q", name, r.Dialect, r.Bucket, r.Time, r.Operation)
					}
				}
			}
		})
	}
}

// TestReadCut: of a log that cannot be read to its end, the records before the error are returned, and then
// the error.
func TestReadCut(t *testing.T) {
	for _, log := range logs {
		t.Run(log.file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", log.file))
			if err != nil {
				t.Fatal(err)
			}
			zipped := compressed(text)
			broken := errors.New("connection lost")
			all := len(log.records)
			some := text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1] // without the last line
			before, _ := read(bytes.NewReader(some), nil)
			for name, tc := range map[string]struct {
				r     io.Reader
				want  error
				least int // records before the error
			}{
				"gzip without its checksum": {bytes.NewReader(zipped[:len(zipped)-8]), io.ErrUnexpectedEOF, all},
				"half of the gzip":          {bytes.NewReader(zipped[:len(zipped)/2]), io.ErrUnexpectedEOF, 0},
				"error after all":           {io.MultiReader(bytes.NewReader(text), iotest.ErrReader(broken)), broken, all},
				"error after some":          {&once{some, broken}, broken, len(before)},
				"error first":               {iotest.ErrReader(broken), broken, 0},
			} {
				records, errs := read(tc.r, nil)
				if len(errs) == 0 || !errors.Is(errs[len(errs)-1], tc.want) {
					t.Errorf("%s: %v, want %v", name, errs, tc.want)
				}
				got := shorts(records)
				if len(got) > len(log.records) || !slices.Equal(got, log.records[:len(got)]) || len(got) < tc.least {
					t.Errorf("%s: records %q, want the first of %q", name, got, log.records)
				}
			}
		})
	}
}

// A once is a reader that returns err once, after text.
type once struct {
	text []byte
	err  error
}

func (o *once) Read(p []byte) (int, error) {
	n := copy(p, o.text)
	if o.text = o.text[n:]; n > 0 {
		return n, nil
	}
	err := o.err
	o.err = io.EOF
	return 0, err
}

// The other fields of a record, once for each dialect.
func TestFields(t *testing.T) {
	for file, want := range map[string]audit.Record{
		"s3.log": {RequestID: "DD6CC733AEXAMPLE", UserAgent: "S3Console/0.4", Operation: "REST.PUT.OBJECT", Bucket: "awsexamplebucket1",
			Time: time.Date(2019, 2, 6, 0, 1, 57, 0, time.UTC)},
		"cos.log": {RequestID: "id3", UserAgent: "agent 1.0 (linux)", Operation: "PutObject", Bucket: "vault-1250000000", AccessKeyID: "AKIDtemporary",
			Time: time.Date(2026, 5, 1, 10, 0, 1, 0, time.UTC)},
		"cloudtrail.json": {RequestID: "CF9748DFDC5FB0A4", UserAgent: "aws-cli/1.16.96 Python/2.7.12 Linux/4.4.0-146-generic botocore/1.12.86",
			Operation: "PutObject", Bucket: "vault", AccessKeyID: "ASIAZYCAIJERO6H7", Time: time.Date(2026, 5, 22, 8, 38, 5, 0, time.UTC)},
		"rgw.log": {RequestID: "tx000004bb2d979e6fd9f82-006b0cd6de-1007-default", Operation: "put_obj", Bucket: "vault", AccessKeyID: "other",
			UserAgent: "aws-sdk-go-v2/1.46.0 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/s3#1.111.0 m/E,e",
			Time:      time.Date(2026, 11, 30, 1, 52, 30, 659369000, time.UTC)},
		"weed.log": {RequestID: "18ECB28BA995171B819AFFC9", Operation: "REST.PUT.OBJECT", Bucket: "vault", AccessKeyID: "ASIAtemporary",
			UserAgent: "aws-sdk-go-v2/1.46.0 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/s3#1.111.0 m/E,e",
			Time:      time.Date(2026, 11, 30, 2, 44, 24, 0, time.UTC)},
		"versity.log": {RequestID: "TP7R4FL1A5Z8E310", Operation: "s3_HeadObject", Bucket: "vault", AccessKeyID: "mallory",
			UserAgent: "aws-sdk-go-v2/1.46.0 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/s3#1.111.0 m/E,e",
			Time:      time.Date(2026, 11, 30, 1, 52, 22, 0, time.UTC)},
	} {
		f, err := os.Open(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		records, _ := read(f, nil)
		f.Close()
		found := false
		for _, r := range records {
			if r.RequestID != want.RequestID {
				continue
			}
			found = true
			got := audit.Record{RequestID: r.RequestID, UserAgent: r.UserAgent, Operation: r.Operation, Bucket: r.Bucket, AccessKeyID: r.AccessKeyID, Time: r.Time}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		}
		if !found {
			t.Errorf("%s has no request %s", file, want.RequestID)
		}
	}
}

// S3 encodes most keys twice, and some once.
func TestS3Key(t *testing.T) {
	line := func(operation, key, uri string) string {
		return `o vault [06/Feb/2019:00:00:38 +0000] 192.0.2.3 arn:aws:sts::1:assumed-role/tenants/s1 ID ` + operation + ` ` + key + ` ` + uri + ` 200 - 1 2 3 4 - - - h SigV4 c AuthHeader x TLSV1.2`
	}
	for _, tc := range []struct{ operation, key, uri, want string }{
		{"REST.GET.OBJECT", "bots/t/credentials/a%252520b.enc", `"GET /vault/bots/t/credentials/a%2520b.enc HTTP/1.1"`, "bots/t/credentials/a%20b.enc"},
		{"REST.GET.OBJECT", "bots/t/credentials/a%252520b.enc", `"GET /bots/t/credentials/a%2520b.enc HTTP/1.1"`, "bots/t/credentials/a%20b.enc"},
		{"REST.GET.OBJECT", "bots/t/credentials/a%2520b.enc", `"GET /vault/bots/t/credentials/a%2520b.enc HTTP/1.1"`, "bots/t/credentials/a%20b.enc"},
		// The name of this object is a%20b.
		{"REST.GET.OBJECT", "bots/t/credentials/a%25252520b.enc", `"GET /vault/bots/t/credentials/a%252520b.enc HTTP/1.1"`, "bots/t/credentials/a%2520b.enc"},
		{"BATCH.DELETE.OBJECT", "bots/t/credentials/a%2520b.enc", "-", "bots/t/credentials/a%20b.enc"},
		{"BATCH.DELETE.OBJECT", "bots/t/credentials/a%252520b.enc", `"POST /vault?delete HTTP/1.1"`, "bots/t/credentials/a%2520b.enc"},
		{"S3.EXPIRE.OBJECT", "bots/t/credentials/a%2520b.enc", "-", "bots/t/credentials/a%20b.enc"},
		{"REST.COPY.OBJECT_GET", "bots/t/credentials/a%252520b.enc", "-", "bots/t/credentials/a%20b.enc"},
		{"REST.COPY.OBJECT_GET", "bots/t/credentials/a%2520b.enc", "-", "bots/t/credentials/a%20b.enc"},
		{"REST.GET.OBJECT", "photos/2019%252Fa.jpg", "-", "photos/2019/a.jpg"},
		{"REST.GET.OBJECT", "100%", "-", "100%"},
	} {
		records, errs := read(strings.NewReader(line(tc.operation, tc.key, tc.uri)), nil)
		if len(errs) > 0 || len(records) != 1 {
			t.Fatalf("%s %s: %d records, %v", tc.operation, tc.key, len(records), errs)
		}
		if r := records[0]; r.Key != tc.want || r.Principal != "arn:aws:sts::1:assumed-role/tenants" || r.Session != "s1" {
			t.Errorf("%s %s %s: key %q, want %q; caller %q %q", tc.operation, tc.key, tc.uri, r.Key, tc.want, r.Principal, r.Session)
		}
	}
}

// Text that a client chooses cannot add or replace fields, and does not hide the request.
func TestForgedFields(t *testing.T) {
	const s3 = `o vault [06/Feb/2019:00:00:38 +0000] 192.0.2.3 attacker ID REST.GET.OBJECT k `
	for _, tc := range []struct{ name, line, agent string }{
		{"a quoted user agent", s3 + `"GET /vault/k HTTP/1.1" 403 AccessDenied 1 - 3 - "-" "a "quoted" agent" - h SigV4 c AuthHeader x TLS`, `a "quoted" agent`},
		{"a referer with quotes", s3 + `"GET /vault/k HTTP/1.1" 403 AccessDenied 1 - 3 - "x" y" "agent" - h SigV4 c AuthHeader x TLS`, ""},
		{"a URI with fields", s3 + `"GET /vault/k" 200 - 1 - 3 - "-" "x" - h HTTP/1.1" 403 AccessDenied 1 - 3 - "-" "agent" - h SigV4 c AuthHeader x TLS`, "ambiguous"},
		{"a user agent with fields", s3 + `"GET /vault/k HTTP/1.1" 403 AccessDenied 1 - 3 - "-" "x" 200 - 1 - 3 - "-" "agent" - h SigV4 c AuthHeader x TLS`, "ambiguous"},
		{"a key of versitygw with fields", `root vault [30/November/2026:01:52:22 +0000] 127.0.0.1 attacker ID s3_GetObject k /vault/k 200 - 0 0 0 0 - x - h SigV4 - AuthHeader h - arn /vault/k%20/vault/k%20200%20-%200%200%200%200%20-%20x%20-%20h%20SigV4%20-%20AuthHeader%20h%20-%20arn 403 AccessDenied 0 0 0 0 - agent - h SigV4 - AuthHeader h - arn:aws:s3:::/vault/k /vault/k 200 - 0 0 0 0 - x - h SigV4 - AuthHeader h - arn Yes`, "ambiguous"},
		{"a user agent of COS with a quote", `1.0 vault-1 r 2026-05-01T10:00:02Z h GetObject 192.0.2.8 A - 0 0 /k GET "agent 403 AccessDenied denied. 300 12 USER - 1 11 - id4 - - - - - 0 - - - -`, "ambiguous"},
		{"a user agent of COS with a thousand blanks", `1.0 vault-1 r 2026-05-01T10:00:02Z h GetObject 192.0.2.8 A - 0 0 /k GET ` + strings.Repeat("a ", 1000) + `403 AccessDenied denied. 300 12 USER - 1 11 - id4 - - - - "GET /k HTTP/1.1" 0`, "ambiguous"},
		{"a message of COS with fields", `1.0 vault-1 r 2026-05-01T10:00:02Z h GetObject 192.0.2.8 A - 0 0 /k GET agent 200 - - 1 2 USER x 403 AccessDenied denied. 300 12 USER - 1 11 - id4 - - - - "GET /k HTTP/1.1" 0`, "ambiguous"},
	} {
		records, errs := read(strings.NewReader(tc.line+"\n"), nil)
		switch {
		case tc.agent == "ambiguous":
			if len(errs) > 0 || len(records) != 1 {
				t.Errorf("%s: %q, %v; want one record", tc.name, shorts(records), errs)
				continue
			}
			r := records[0]
			if !r.Ambiguous || r.Status != 0 || r.Denied || r.UserAgent != "" || r.Time.IsZero() || r.Verb != audit.VerbRead || r.Operation == "" ||
				r.Address == "" || r.Bucket == "" || r.Key != "k" && r.Dialect != audit.Versity || r.Principal != "attacker" && r.Dialect != audit.COS {
				t.Errorf("%s: %+v; want the fields that are certain", tc.name, r)
			}
		case len(errs) > 0 || len(records) != 1 || !records[0].Denied:
			t.Errorf("%s: %q, %v", tc.name, shorts(records), errs)
		case records[0].Ambiguous:
			t.Errorf("%s: it is certain", tc.name)
		case tc.agent != "" && records[0].UserAgent != tc.agent:
			t.Errorf("%s: user agent %q, want %q", tc.name, records[0].UserAgent, tc.agent)
		}
	}
}

// A client cannot hide the key or the prefix of a request by the form of the request.
func TestTargets(t *testing.T) {
	rgw := func(operation, target string) string {
		return `{"bucket":"vault","time":"2026-11-30T01:52:28Z","remote_addr":"192.0.2.3","user":"mallory","operation":"` + operation + `","uri":"GET ` + target + ` HTTP/1.1","http_status":"200","error_code":""}`
	}
	s3 := func(target string) string {
		return `o vault [06/Feb/2019:00:00:38 +0000] 192.0.2.3 mallory ID REST.GET.BUCKET - "GET ` + target + ` HTTP/1.1" 200 - 1 2 3 4 - - - h SigV4 c AuthHeader x TLSV1.2`
	}
	cos := func(target string) string {
		return `1.0 vault-1 r 2026-05-01T10:00:02Z h GetBucket 192.0.2.8 A - 0 0 / GET agent 200 - - 300 12 USER - 1 11 1:2 id4 - - - - "GET ` + target + ` HTTP/1.1" 0`
	}
	versity := func(target string) string {
		return `root vault [30/November/2026:01:52:22 +0000] 127.0.0.1 mallory ID s3_ListObjectsV2 - ` + target + ` 200 - 0 0 0 0 - agent - h SigV4 - AuthHeader h - arn:aws:s3:::/vault Yes`
	}
	const key = "bots/bob/credentials/x.enc"
	for _, tc := range []struct {
		line, key, prefix string
		tenant            vault.Tenant
		ambiguous         bool
	}{
		{rgw("get_obj", "/vault/"+key), key, "", "bob", false},
		{rgw("get_obj", "http://vault.example/vault/"+key), key, "", "bob", false},
		{rgw("get_obj", "HTTPS://vault.example/vault/"+key+"?x-id=GetObject?x-id=GetObject"), key, "", "bob", false},
		{rgw("get_obj", "/vault/"+key+"%"), key, "", "bob", false},
		{rgw("get_obj", "/vault/"+key+"%4?x=?x="), key, "", "bob", false},
		{rgw("get_obj", "/vault/bots/bob/credentials/%zz%78.enc"), "bots/bob/credentials/%zzx.enc", "", "bob", false},
		{rgw("get_obj", "vault/"+key), "", "", "", true},
		{rgw("get_obj", ""), "", "", "", true},
		{rgw("list_bucket", "http://vault.example/vault?prefix=bots/bob/"), "", "bots/bob/", "bob", false},
		{rgw("list_bucket", "http://vault.example?prefix=bots/bob/"), "", "bots/bob/", "bob", false},
		{rgw("list_bucket", "/vault?prefix=bots/alice/&prefix=bots/bob/"), "", "bots/bob/", "bob", false},
		{rgw("list_bucket", "/vault?prefix=bots/alice/&prefix=bots/bob/?prefix=bots/alice/&prefix=bots/bob/"), "", "bots/bob/", "bob", false},
		{rgw("list_bucket", "/vault?prefix%3Dbots/bob/"), "", "bots/bob/", "bob", false},
		{rgw("list_bucket", "/vault?prefix=bots/bob/%zz"), "", "bots/bob/%zz", "bob", false},
		{rgw("list_bucket", "/vault?prefix=bots/alice/&prefix=bots/bob/%2&max-keys=1"), "", "bots/bob/", "bob", false},
		{rgw("list_bucket", "/vault?prefix=bots/bob/&prefix"), "", "", "", false},
		{rgw("list_bucket", "/vault?prefix=bots/bob/a;b+c&max-keys=1"), "", "bots/bob/a;b c", "bob", false},
		{rgw("list_bucket", "*"), "", "", "", true},
		{s3("http://vault.s3.amazonaws.com/?prefix=bots/bob/"), "", "bots/bob/", "bob", false},
		{s3("/?prefix=bots/bob/%zz;"), "", "bots/bob/%zz;", "bob", false},
		{s3("/?prefix=bots/bob/&prefix=bots/bob/"), "", "bots/bob/", "bob", false},
		{s3("/?prefix=bots/alice/&prefix=bots/bob/"), "", "bots/", "", true},
		{s3("*"), "", "", "", true},
		{cos("https://vault-1.cos.r.myqcloud.com/?prefix=bots/bob/"), "", "bots/bob/", "bob", false},
		{cos("/?prefix=bots/alice/&prefix=bots/bob/"), "", "bots/", "", true},
		{cos("*"), "", "", "", true},
		{versity("/vault?prefix=bots/alice/&prefix=bots/bob/"), "", "bots/", "", true},
		{versity("/vault?prefix=bots/bob/%zz;a"), "", "bots/bob/%zz;a", "bob", false},
		// The bucket has the name of the first folder of every key.
		{strings.Replace(rgw("get_obj", "/bots/bots/bob/credentials/x.enc"), `"vault"`, `"bots"`, 1), key, "", "bob", false},
		{strings.Replace(rgw("get_obj", "/bots/bob/credentials/x.enc"), `"vault"`, `"bots"`, 1), key, "", "bob", false},
	} {
		records, errs := read(strings.NewReader(tc.line), nil)
		if len(errs) > 0 || len(records) != 1 {
			t.Errorf("%s: %d records, %v", tc.line, len(records), errs)
			continue
		}
		if r := records[0]; r.Key != tc.key || r.Prefix != tc.prefix || r.Tenant != tc.tenant || r.Ambiguous != tc.ambiguous {
			t.Errorf("%s: key %q, prefix %q, tenant %q, ambiguous %t", tc.line, r.Key, r.Prefix, r.Tenant, r.Ambiguous)
		}
	}
}

// Records of CloudTrail from other partitions, with access points, and from other services.
func TestCloudTrailForms(t *testing.T) {
	const start = `{"Records":[{"eventTime":"2026-05-22T08:40:00Z","eventSource":"s3.amazonaws.com",`
	for _, tc := range []struct{ text, want string }{
		{start + `"eventName":"DeleteObjects","requestParameters":{"bucketName":"vault"},"resources":[{"type":"AWS::S3::Object","ARN":"arn:aws-cn:s3:::vault/bots/t/credentials/a.enc"}]}]}`,
			"delete, t:credentials:a, , 0, , , 0 "},
		{start + `"eventName":"CopyObject","requestParameters":{"bucketName":"vault","key":"x","x-amz-copy-source":"arn:aws:s3:eu-central-1:1:accesspoint/ap/object/bots/t/credentials/a%25.enc?x=1&versionId=v"}}]}`,
			"read, bots/t/credentials/a%.enc, v, 0, , , 0 "},
		{start + `"eventName":"GetObject","userIdentity":{"sessionContext":{"webIdFederationData":{"attributes":{"a":["b"],"issuer:sub":"s"}}}},"requestParameters":{"bucketName":"vault","key":"x"}}]}`,
			"read, x, , 0, s, , 0 "},
		{strings.Replace(start, "s3.", "ec2.", 1) + `"eventName":"RunInstances","requestParameters":["a"],"additionalEventData":"b"}]}`, ""},
	} {
		records, errs := read(strings.NewReader(tc.text), nil)
		if got := append(shorts(records), ""); len(errs) > 0 || got[0] != tc.want {
			t.Errorf("%s: %q, %v; want %q", tc.text, got, errs, tc.want)
		}
	}
}

// The log of the command counts the requests without an id. In logs of older versions, their number is at least
// that of the calls without one.
func TestClientRequests(t *testing.T) {
	const start = `{"time":"2026-05-01T10:00:00Z","op":"put","tenant":"t","collection":"credentials","name":"a","store":"s3://vault","result":"ok","duration_ms":1,`
	for text, want := range map[string]int{
		`"requests":1,"request_ids":["R1","R2"],"requests_without_id":3`: 3,
		`"requests":3,"request_ids":["R1"],"requests_without_id":0`:      0,
		`"requests":3,"request_ids":["R1"]`:                              2,
		`"requests":1,"request_ids":["R1","R2"]`:                         0,
		`"requests":1,"requests_without_id":-1`:                          0,
	} {
		records, errs := read(strings.NewReader(start+text+"}"), nil)
		if len(errs) > 0 || len(records) != 1 || records[0].RequestsWithoutID != want {
			t.Errorf("%s: %+v, %v; want %d requests without an id", text, records, errs, want)
		}
	}
}

// An event of S3 with a field of another type is reported, wherever the field is. Only events of other services
// may have such fields.
func TestCloudTrailTypes(t *testing.T) {
	const at, s3, rest = `"eventTime":"2026-05-22T08:40:00Z"`, `"eventSource":"s3.amazonaws.com"`, `"eventName":"GetObject","requestParameters":{"bucketName":"vault","key":"bots/t/credentials/a.enc"}`
	for _, event := range []string{
		at + `,` + s3 + `,"additionalEventData":"x",` + rest,
		`"additionalEventData":"x",` + at + `,` + s3 + `,` + rest,
		at + `,"eventSource":"s3.amazonaws.com.cn","resources":{},` + rest,
		at + `,"eventSource":["s3.amazonaws.com"],` + rest,
	} {
		records, errs := read(strings.NewReader(`{"Records":[{`+event+`}]}`), nil)
		var p *audit.ParseError
		if len(records) > 0 || len(errs) != 1 || !errors.As(errs[0], &p) {
			t.Errorf("%s: %q, %v; want a ParseError", event, shorts(records), errs)
		}
	}
}

// A record that is malformed, too long or cut off is lost, and no other one. The error contains nothing of it.
func TestMalformed(t *testing.T) {
	for _, log := range logs {
		text, err := os.ReadFile(filepath.Join("testdata", log.file))
		if err != nil {
			t.Fatal(err)
		}
		sep, open, end := "\n", "", ""
		body := strings.TrimSpace(string(text))
		if log.dialect == audit.CloudTrail {
			sep, open, end = ",\n", `{"Records":[`, "]}"
			body = strings.TrimSuffix(strings.TrimPrefix(body, open), end)
		}
		const secret = "sk-secret"
		for name, bad := range map[string]string{
			"text":     `{"bucket":"` + secret + `"}`,
			"no JSON":  "{" + secret + "}",
			"too long": `{"bucket":"` + strings.Repeat(secret, 20_000) + `"}`,
		} {
			first, rest, _ := strings.Cut(body, sep)
			damaged := open + first + sep + bad + sep + rest + end
			records, errs := read(strings.NewReader(damaged), &audit.Options{MaxRecord: 100_000})
			if diff := cmp.Diff(log.records, shorts(records)); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", log.file, name, diff)
			}
			var p *audit.ParseError
			if len(errs) != 1 || !errors.As(errs[0], &p) || p.Dialect != log.dialect {
				t.Fatalf("%s, %s: errors %v, want a ParseError", log.file, name, errs)
			}
			if strings.Contains(p.Error(), "secret") || p.Offset != int64(len(open+first+sep)) || log.dialect != audit.CloudTrail && p.Line != 2 {
				t.Errorf("%s, %s: %v at offset %d, want %d", log.file, name, p, p.Offset, len(open+first+sep))
			}
		}
		// The last record is cut off.
		records, errs := read(strings.NewReader(string(text[:len(text)-250])), nil)
		var p *audit.ParseError
		if len(records) >= len(log.records) || len(errs) != 1 || !errors.As(errs[0], &p) {
			t.Errorf("%s, cut off: %d records, errors %v", log.file, len(records), errs)
		}
	}
}

// Ceph writes several records into one line, and a socket sends a list.
func TestRGWLines(t *testing.T) {
	text, err := os.ReadFile("testdata/rgw.log")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	want := logs[3].records
	for name, text := range map[string]string{
		"one line":        strings.Join(lines, ""),
		"a socket":        "[" + strings.Join(lines, ",\n") + ",\n",
		"a list":          "[" + strings.Join(lines, ",") + "]",
		"a damaged start": lines[0][100:] + "\n" + strings.Join(lines, ""),
		"a damaged end":   strings.Join(lines, "") + lines[0][:100] + "\n",
		"a damaged line":  strings.Join(lines[:5], "") + lines[0][:100] + "\n" + strings.Join(lines[5:], ""),
	} {
		records, errs := read(strings.NewReader(text), &audit.Options{Dialect: audit.RGW})
		if diff := cmp.Diff(want, shorts(records)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if damaged := strings.HasPrefix(name, "a damaged"); damaged != (len(errs) == 1) {
			t.Errorf("%s: errors %v", name, errs)
		}
	}
}

// The bucket of a tenant of RGW. Ceph 16.2.15 wrote these fields.
func TestRGWTenants(t *testing.T) {
	for _, tc := range []struct{ bucket, operation, uri, want string }{
		{"acme/vault", "get_obj", "GET /vault/bots/alice/credentials/openai.enc HTTP/1.1", `read, alice:credentials:openai, , 0, acme$bob, , 200 `},
		{"acme/vault", "get_obj", "GET /acme:vault/bots/alice/credentials/openai.enc HTTP/1.1", `read, alice:credentials:openai, , 0, acme$bob, , 200 `},
		{"acme/vault", "get_obj", "GET /acme%3Avault/bots/alice/credentials/openai.enc HTTP/1.1", `read, alice:credentials:openai, , 0, acme$bob, , 200 `},
		{"vault", "get_obj", "GET /:vault/bots/alice/credentials/openai.enc HTTP/1.1", `read, alice:credentials:openai, , 0, acme$bob, , 200 `},
		{"acme/vault", "list_bucket", "GET /acme:vault?prefix=bots/alice/?prefix=bots/alice/ HTTP/1.1", `list, "bots/alice/" of "alice", , 0, acme$bob, , 200 `},
		{"acme/vault", "get_obj", "GET /vault/acme:vault/x HTTP/1.1", `read, acme:vault/x, , 0, acme$bob, , 200 `},
	} {
		records, errs := read(strings.NewReader(fmt.Sprintf(`{"bucket":%q,"time":"2026-11-30T05:21:55.342886Z","remote_addr":"","user":"acme$bob","operation":%q,"uri":%q,"http_status":"200","total_time":67}`, tc.bucket, tc.operation, tc.uri)), nil)
		if len(errs) > 0 || len(records) != 1 || short(records[0]) != tc.want || records[0].Bucket != tc.bucket {
			t.Errorf("%s in %s: %q, %v; want %q", tc.uri, tc.bucket, shorts(records), errs, tc.want)
		}
	}
}

// The time that RGW took. If the clock is set back, Ceph writes a number that is out of range.
func TestRGWDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"67": 67 * time.Millisecond, "0": 0, "18446744073709551000": 0, "-5": 0} {
		records, errs := read(strings.NewReader(`{"bucket":"vault","time":"2026-11-30T05:21:55.342886Z","remote_addr":"","user":"a","operation":"get_obj","uri":"GET /vault/a HTTP/1.1","http_status":"200","total_time":`+text+`}`), nil)
		if len(errs) > 0 || len(records) != 1 || records[0].Duration != want {
			t.Errorf("%s: %+v, %v; want %v", text, records, errs, want)
		}
	}
}

func TestReadFails(t *testing.T) {
	for _, tc := range []struct {
		name string
		r    io.Reader
		o    *audit.Options
		want error
	}{
		{"nothing", strings.NewReader(""), nil, nil},
		{"white space", strings.NewReader("\n \n"), nil, nil},
		{"no records", strings.NewReader(`{"Records":[]}`), nil, nil},
		{"another text", strings.NewReader("to be or not to be\n"), nil, audit.ErrDialect},
		{"another JSON", strings.NewReader(`{"a":1}`), nil, audit.ErrDialect},
		{"an unknown dialect", strings.NewReader("x"), &audit.Options{Dialect: "x"}, audit.ErrDialect},
		{"a reader that fails", iotest.ErrReader(iotest.ErrTimeout), nil, iotest.ErrTimeout},
		{"a reader that fails later", io.MultiReader(strings.NewReader("log starts now\n"), iotest.ErrReader(iotest.ErrTimeout)), &audit.Options{Dialect: audit.Versity}, iotest.ErrTimeout},
		{"compression that is cut", strings.NewReader("\x1f\x8b\x08"), nil, io.ErrUnexpectedEOF},
	} {
		records, errs := read(tc.r, tc.o)
		switch {
		case len(records) > 0:
			t.Errorf("%s: %d records", tc.name, len(records))
		case tc.want == nil && len(errs) > 0, tc.want != nil && (len(errs) != 1 || !errors.Is(errs[0], tc.want)):
			t.Errorf("%s: errors %v, want %v", tc.name, errs, tc.want)
		}
	}
}

// A caller that stops early gets no further call.
func TestReadStops(t *testing.T) {
	for _, log := range logs {
		f, err := os.Open(filepath.Join("testdata", log.file))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for range audit.Read(f, nil) {
			n++
			break
		}
		f.Close()
		if n != 1 {
			t.Errorf("%s: %d records before the end", log.file, n)
		}
	}
}

// Logs can be concatenated.
func TestConcatenated(t *testing.T) {
	for _, log := range logs {
		text, err := os.ReadFile(filepath.Join("testdata", log.file))
		if err != nil {
			t.Fatal(err)
		}
		const times = 200
		var all []io.Reader
		for range times {
			all = append(all, bytes.NewReader(text))
		}
		records, errs := read(io.MultiReader(all...), nil)
		if len(errs) > 0 || len(records) != times*len(log.records) {
			t.Errorf("%s: %d records, want %d; %v", log.file, len(records), times*len(log.records), errs)
		}
	}
}
