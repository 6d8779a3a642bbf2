package tencent_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/audit"
	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/vault"
)

// loggedVerbs is what the access log contains of the denied call of a verb. The log has neither the source of
// a copy nor the keys of a multi-delete, whose response is 200 even if every key was denied.
var loggedVerbs = map[string]struct {
	verb    audit.Verb
	unnamed bool // the log does not contain the place
}{
	"put": {verb: audit.VerbWrite}, "create": {verb: audit.VerbWrite}, "get": {verb: audit.VerbRead}, "get a part": {verb: audit.VerbRead},
	"get a version": {verb: audit.VerbRead}, "head": {verb: audit.VerbStat}, "list": {verb: audit.VerbList},
	"list from a marker": {audit.VerbList, true}, "list with a delimiter": {audit.VerbList, true},
	"list versions": {verb: audit.VerbList}, "list uploads": {verb: audit.VerbList},
	"delete": {verb: audit.VerbDelete}, "delete a version": {verb: audit.VerbDelete}, "delete many": {audit.VerbDelete, true},
	"initiate": {verb: audit.VerbWrite}, "upload a part": {verb: audit.VerbWrite}, "list parts": {verb: audit.VerbList},
	"complete": {verb: audit.VerbWrite}, "abort": {verb: audit.VerbWrite},
	"copy from": {audit.VerbWrite, true}, "copy a part from": {audit.VerbWrite, true}, "copy to": {verb: audit.VerbWrite},
	"put with a public ACL": {verb: audit.VerbWrite}, "set a public object ACL": {verb: audit.VerbConfigure}, "set tags": {verb: audit.VerbConfigure},
	"set a public bucket ACL": {audit.VerbConfigure, true}, "suspend versioning": {audit.VerbConfigure, true},
}

// TestIsolationInAccessLog: every denied call of the isolation matrix is in the access log, with the tenant that
// was attacked, the verb and the role of the caller.
func TestIsolationInAccessLog(t *testing.T) {
	const logs = "logs-1250000000"
	w := newTenantServer(t, "Enabled", "acme", "acmes", "globex")
	if err := w.CreateBucket(logs, ""); err != nil {
		t.Fatal(err)
	}
	all, mine := ownerClient(t, w.Server), w.client("acme", w.URL())
	places := w.places(t, all)
	if _, err := all.Bucket.PutLogging(t.Context(), &cos.BucketPutLoggingOptions{LoggingEnabled: &cos.BucketLoggingEnabled{TargetBucket: logs, TargetPrefix: "vault/"}}); err != nil {
		t.Fatal(err)
	}
	type attempt struct {
		verb  string
		place place
	}
	attempts := make(map[string]attempt) // by user agent
	for _, v := range verbs {
		for _, p := range places {
			if p.own {
				continue
			}
			mine.UserAgent = fmt.Sprintf("attempt/%d", len(attempts))
			if err := v.do(t.Context(), mine, p, w.host()); err == nil {
				t.Errorf("%s at %s succeeded", v.name, p.name)
			}
			attempts[mine.UserAgent] = attempt{v.name, p}
		}
	}
	mine.UserAgent = "own"
	if err := verbs[0].do(t.Context(), mine, places[0], w.host()); err != nil {
		t.Fatal(err)
	}

	records := w.accessLog(t, logs)
	role := records["own"][0].Principal
	if !strings.HasPrefix(role, "100000000001:") || role == "100000000001:100000000001" {
		t.Fatalf("the caller of a tenant is %q, want a role", role)
	}
	for agent, a := range attempts {
		where, want := a.verb+" at "+a.place.name, loggedVerbs[a.verb]
		tenant, _, _, _ := vault.ParseKey(a.place.key)
		found := false
		for _, r := range records[agent] {
			if !r.Denied && a.verb != "delete many" {
				continue // the multipart upload into which a part is copied is the tenant's own
			}
			found = found || r.Verb == want.verb && r.Principal == role && r.Address == "127.0.0.1" && r.Bucket == w.Bucket() &&
				(want.unnamed || r.Tenant == tenant && strings.HasPrefix(r.Key+r.Prefix, a.place.key))
		}
		if !found {
			t.Errorf("%s: the log has %d records, want a denied %s of tenant %q by %s: %+v", where, len(records[agent]), want.verb, tenant, role, records[agent])
		}
	}
	if len(attempts) < 200 {
		t.Errorf("only %d denied calls", len(attempts))
	}
	for _, p := range places {
		if _, err := all.Object.AbortMultipartUpload(t.Context(), p.key, p.upload); err != nil {
			t.Errorf("the upload to %s: %v", p.name, err)
		}
	}
}

// accessLog reads the logs in a bucket, and returns the records by user agent.
func (w *tenantServer) accessLog(t *testing.T, bucket string) map[string][]audit.Record {
	t.Helper()
	keys := cosblob.Static(w.SecretID(), w.SecretKey(), "")
	client, err := cosblob.NewClient(bucket, w.Region(), keys, &cosblob.ClientOptions{Endpoint: w.BucketURL(bucket), Transport: w.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	b, err := cosblob.OpenBucket(t.Context(), client, bucket, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	records := make(map[string][]audit.Record)
	for list := b.List(nil); ; {
		o, err := list.Next(t.Context())
		if err == io.EOF {
			return records
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.NewReader(t.Context(), o.Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		for rec, err := range audit.Read(r, &audit.Options{Dialect: audit.COS}) {
			if err != nil {
				t.Fatalf("%s: %v", o.Key, err)
			}
			records[rec.UserAgent] = append(records[rec.UserAgent], rec)
		}
		r.Close()
	}
}
