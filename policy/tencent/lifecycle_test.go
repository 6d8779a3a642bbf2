package tencent_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/policy/tencent"
)

// TestLifecycle runs the printed lifecycle rules every day. Under bots/, objects and old versions expire
// after 30 days each, and in the end no delete markers and uploads are left. The rest of the bucket stays
// as it was. It is not documented whether an expiration also removes delete markers.
func TestLifecycle(t *testing.T) {
	for _, versioned := range []bool{false, true} {
		for _, markers := range []string{"keep", "remove"} {
			t.Run(fmt.Sprint(versioned, markers), func(t *testing.T) {
				c := apply(t, with(usual(), func(o *tencent.Options) { o.Versioned = versioned }), map[string]string{"lifecycle-markers": markers})
				u, err := url.Parse(c.s.BucketURL(c.s.Bucket()))
				if err != nil {
					t.Fatal(err)
				}
				owner := cos.NewClient(&cos.BaseURL{BucketURL: u}, &http.Client{
					Transport: &cos.AuthorizationTransport{SecretID: c.s.SecretID(), SecretKey: c.s.SecretKey(), Transport: c.s.Client().Transport},
				})
				for _, prefix := range []string{"bots/0xabc/credentials/", "bots/other/", "logs/", "bots", "other/bots/"} {
					fill(t, owner, prefix)
				}
				start, before := time.Now(), contents(t, owner)
				others := slices.DeleteFunc(slices.Clone(before), isTenants)
				for day := 1; day <= 62; day++ {
					c.s.RunLifecycle(start.AddDate(0, 0, day))
					all := contents(t, owner)
					var want []string
					switch kept := hasLine(all, "bots/other/current version"); {
					case day == 29:
						want = slices.DeleteFunc(slices.Clone(before), func(line string) bool { return isTenants(line) && strings.HasSuffix(line, " upload") })
					case versioned && day == 59 && !kept:
						t.Error("an old version expired earlier than 30 days after it was replaced")
					case day == 62:
						want = others
					}
					if diff := cmp.Diff(want, all); want != nil && diff != "" {
						t.Fatalf("after %d days (-want +got):\n%s", day, diff)
					}
				}
			})
		}
	}
}

func isTenants(line string) bool { return strings.HasPrefix(line, "bots/") }

func hasLine(all []string, start string) bool {
	return slices.ContainsFunc(all, func(line string) bool { return strings.HasPrefix(line, start) })
}

// fill stores an object twice, one that is then deleted, and an unfinished upload.
func fill(t *testing.T, c *cos.Client, prefix string) {
	t.Helper()
	for _, key := range []string{"current", "current", "deleted"} {
		if _, err := c.Object.Put(t.Context(), prefix+key, strings.NewReader("v"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Object.Delete(t.Context(), prefix+"deleted"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Object.InitiateMultipartUpload(t.Context(), prefix+"upload", nil); err != nil {
		t.Fatal(err)
	}
}

// contents lists all versions, delete markers and unfinished uploads.
func contents(t *testing.T, c *cos.Client) (all []string) {
	t.Helper()
	versions, _, err := c.Bucket.GetObjectVersions(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions.Version {
		all = append(all, fmt.Sprintf("%s version, current: %v", v.Key, v.IsLatest))
	}
	for _, m := range versions.DeleteMarker {
		all = append(all, fmt.Sprintf("%s delete marker, current: %v", m.Key, m.IsLatest))
	}
	uploads, _, err := c.Bucket.ListMultipartUploads(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uploads.Uploads {
		all = append(all, u.Key+" upload")
	}
	slices.Sort(all)
	return all
}
