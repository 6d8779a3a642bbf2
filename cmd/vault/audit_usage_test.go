package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/objectvault/objectvault/audit"
	"github.com/objectvault/objectvault/internal/testcloud"
)

// TestAuditUsage: each line that is removed from the ops log of Ceph is missing, and none if the log is whole.
func TestAuditUsage(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	testcloud.RequireRGW(t) // installs Ceph, or skips the test
	server, err := testcloud.StartRGW(t.Context(), &testcloud.RGWOptions{OpsLog: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	sent := sendRequests(t, server)
	usage, log := waitForUsage(t, server, sent)

	dir := t.TempDir()
	audit := func(log []string) (int, usageCounts) {
		for name, text := range map[string]string{"usage.json": usage, "ops.log": strings.Join(log, "")} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"vault", "audit", "--json", "--since", "2h", "--from", dir}, &world{
			in: strings.NewReader(""), out: &out, err: &errs, goos: "linux", now: time.Now, userHome: t.TempDir, getenv: func(string) string { return "" },
			readFile: os.ReadFile, open: openFile, walk: walkFiles, quietly: func(error) bool { return false },
		})
		var last struct{ Summary auditCounts }
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Summary.Usage == nil {
			t.Fatalf("%v: %s%s", err, &out, &errs)
		}
		return code, *last.Summary.Usage
	}
	if code, u := audit(log); code != exitOK || u.Counted != int64(sent) || u.Missing != 0 || u.NotCompared != 0 {
		t.Errorf("the whole log: exit code %d, %+v; want %d requests", code, u, sent)
	}
	for i, line := range log {
		if code, u := audit(slices.Delete(slices.Clone(log), i, i+1)); code != exitPartial || u.Counted != int64(sent) || u.Missing != 1 || len(u.Gaps) != 1 {
			t.Errorf("without %s: exit code %d, %+v", line, code, u)
		}
	}
}

// TestUsageMemory: the numbers that are kept for the comparison have a limited size, also if their names are long.
func TestUsageMemory(t *testing.T) {
	long := func(start byte, i, n int) string { return fmt.Sprintf("%c%0*d", start, n-1, i) }
	a := auditing{session: &session{ui: &ui{world: &world{err: new(bytes.Buffer)}, prog: "vault"}}, until: time.Unix(1<<40, 0)}
	a.Usage = new(usageCounts)
	kept := 0
	for i := 0; i < maxUsageCounts && !a.usage.full; i++ {
		u := audit.Usage{Owner: long('t', i, 1000) + "$o", Bucket: long('b', i, 255), Operation: long('o', i, 255), Requests: 1}
		a.usage.read(u, "", a.since, a.until)
		kept += 2*len(u.Owner) + len(u.Bucket) + len(u.Operation)
	}
	if kept > 64<<20 {
		t.Errorf("%d bytes of names were kept", kept)
	}
	a.finishUsage()
	if text := a.err.(*bytes.Buffer).String(); !strings.Contains(text, "; only the first ") {
		t.Errorf("%q", text)
	}
}

// sendRequests sends requests of several kinds, which succeed, fail or are denied, and returns their number.
func sendRequests(t *testing.T, server *testcloud.RGW) (sent int) {
	t.Helper()
	owner, other := testcloud.S3Client(server.URL, server.Owner), testcloud.S3Client(server.URL, server.Other)
	bucket, second := "counted", "second"
	key, missing, source := "bots/t/credentials/a.enc", "bots/t/credentials/none.enc", "counted/bots/t/credentials/a.enc"
	create := func(c *s3.Client, bucket string) func() error {
		return func() error {
			_, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket})
			return err
		}
	}
	get := func(c *s3.Client, bucket, key string) func() error {
		return func() error {
			_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
			return err
		}
	}
	remove := func(c *s3.Client) func() error {
		return func() error {
			_, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: &key}, {Key: &missing}}}})
			return err
		}
	}
	put := func() error {
		_, err := owner.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("value")})
		return err
	}
	list := func() error {
		_, err := owner.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
		return err
	}
	copyToSecond := func() error {
		_, err := owner.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &second, Key: &key, CopySource: &source})
		return err
	}
	send := func(succeed bool, requests ...func() error) {
		for i, request := range requests {
			if err := request(); (err == nil) != succeed {
				t.Fatalf("request %d: %v", i, err)
			}
			sent++
		}
	}
	send(true, create(owner, bucket), create(owner, second), put, get(owner, bucket, key), get(owner, bucket, key), list, copyToSecond, remove(owner))
	send(false, get(owner, bucket, missing), get(other, second, key), get(other, second, missing), create(other, bucket), remove(other))
	return sent
}

// waitForUsage returns the numbers that Ceph has counted and the lines of its log, once both have the requests that
// were sent.
func waitForUsage(t *testing.T, server *testcloud.RGW, sent int) (usage string, log []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		text, err := server.Usage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		counted := 0
		for u, err := range audit.ReadUsage(bytes.NewReader(text)) {
			if err != nil {
				t.Fatal(err)
			}
			if u.Bucket != "" { // the start of the server lists the buckets
				counted += int(u.Requests)
			}
		}
		f, err := os.Open(server.OpsLog())
		if err != nil {
			t.Fatal(err)
		}
		var lines []string // Ceph may write several records into one
		for d := json.NewDecoder(f); ; {
			var record json.RawMessage
			if d.Decode(&record) != nil { // the end, or the last record is not complete yet
				break
			}
			lines = append(lines, string(record)+"\n")
		}
		f.Close()
		if counted >= sent && len(lines) >= sent {
			return string(text), lines
		}
	}
}
