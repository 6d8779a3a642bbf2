package aws_test

import (
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/audit"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/vault"
)

// An attempt is a denied call of the matrix.
type attempt struct {
	verb, api string
	place     *place
	call
	requestID string
}

// verbsOfCalls are the verbs in the log of the calls with the SDK.
var verbsOfCalls = map[string]audit.Verb{
	"PUT": audit.VerbWrite, "GET": audit.VerbRead, "HEAD": audit.VerbStat, "DELETE": audit.VerbDelete,
	"list": audit.VerbList, "list of directories": audit.VerbList, "ListObjects, version 1": audit.VerbList, "list of uploads": audit.VerbList,
	"list of versions": audit.VerbList, "DELETE of a version": audit.VerbDelete, "GET of a version": audit.VerbRead,
	"begin": audit.VerbWrite, "part": audit.VerbWrite, "complete": audit.VerbWrite, "list of parts": audit.VerbList, "abort": audit.VerbWrite,
	"copy": audit.VerbWrite, "copy of a part": audit.VerbWrite,
	"with one of its own": audit.VerbDelete, "alone": audit.VerbDelete, "first": audit.VerbDelete, "delete": audit.VerbDelete,
}

// TestIsolationInOpsLog: every denied call of the isolation matrix is in the ops log of Ceph, with the tenant
// that was attacked, the key, the verb and the caller.
func TestIsolationInOpsLog(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	testcloud.RequireRGW(t) // installs Ceph, or skips the test
	server, err := testcloud.StartRGW(t.Context(), &testcloud.RGWOptions{OpsLog: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	s := newSiteOn(t, server, true)
	a, b, l := s.join(t, alice), s.join(t, bob), s.join(t, longer)
	var attempts []attempt
	for _, p := range s.places(t, a, b, l) {
		if p.own {
			continue
		}
		p.seed(t, s)
		attempts = append(attempts, s.attempts(t, a, p)...)
	}
	if len(attempts) < 500 {
		t.Fatalf("the matrix has %d denied calls", len(attempts))
	}
	log := s.readLog(t, server.OpsLog(), audit.RGW)
	var deletions []audit.Record // of single keys in a multi-delete
	for _, records := range log {
		for _, r := range records {
			if r.Operation == "multi_object_delete" && r.Denied {
				deletions = append(deletions, r)
			}
		}
	}
	for _, at := range attempts {
		records := log[at.requestID]
		if at.requestID == "" {
			records = nil
			for _, r := range deletions {
				if r.Key == at.place.key {
					records = append(records, r)
				}
			}
		}
		at.verify(t, records, s.claims(alice).Subject)
	}
	t.Logf("%d denied calls are in the log of %d requests", len(attempts), len(log))
}

// attempts makes all calls of the matrix at a place of another tenant.
func (s *site) attempts(t *testing.T, actor *member, p *place) (all []attempt) {
	t.Helper()
	for _, v := range verbs {
		for api, do := range map[string]func(cell) calls{"sdk": v.sdk, "vault": v.vault} {
			if do == nil || api == "vault" && p.vault == nil {
				continue
			}
			for _, c := range do(s.cell(t, actor, p)) {
				var answer *awshttp.ResponseError
				if errors.As(c.err, new(deniedKeys)) { // the response was 200
					all = append(all, attempt{v.name, api, p, c, ""})
					continue
				}
				if !errors.As(c.err, &answer) || answer.HTTPStatusCode() != http.StatusForbidden {
					t.Errorf("%s, %s, %s: %s: %v, want a denial", v.name, p.name, api, c.what, c.err)
					continue
				}
				all = append(all, attempt{v.name, api, p, c, answer.ServiceRequestID()})
			}
		}
	}
	return all
}

// readLog returns the records of a log by the id of the request, once the log has a request that is sent now.
func (s *site) readLog(t *testing.T, file string, d audit.Dialect) map[string][]audit.Record {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := s.owner.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &s.bucket, Key: ptr("the end of the log")})
		var answer *awshttp.ResponseError
		if !errors.As(err, &answer) {
			t.Fatalf("head of a missing object: %v", err)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[string][]audit.Record)
		for r, err := range audit.Read(f, &audit.Options{Dialect: d}) {
			if err != nil {
				var malformed *audit.ParseError
				if errors.As(err, &malformed) && len(all) > 0 && time.Now().Before(deadline) {
					continue // the last line is not complete yet, and is read again
				}
				t.Fatal(err)
			}
			all[r.RequestID] = append(all[r.RequestID], r)
		}
		f.Close()
		if all[answer.ServiceRequestID()] != nil {
			return all
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log does not contain the request %s, after a minute", answer.ServiceRequestID())
		}
	}
}

func ptr(s string) *string { return &s }

// verify checks the records of an attempt.
func (at attempt) verify(t *testing.T, records []audit.Record, subject string) {
	t.Helper()
	where := at.verb + ", " + at.place.name + ", " + at.api + ": " + at.what
	if len(records) == 0 {
		t.Errorf("%s: the log has no request %s", where, at.requestID)
		return
	}
	tenant, _, _, object := vault.ParseKey(at.place.key)
	var verbs []audit.Verb
	found := false
	for _, r := range records {
		verbs = append(verbs, r.Verb)
		if !r.Denied || r.Status != http.StatusForbidden || r.Subject != subject || r.Address == "" || r.Bucket == "" || r.Time.IsZero() {
			t.Errorf("%s: %+v", where, r)
		}
		switch {
		case r.Key == at.place.key:
			found = r.Tenant == tenant && r.Object == object
		case r.Verb == audit.VerbList:
			prefix, _, _, _ := vault.ParseKey(r.Prefix)
			found = found || r.Tenant == prefix && (r.Prefix == at.place.list || r.Prefix == at.place.key || at.api == "vault" && strings.HasPrefix(r.Prefix, "bots/"+string(tenant)+"/"))
		}
	}
	if !found {
		t.Errorf("%s: the log has %q of tenant %q with the prefix %q, want the key %q", where, records[0].Key, records[0].Tenant, records[0].Prefix, at.place.key)
	}
	if at.api == "sdk" && !slices.Contains(verbs, verbsOfCalls[at.what]) {
		t.Errorf("%s: the log has the verbs %q (%s), want %q", where, verbs, records[0].Operation, verbsOfCalls[at.what])
	}
}
