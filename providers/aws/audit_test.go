package aws_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/audit"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
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
// that was attacked, the key, the verb and the caller. RGW has counted as many requests, and as many that failed, and
// its socket has the same records.
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
	socket := readSocket(t, server.OpsLogSocket())
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
	odd := s.oddRequests(t)
	log := s.readLog(t, func() ([]byte, error) { return os.ReadFile(server.OpsLog()) }, audit.RGW)
	for id, want := range odd {
		if records := log[id]; len(records) != 1 || records[0].Key != want.key || records[0].Prefix != want.prefix || records[0].Tenant != bob || records[0].Ambiguous {
			t.Errorf("%s: the log has %+v, want the key %q or the prefix %q", want.target, records, want.key, want.prefix)
		}
	}
	deletions := make(map[string][]audit.Record) // of single keys in a multi-delete
	for _, records := range log {
		for _, r := range records {
			if r.Operation == "multi_object_delete" && r.Denied {
				deletions[r.Key] = append(deletions[r.Key], r)
			}
		}
	}
	isAlice := func(r audit.Record) bool { return r.Subject == s.claims(alice).Subject }
	for _, at := range attempts {
		records := log[at.requestID]
		if at.requestID == "" {
			if records = deletions[at.place.key]; len(records) > 0 {
				records, deletions[at.place.key] = records[:1], records[1:] // each of another request
			}
		}
		at.verify(t, records, isAlice)
	}
	logged := countRequests(log, s.bucket)
	counted := s.usage(t, server, logged)
	if diff := cmp.Diff(logged, counted); diff != "" {
		t.Errorf("RGW has counted other numbers of requests than the log has (-log +usage):\n%s", diff)
	}
	for id, records := range log {
		if diff := cmp.Diff(records, socket(id, len(records))); diff != "" {
			t.Fatalf("the socket has other records of the request %s (-file +socket):\n%s", id, diff)
		}
	}
	all := int64(0)
	for _, n := range counted {
		all += n[0]
	}
	t.Logf("%d denied calls are in the log of %d requests, of which RGW has counted %d", len(attempts), len(log), all)
}

// requests is how many requests there were, and how many failed.
type requests [2]int64

// countRequests returns the numbers of requests for a bucket in a log of RGW, as RGW counts them: by bucket and
// operation. The bucket is "-" if the status is 404.
func countRequests(log map[string][]audit.Record, bucket string) map[string]requests {
	all := make(map[string]requests)
	for _, records := range log {
		r := records[len(records)-1] // the one before is the source of a copy
		if r.Bucket != bucket {
			continue
		}
		several := r.Operation == "multi_object_delete" && r.Key != "" // the request was successful
		place := bucket
		if r.Status == http.StatusNotFound && !several {
			place = "-"
		}
		n := all[place+" "+r.Operation]
		if n[0]++; r.Failed() && !several {
			n[1]++
		}
		all[place+" "+r.Operation] = n
	}
	return all
}

// usage returns the numbers of requests for the bucket that RGW has counted, once they are as many as logged.
func (s *site) usage(t *testing.T, server *testcloud.RGW, logged map[string]requests) map[string]requests {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all map[string]requests
	for {
		text, err := server.Usage(ctx)
		switch {
		case err != nil && ctx.Err() != nil && t.Context().Err() == nil:
			return all // the numbers differ after a minute
		case err != nil:
			t.Fatal(err)
		}
		all = make(map[string]requests)
		for u, err := range audit.ReadUsage(bytes.NewReader(text)) {
			if err != nil {
				t.Fatal(err)
			}
			if u.Owner != server.Owner.AccessKeyID || u.Bucket != s.bucket && u.Bucket != "-" {
				continue
			}
			n := all[u.Bucket+" "+u.Operation]
			all[u.Bucket+" "+u.Operation] = requests{n[0] + u.Requests, n[1] + u.Requests - u.Successful}
		}
		if maps.Equal(all, logged) {
			return all
		}
	}
}

// readSocket reads the ops log from the socket, and returns a function that waits for n records of a request.
func readSocket(t *testing.T, path string) func(id string, n int) []audit.Record {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	changed := sync.NewCond(&mu)
	all, ended := make(map[string][]audit.Record), false
	done := make(chan struct{})
	go func() {
		defer close(done)
		for r, err := range audit.Read(conn, nil) { // it ends with an error, when the connection is closed
			mu.Lock()
			if err != nil {
				ended = true
			} else {
				all[r.RequestID] = append(all[r.RequestID], r)
			}
			changed.Broadcast()
			mu.Unlock()
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return func(id string, n int) []audit.Record {
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		mu.Lock()
		defer mu.Unlock()
		for len(all[id]) < n && !ended {
			changed.Wait()
		}
		return all[id]
	}
}

// An oddRequest is a request for the objects of bob whose target has an unusual form.
type oddRequest struct{ target, key, prefix string }

// oddRequests sends requests of unusual forms, and returns them by their ids. Some are signed by the owner, and
// RGW answers them.
func (s *site) oddRequests(t *testing.T) map[string]oddRequest {
	t.Helper()
	object := "bots/" + string(bob) + "/credentials/odd.enc"
	prefix, mine := "bots/"+string(bob)+"/", "bots/"+string(alice)+"/"
	if _, err := s.owner.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &s.bucket, Key: &object, Body: strings.NewReader("value")}); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]oddRequest)
	for _, o := range []struct {
		oddRequest
		signed string // what is signed instead of the target; "": the request is anonymous
		want   string // what a signed request returns
	}{
		{oddRequest{s.URL + "/" + s.bucket + "/" + object, object, ""}, "/" + s.bucket + "/" + object, "value"},
		{oddRequest{"/" + s.bucket + "?prefix=" + mine + "&prefix=" + prefix, "", prefix}, "/" + s.bucket + "?prefix=" + url.QueryEscape(prefix), object},
		{oddRequest{s.URL + "/" + s.bucket + "?prefix=" + prefix, "", prefix}, "/" + s.bucket + "?prefix=" + url.QueryEscape(prefix), object},
		{oddRequest{"/" + s.bucket + "?prefix%3D" + prefix, "", prefix}, "", ""},
		{oddRequest{"/" + s.bucket + "?prefix=" + prefix + "%zz", "", prefix + "%zz"}, "", ""},
		{oddRequest{"/" + s.bucket + "?prefix=" + prefix + "a;b", "", prefix + "a;b"}, "", ""},
		{oddRequest{"/" + s.bucket + "/" + object + "%", object, ""}, "/" + s.bucket + "/" + object, "value"},
		{oddRequest{"/" + s.bucket + "?prefix=" + prefix + "%4", "", prefix}, "/" + s.bucket + "?prefix=" + url.QueryEscape(prefix), object},
		{oddRequest{"/" + s.bucket + "?%70refix=" + prefix, "", prefix}, "/" + s.bucket + "?prefix=" + url.QueryEscape(prefix), object},
	} {
		response, body := s.raw(t, o.target, o.signed)
		id := response.Header.Get("X-Amz-Request-Id")
		if o.want != "" && (response.StatusCode != http.StatusOK || !strings.Contains(body, o.want)) || o.want == "" && response.StatusCode < 400 || id == "" {
			t.Fatalf("%s: %s, request %q: %s", o.target, response.Status, id, body)
		}
		all[id] = o.oddRequest
	}
	return all
}

// raw sends GET with a target as it is. The signature of the owner is that of another target.
func (s *site) raw(t *testing.T, target, signed string) (r *http.Response, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+signed, nil)
	if err != nil {
		t.Fatal(err)
	}
	if signed != "" {
		const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256
		request.Header.Set("X-Amz-Content-Sha256", empty)
		keys := awssdk.Credentials{AccessKeyID: s.Owner.AccessKeyID, SecretAccessKey: s.Owner.SecretKey}
		if err := v4.NewSigner().SignHTTP(t.Context(), keys, request, empty, "s3", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := net.Dial("tcp", request.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request.Header.Set("Connection", "close")
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n", target, request.URL.Host)
	request.Header.Write(conn)
	fmt.Fprint(conn, "\r\n")
	if r, err = http.ReadResponse(bufio.NewReader(conn), request); err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(text)
}

// TestIsolationInVersityLog: the same for the access log of versitygw, which has users and bucket policies, but
// no roles. Its log has neither the keys of a multi-delete nor the source of a copy.
func TestIsolationInVersityLog(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	testcloud.RequireVersity(t) // installs versitygw, or skips the test
	server, err := testcloud.StartVersity(t.Context(), &testcloud.VersityOptions{AccessLog: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	s := &site{URL: server.URL, Owner: server.Root, bucket: testcloud.NewBucket(t, server.URL, server.Root, true), owner: testcloud.S3Client(server.URL, server.Root)}
	caller := ""
	var statements []string
	var members []*member
	for _, tenant := range []vault.Tenant{alice, bob, longer} {
		keys, err := server.AddUser(t.Context(), "user")
		if err != nil {
			t.Fatal(err)
		}
		if tenant == alice {
			caller = keys.AccessKeyID
		}
		m := &member{tenant: tenant, raw: testcloud.S3Client(s.URL, keys), store: open(t, aws.Config{Bucket: s.bucket, Endpoint: s.URL, Static: static(keys)})}
		m.Vault = newVault(t, m.store, tenant)
		members = append(members, m)
		statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Principal":{"AWS":[%q]},"Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":["arn:aws:s3:::%s/bots/%s/*"]}`, keys.AccessKeyID, s.bucket, tenant))
	}
	if _, err := s.owner.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &s.bucket, Policy: ptr(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`)}); err != nil {
		t.Fatal(err)
	}
	var attempts []attempt
	for _, p := range s.places(t, members[0], members[1:]...) {
		// The server keeps objects in directories: it changes keys with dots and slashes.
		if !p.own && !strings.Contains(p.key, "..") && !strings.Contains(p.key, "//") {
			p.version, p.upload = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "none"
			attempts = append(attempts, s.attempts(t, members[0], p)...)
		}
	}
	log := s.readLog(t, func() ([]byte, error) { return os.ReadFile(server.AccessLog()) }, audit.Versity)
	deletions := 0
	for _, at := range attempts {
		records := log[at.requestID]
		switch {
		case at.requestID == "":
			deletions++
			continue
		case at.verb == "copy from" && len(records) == 1 && records[0].Denied && records[0].Verb == audit.VerbWrite:
			continue // the log has the actor's own key
		}
		at.verify(t, records, func(r audit.Record) bool { return r.Principal == caller })
	}
	if len(attempts)-deletions < 300 {
		t.Errorf("the matrix has %d denied calls, and %d multi-deletes", len(attempts), deletions)
	}
	t.Logf("%d denied calls are in the log, and the keys of %d multi-deletes are not", len(attempts)-deletions, deletions)
}

// TestIsolationInWeedLog: the same for the audit log of SeaweedFS, which it sends to Fluentd.
func TestIsolationInWeedLog(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	testcloud.RequireWeed(t) // installs SeaweedFS, or skips the test
	addr, received := fluentd(t)
	issuer := testcloud.NewIssuer(&testcloud.IssuerOptions{Name: testcloud.WeedIssuer})
	t.Cleanup(func() { issuer.Close() })
	server, err := testcloud.StartWeed(t.Context(), &testcloud.WeedOptions{Issuer: issuer, AuditLog: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	s := newWeedSiteOn(t, server, true)
	a, b, l := s.join(t, alice), s.join(t, bob), s.join(t, longer)
	var attempts []attempt
	for _, p := range s.places(t, a, b, l) {
		if !p.own && !strings.Contains(p.key, "..") && !strings.Contains(p.key, "//") && s.deviations.unkept[p.name] == "" && s.deviations.letIn[p.name] == nil {
			p.version, p.upload = "none", "none"
			attempts = append(attempts, s.attempts(t, a, p)...)
		}
	}
	log := s.readLog(t, func() ([]byte, error) { return received(), nil }, audit.Weed)
	deletions, lists := 0, 0
	for _, at := range attempts {
		records := log[at.requestID]
		switch {
		case at.requestID == "":
			deletions++
			continue
		case at.verb == "copy from" && len(records) == 1 && records[0].Denied && records[0].Verb == audit.VerbWrite:
			continue // the log has the actor's own key
		case (at.what == "list of parts" || at.what == "abort") && len(records) == 1 && records[0].Denied && records[0].Key == at.place.key:
			continue // the verbs are those of reading and of deleting the object
		}
		isAlice := func(r audit.Record) bool { return r.Subject == s.claims(alice).Subject }
		if len(records) == 1 && records[0].Verb == audit.VerbList && records[0].Key == "" { // the log has no prefix
			if r := records[0]; !r.Denied || !isAlice(r) || r.Prefix != "" || r.Tenant != "" {
				t.Errorf("%s, %s, %s: %+v", at.verb, at.place.name, at.what, r)
			}
			lists++
			continue
		}
		at.verify(t, records, isAlice)
	}
	if len(attempts)-deletions-lists < 200 || lists == 0 {
		t.Errorf("the matrix has %d denied calls, %d multi-deletes and %d lists", len(attempts), deletions, lists)
	}
	t.Logf("%d denied calls are in the log; the keys of %d multi-deletes and the prefixes of %d lists are not", len(attempts)-deletions, deletions, lists)
}

// fluentd starts a server that receives records as JSON, and returns its address and a function that returns
// the records so far, one in each line.
func fluentd(t *testing.T) (addr string, received func() []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var mu sync.Mutex
	var log bytes.Buffer
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for d := json.NewDecoder(conn); ; {
					var message []json.RawMessage // tag, time, record, options
					if d.Decode(&message) != nil || len(message) < 3 {
						return
					}
					mu.Lock()
					log.Write(message[2])
					log.WriteByte('\n')
					mu.Unlock()
				}
			}()
		}
	}()
	return l.Addr().String(), func() []byte {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Clone(log.Bytes())
	}
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
func (s *site) readLog(t *testing.T, read func() ([]byte, error), d audit.Dialect) map[string][]audit.Record {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := s.owner.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &s.bucket, Key: ptr("the end of the log")})
		var answer *awshttp.ResponseError
		if !errors.As(err, &answer) {
			t.Fatalf("head of a missing object: %v", err)
		}
		text, err := read()
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[string][]audit.Record)
		for r, err := range audit.Read(bytes.NewReader(text), &audit.Options{Dialect: d}) {
			if err != nil {
				var malformed *audit.ParseError
				if errors.As(err, &malformed) && len(all) > 0 && time.Now().Before(deadline) {
					continue // the last line is not complete yet, and is read again
				}
				t.Fatal(err)
			}
			all[r.RequestID] = append(all[r.RequestID], r)
		}
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
func (at attempt) verify(t *testing.T, records []audit.Record, isCaller func(audit.Record) bool) {
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
		if !r.Denied || r.Status != http.StatusForbidden || !isCaller(r) || r.Address == "" || r.Bucket == "" || r.Time.IsZero() {
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
