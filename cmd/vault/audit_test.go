package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

	"github.com/objectvault/objectvault/audit"
	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/vault"
)

// auditLogLine returns a line of a server access log.
func auditLogLine(at time.Time, name string) string {
	key := "bots/t/credentials/" + name + ".enc"
	return fmt.Sprintf("o vault [%s] 192.0.2.3 a ID1 REST.GET.OBJECT %s \"GET /%s HTTP/1.1\" 200 - 600 600 9 8 \"-\" \"-\" - h SigV4 c AuthHeader x TLSv1.3\n",
		at.UTC().Format("02/Jan/2006:15:04:05 -0700"), key, key)
}

// TestAuditBucket: of thousands of logs in a bucket, only those of the range are read, and those whose names have
// no date. A log of any length is read completely, and one that cannot be read does not hide the others.
func TestAuditBucket(t *testing.T) {
	s, err := costest.New(&costest.Options{SecretID: cosKeys[0], SecretKey: cosKeys[1]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	t.Setenv("TENCENTCLOUD_SECRET_ID", cosKeys[0])
	t.Setenv("TENCENTCLOUD_SECRET_KEY", cosKeys[1])
	b := auditBucket(t, s)
	day := time.Date(2026, 5, 2, 10, 0, 0, 0, time.UTC)
	var group errgroup.Group
	group.SetLimit(8)
	put := func(key, text string) {
		group.Go(func() error { return b.WriteAll(t.Context(), key, []byte(text), nil) })
	}
	for i := range 2100 {
		put(fmt.Sprintf("access/vault2026-01-01-00-00-00-%05d", i), "an old log")
		put(fmt.Sprintf("access/vault2026-06-01-00-00-00-%05d", i), "a late log")
	}
	var long strings.Builder
	for long.Len() < 3*logStart/2 {
		long.WriteString(auditLogLine(day, "long"))
	}
	put("access/vault2026-05-02-10-00-00-A", long.String())
	put("access/vault2026-05-02-10-00-00-B", auditLogLine(day, "broken"))
	put("access/vault2026-05-02-10-00-00-C", auditLogLine(day, "last"))
	put("access/vault2026-05-02-10-00-00-D", auditLogLine(day.AddDate(0, 0, 1), "tomorrow"))
	for i, name := range []string{"2020-and-later", "2026-03.log", "2026-06-01.log", "2026-07-01-00-00", "29", "z-other"} {
		put("access/vault"+name, auditLogLine(day, fmt.Sprint("other", i)))
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}

	s.SetRule(func(r *costest.Request) *costest.Fault {
		if strings.HasSuffix(r.Key, "-B") {
			return costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "told by a test"))
		}
		return nil
	})
	s.Reset()
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"vault", "audit", "--json", "--since", "2026-05-02", "--until", "2026-05-03",
		"--from", fmt.Sprintf("cos://%s/access/?region=%s&endpoint=%s", s.Bucket(), s.Region(), s.URL())}, &world{
		in: strings.NewReader(""), out: &out, err: &errs, goos: "linux", now: time.Now, userHome: t.TempDir, getenv: os.Getenv,
		readFile: os.ReadFile, open: openFile, walk: walkFiles, quietly: func(error) bool { return false },
	})
	lists, reads := 0, 0
	for _, r := range s.Requests() {
		switch r.Action {
		case "GetBucket":
			lists++
		case "GetObject":
			reads++
		}
	}
	names := make(map[string]int)
	var summary auditCounts
	for line := range strings.Lines(out.String()) {
		var l struct {
			Name    string
			Summary *auditCounts
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Summary != nil {
			summary = *l.Summary
		} else {
			names[l.Name]++
		}
	}
	if names["long"] != strings.Count(long.String(), "\n") || names["last"] != 1 || names["other0"] != 1 || len(names) != 8 {
		t.Errorf("the records have the names %v, want long %d times, last and six others", names, strings.Count(long.String(), "\n"))
	}
	if code != exitPartial || summary.Failed != 1 || summary.Logs != 9 || summary.NotLogs != 0 || !strings.Contains(errs.String(), `"kind":"denied"`) {
		t.Errorf("exit code %d, %+v, errors %s", code, summary, &errs)
	}
	// A list has 1,000 names. The long log is read twice.
	if lists != 5 || reads != 11 {
		t.Errorf("%d lists and %d reads, want 5 and 11", lists, reads)
	}
}

// TestAuditFiles: a local log of any length is read once, after its first bytes were read to find out what it is. No
// more than logsAtOnce are open at once, and all are closed, also if the command ends early.
func TestAuditFiles(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	for text.Len() < logStart+logStart/8 {
		text.WriteString(auditLogLine(time.Date(2026, 5, 2, 10, 0, 0, 0, time.UTC), "long"))
	}
	const logs = 3 * logsAtOnce
	for i := range logs {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.log", i)), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		out  io.Writer
		code int
	}{
		"to the end": {io.Discard, exitOK}, "until the output fails": {brokenOutput{}, exitFailure},
	} {
		t.Run(name, func(t *testing.T) {
			files := &countedFiles{}
			files.changed.L = &files.mu
			var errs bytes.Buffer
			code := run(t.Context(), []string{"vault", "audit", "--json", "--since", "all", "--from", dir}, &world{
				in: strings.NewReader(""), out: tc.out, err: &errs, goos: "linux", now: time.Now, userHome: t.TempDir, getenv: os.Getenv,
				readFile: os.ReadFile, open: files.openFile, walk: walkFiles, quietly: func(error) bool { return false },
			})
			files.mu.Lock()
			defer files.mu.Unlock()
			for files.open > 0 { // one that is being opened when the command ends is closed later
				files.changed.Wait()
			}
			if code != tc.code || files.most > logsAtOnce {
				t.Errorf("exit code %d, want %d; up to %d files were open; %s", code, tc.code, files.most, &errs)
			}
			if all := int64(logs * (text.Len() + clientStart)); tc.code == exitOK && files.read != all || files.read > all {
				t.Errorf("%d bytes were read, want %d", files.read, all)
			}
		})
	}
}

type brokenOutput struct{}

func (brokenOutput) Write([]byte) (int, error) { return 0, errors.New("the output fails") }

// countedFiles opens files, and counts them and their bytes.
type countedFiles struct {
	mu         sync.Mutex
	changed    sync.Cond
	open, most int
	read       int64
}

type countedFile struct {
	io.ReadCloser
	all *countedFiles
}

func (c *countedFiles) openFile(name string) (io.ReadCloser, int64, error) {
	f, size, err := openFile(name)
	if err != nil {
		return nil, 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open++
	c.most = max(c.most, c.open)
	return &countedFile{f, c}, size, nil
}

func (f *countedFile) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	f.all.read += int64(n)
	return n, err
}

func (f *countedFile) Close() error {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	f.all.open--
	f.all.changed.Broadcast()
	return f.ReadCloser.Close()
}

func auditBucket(t *testing.T, s *costest.Server) *blob.Bucket {
	t.Helper()
	client, err := cosblob.NewClient(s.Bucket(), s.Region(), cosblob.Static(s.SecretID(), s.SecretKey(), ""),
		&cosblob.ClientOptions{Endpoint: s.BucketURL(s.Bucket()), Transport: s.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	b, err := cosblob.OpenBucket(t.Context(), client, s.Bucket(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// TestPointInTime: the forms of --since and --until.
func TestPointInTime(t *testing.T) {
	now := time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"24h": now.Add(-24 * time.Hour), "90m": now.Add(-90 * time.Minute), "7d": time.Date(2026, 5, 3, 12, 0, 0, 0, time.UTC),
		"2026-05-01": time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), "2026-05-01T10:00": time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC),
		"2026-05-01T10:00:00+02:00": time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC), "all": {},
	} {
		if got, err := pointInTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-24h", "0h", "0d", "-7d", "7", "d", "999999999d", "2026-13-01"} {
		if got, err := pointInTime(text, now); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}

// TestAuditUses: denied requests for invented names leave room for the names that are used. If there is no room
// for a name that was read, no name is reported as unread.
func TestAuditUses(t *testing.T) {
	uses := &auditUses{groups: make(map[auditGroup]*auditUse), read: make(map[auditGroup]bool), complete: true}
	record := func(name string, denied bool) audit.Record {
		return audit.Record{Time: time.Unix(0, 0), Tenant: "t", Collection: "c", Name: vault.Name(name), Object: true, Verb: audit.VerbRead, Denied: denied}
	}
	for i := range maxAuditDenied + maxAuditGroups {
		if room := uses.add(record(fmt.Sprint("invented", i), true)); room != (i < maxAuditDenied) {
			t.Fatalf("the denied request %d has room: %t", i, room)
		}
	}
	for i := range maxAuditGroups {
		if !uses.add(record(fmt.Sprint("used", i), false)) || !uses.complete {
			t.Fatalf("the name %d has no room", i)
		}
	}
	if uses.add(record("used", false)) || uses.complete {
		t.Errorf("a further name has room, or the summary is complete: %t", uses.complete)
	}
	if used := uses.groups[auditGroup{"t", "c", "used7", ""}]; used == nil || used.reads != 1 || !uses.read[auditGroup{"t", "c", "used7", ""}] {
		t.Errorf("a name that was read: %+v", used)
	}
}

// TestAuditBuckets: requests for invented buckets need limited memory, and then no name is reported as unread.
func TestAuditBuckets(t *testing.T) {
	a := &auditing{starts: make(map[string]*bucketStart)}
	a.sawBucket(audit.Record{Bucket: "vault", Time: time.Unix(2, 0)})
	a.sawBucket(audit.Record{Bucket: "vault", Time: time.Unix(1, 0)})
	a.sawBucket(audit.Record{Bucket: "vault", Time: time.Unix(3, 0)})
	if got := a.starts["vault"].oldest; !got.Equal(time.Unix(1, 0)) {
		t.Errorf("the oldest record has the time %v, want the one of the second record", got)
	}
	if a.starts["vault"].objects = true; !a.startInTime() {
		t.Error("the logs do not start in time")
	}
	for i := range maxAuditBuckets {
		a.sawBucket(audit.Record{Bucket: fmt.Sprint("invented", i), Time: time.Unix(4, 0)})
	}
	if len(a.starts) > maxAuditBuckets || a.startInTime() {
		t.Errorf("%d buckets, and the logs start in time: %t", len(a.starts), a.startInTime())
	}
}

// TestAuditClientIDs: if the log of the command has more requests than are remembered, the others are not
// reported as requests of other programs.
func TestAuditClientIDs(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	for _, most := range []int{2, 3} {
		c := &clientLog{stores: true}
		c.start(most)
		for i, id := range []string{"R1", "R2", "R3"} {
			c.add(audit.Record{Time: at.Add(time.Duration(i) * time.Second), Operation: "get", RequestIDs: []string{id}}, dateRange{at, at.Add(time.Hour)})
		}
		op, known := c.match(audit.Record{Time: at, RequestID: "R1"})
		if op != "get" || !known {
			t.Errorf("at most %d ids: %q, %t, want the get", most, op, known)
		}
		op, known = c.match(audit.Record{Time: at.Add(time.Second), RequestID: "other"})
		if op != "" || known != (most == 3) || c.full != (most == 2) {
			t.Errorf("at most %d ids: another request has the operation %q, known %t, full %t", most, op, known, c.full)
		}
	}
}
