package costest_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/tencentyun/cos-go-sdk-v5"
)

// A bucket with logging gets a line of 31 fields for each request, in its target bucket, before the next list.
func TestAccessLog(t *testing.T) {
	s := start(t, nil)
	check(t, s.CreateBucket("logs-1250000000", ""))
	c, logs := sdk(t, s, s.Bucket()), sdk(t, s, "logs-1250000000")
	put(t, c, "before", "not logged")
	_, err := c.Bucket.PutLogging(t.Context(), &cos.BucketPutLoggingOptions{LoggingEnabled: &cos.BucketLoggingEnabled{TargetBucket: "logs-1250000000", TargetPrefix: "vault/"}})
	check(t, err)
	put(t, c, "a b", "value")
	if _, err := get(c, "a b"); err != nil {
		t.Fatal(err)
	}
	_, err = get(sdkAs(t, s, s.Bucket(), s.SecretID(), "wrong", ""), "a b")
	wantCode(t, "get with a wrong key", err, "403 SignatureDoesNotMatch")
	_, _, err = c.Bucket.Get(t.Context(), &cos.BucketGetOptions{Prefix: "bots/x"})
	check(t, err)
	if status, _, _ := do(t, s, http.MethodGet, "/secret", "", nil, "User-Agent", "an agent/1"); status != http.StatusForbidden {
		t.Errorf("anonymous get: %d", status)
	}

	all, _, err := logs.Bucket.Get(t.Context(), &cos.BucketGetOptions{Prefix: "vault/"})
	check(t, err)
	name := regexp.MustCompile(`^vault/\d{4}/\d\d/\d\d/\d+_[A-Z0-9]+_\d+$`)
	var text string
	for _, o := range all.Contents {
		if !name.MatchString(o.Key) {
			t.Errorf("a log has the key %s", o.Key)
		}
		resp, err := logs.Object.Get(t.Context(), o.Key, nil)
		check(t, err)
		b, err := io.ReadAll(resp.Body)
		check(t, err)
		resp.Body.Close()
		text += string(b)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	root := "100000000001:100000000001"
	want := [][]string{ // event, path, method, status, code, requester, URI
		{"PutBucketLogging", "/", "PUT", "200", "-", root, `"PUT /?logging= HTTP/1.1"`},
		{"PutObject", "/a%20b", "PUT", "200", "-", root, `"PUT /a%20b HTTP/1.1"`},
		{"GetObject", "/a%20b", "GET", "200", "-", root, `"GET /a%20b HTTP/1.1"`},
		{"GetObject", "/a%20b", "GET", "403", "SignatureDoesNotMatch", "-", `"GET /a%20b HTTP/1.1"`},
		{"GetBucket", "/", "GET", "200", "-", root, `"GET /?prefix=bots%2Fx HTTP/1.1"`},
		{"GetObject", "/secret", "GET", "403", "AccessDenied", "-", `"GET /secret HTTP/1.1"`},
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), text)
	}
	for i, line := range lines {
		f := strings.SplitN(line, " ", 30)
		rest := strings.SplitAfterN(f[29], `"`, 3) // the URI in quotes, and the last field
		if len(f) != 30 || len(rest) != 3 || rest[2] != " 0" {
			t.Errorf("not 31 fields: %s", line)
			continue
		}
		for j, n := range []int{5, 11, 12, 14, 15, 23} {
			if f[n] != want[i][j] {
				t.Errorf("line %d: field %d is %s, want %s", i+1, n+1, f[n], want[i][j])
			}
		}
		if uri := rest[0] + rest[1]; uri != want[i][6] || f[1] != s.Bucket() || f[6] != "127.0.0.1" {
			t.Errorf("line %d: URI %s, want %s; bucket %s, address %s", i+1, uri, want[i][6], f[1], f[6])
		}
		if strings.Contains(line, "q-signature") {
			t.Errorf("the line contains a signature: %s", line)
		}
	}
	if !strings.Contains(lines[5], " an%20agent/1 ") {
		t.Errorf("the user agent is missing: %s", lines[5])
	}

	// Without logging, nothing is added, and DeliverLogs does nothing.
	_, err = c.Bucket.PutLogging(t.Context(), &cos.BucketPutLoggingOptions{})
	check(t, err)
	put(t, c, "after", "not logged")
	s.DeliverLogs()
	again, _, err := logs.Bucket.Get(t.Context(), &cos.BucketGetOptions{Prefix: "vault/"})
	check(t, err)
	if len(again.Contents) != len(all.Contents) {
		t.Errorf("%d logs, want %d", len(again.Contents), len(all.Contents))
	}
}
