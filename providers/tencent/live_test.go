package tencent_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/conformance"
	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/tencent"
)

// TestConformanceLive runs the suite on a bucket at Tencent, and answers the questions that the
// documentation leaves open. Run it with "make conformance-tencent"; see docs/tencent.md. It fails
// if an object remains.
func TestConformanceLive(t *testing.T) {
	bucket := os.Getenv("OBJECTVAULT_CONFORMANCE_BUCKET")
	if bucket == "" {
		t.Skip("OBJECTVAULT_CONFORMANCE_BUCKET names no bucket")
	}
	keys := [3]string{os.Getenv("TENCENTCLOUD_SECRET_ID"), os.Getenv("TENCENTCLOUD_SECRET_KEY"), os.Getenv("TENCENTCLOUD_TOKEN")}
	if keys[0] == "" || keys[1] == "" {
		t.Fatal("TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY are not set")
	}
	c := tencent.Config{
		Bucket: bucket, Region: os.Getenv("OBJECTVAULT_CONFORMANCE_REGION"), Endpoint: os.Getenv("OBJECTVAULT_CONFORMANCE_ENDPOINT"),
		Static: cosblob.Static(keys[0], keys[1], keys[2]),
	}
	client, err := cosblob.NewClient(c.Bucket, c.Region, c.Static, &cosblob.ClientOptions{Endpoint: c.Endpoint})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := client.Bucket.GetVersioning(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	claims, deviations := neverVersioned, map[string]string(nil)
	switch got.Status {
	case "":
	case "Enabled":
		claims = versioned
	default:
		claims, deviations = suspended, suspendedDeviations
	}
	t.Logf("the versioning of %s is %q", bucket, got.Status)
	before := everything(t, client)
	t.Cleanup(func() {
		for e := range everything(t, client) {
			switch {
			case before[e]:
			case got.Status == "Suspended" && !e.upload: // the suite purges if there is a history
				remove(t, client, e)
			default:
				t.Errorf("%+v remains", e)
			}
		}
	})

	l := &live{
		client: client, base: client.BaseURL.BucketURL, id: keys[0], key: keys[1], token: keys[2],
		sts: "https://sts.tencentcloudapi.com", prefix: "conformance-" + rand.Text() + "/", never: got.Status == "", rounds: 200,
	}
	if strings.HasPrefix(l.base.Host, "127.0.0.1:") { // this is costest
		l.sts = c.Endpoint
	}
	for _, line := range l.answers(t.Context()) {
		t.Log(line)
	}
	sweep(t, client, l.prefix)

	opened := opener(c)
	lost := c
	lost.Endpoint = testcloud.NoServer(t)
	conformance.Run(t, conformance.Provider{
		Name: "tencent", Open: opened, Reopen: opened, Unreachable: opener(lost), Large: 10 << 20, Timeout: 10 * time.Minute,
		Claims: slices.DeleteFunc(slices.Clone(claims), func(c string) bool { return c == "errors-denied" || c == "errors-expired" }), Deviations: deviations,
		Secrets: []string{keys[1]},
	})
}

// A thing is a version, a delete marker or a multipart upload in a bucket.
type thing struct {
	key, id string
	upload  bool
}

// everything returns all things in a bucket.
func everything(t *testing.T, client *cos.Client) map[thing]bool {
	t.Helper()
	seen := make(map[thing]bool)
	add := func(key, id string, upload bool) {
		key, err := url.QueryUnescape(key)
		if err != nil {
			t.Fatal(err)
		}
		seen[thing{key, id, upload}] = true
	}
	for o := (cos.BucketGetObjectVersionsOptions{EncodingType: "url"}); ; {
		page, _, err := client.Bucket.GetObjectVersions(context.Background(), &o)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Version {
			add(v.Key, v.VersionId, false)
		}
		for _, m := range page.DeleteMarker {
			add(m.Key, m.VersionId, false)
		}
		if !page.IsTruncated {
			break
		}
		if o.KeyMarker, err = url.QueryUnescape(page.NextKeyMarker); err != nil {
			t.Fatal(err)
		}
		o.VersionIdMarker = page.NextVersionIdMarker
	}
	uploads, _, err := client.Bucket.ListMultipartUploads(context.Background(), &cos.ListMultipartUploadsOptions{EncodingType: "url"})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uploads.Uploads {
		add(u.Key, u.UploadID, true)
	}
	return seen
}

// sweep removes all things with a prefix.
func sweep(t *testing.T, client *cos.Client, prefix string) {
	t.Helper()
	for e := range everything(t, client) {
		if strings.HasPrefix(e.key, prefix) && !e.upload {
			remove(t, client, e)
		}
	}
}

func remove(t *testing.T, client *cos.Client, e thing) {
	t.Helper()
	if _, err := client.Object.Delete(context.WithoutCancel(t.Context()), e.key, &cos.ObjectDeleteOptions{VersionId: e.id}); err != nil {
		t.Error(err)
	}
}

// TestQuestions: on costest, the test finds the variants that costest was configured with.
func TestQuestions(t *testing.T) {
	asked := map[string]int{ // the fact for each question of costest
		"put-condition": 1, "multipart-etag": 2, "expired-token": 7, "metadata-limit": 11, "sign-time": 17, "key-length": 18,
		"authorization-skip": 19, "expired-signature": 25, "part-order": 20, "copy-source-missing": 21, "policy-missing": 21,
	}
	for _, q := range costest.Questions() {
		fact, ok := asked[q.Name]
		if !ok {
			continue
		}
		delete(asked, q.Name)
		for _, variant := range q.Variants {
			s := newServer(t, &costest.Options{Unsure: map[string]string{q.Name: variant}})
			client := ownerClient(t, s)
			l := &live{client: client, base: client.BaseURL.BucketURL, id: s.SecretID(), key: s.SecretKey(), sts: s.URL(), prefix: "questions/", never: true, rounds: 5}
			want := variant
			if variant == "documented" {
				want = "InvalidPart and InvalidPartOrder"
			}
			reported := false
			lines := l.answers(t.Context())
			for _, line := range lines {
				if strings.HasPrefix(line, fmt.Sprintf("fact %d: ", fact)) && strings.Contains(line[strings.LastIndex(line, ": "):], want) {
					reported = true
				}
				if strings.Contains(line, "not known") {
					t.Errorf("%s=%s: %s", q.Name, variant, line)
				}
			}
			if !reported {
				t.Errorf("%s=%s is reported as\n%s", q.Name, variant, strings.Join(lines, "\n"))
			}
			sweep(t, client, l.prefix)
			if left := everything(t, client); len(left) > 0 {
				t.Errorf("%s=%s: objects remain: %v", q.Name, variant, left)
			}
		}
	}
	if len(asked) > 0 {
		t.Errorf("costest has no questions %v", asked)
	}
	facts := make(map[int]bool)
	for _, q := range questions {
		facts[q.fact] = true
	}
	if len(facts) != 25 {
		t.Errorf("%d facts are listed, want 25", len(facts))
	}
}
