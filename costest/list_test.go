package costest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

// walk lists all pages. The result contains "key" and "prefix*", and a bar after each page.
func walk(t *testing.T, c *cos.Client, opt cos.BucketGetOptions) string {
	t.Helper()
	var b strings.Builder
	for range 20 {
		out, resp, err := c.Bucket.Get(t.Context(), &opt)
		check(t, err)
		if resp.Header.Get("X-Cos-Bucket-Region") == "" {
			t.Error("no region")
		}
		for _, p := range out.CommonPrefixes {
			b.WriteString(p + "* ")
		}
		for _, o := range out.Contents {
			b.WriteString(o.Key + " ")
		}
		if !out.IsTruncated {
			if out.NextMarker != "" {
				t.Errorf("the last page has a NextMarker %q", out.NextMarker)
			}
			return b.String()
		}
		b.WriteString("| ")
		opt.Marker = out.NextMarker
		if opt.EncodingType == "url" {
			opt.Marker, err = cos.DecodeURIComponent(out.NextMarker)
			check(t, err)
		}
	}
	t.Fatalf("the list does not end: %s", b.String())
	return ""
}

func TestList(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	for _, key := range []string{"b", "a/2", "a/1", "a b", "c/x/1", "c/y", "é", "Z", "d\x01"} {
		put(t, c, key, "v")
	}
	for _, tc := range []struct {
		opt  cos.BucketGetOptions
		want string
	}{
		{cos.BucketGetOptions{EncodingType: "url"}, "Z a%20b a/1 a/2 b c/x/1 c/y d%01 %C3%A9 "},
		{cos.BucketGetOptions{EncodingType: "url", MaxKeys: 4}, "Z a%20b a/1 a/2 | b c/x/1 c/y d%01 | %C3%A9 "},
		{cos.BucketGetOptions{Prefix: "a"}, "a b a/1 a/2 "},
		{cos.BucketGetOptions{Prefix: "a/"}, "a/1 a/2 "},
		{cos.BucketGetOptions{Prefix: "a b"}, "a b "},
		{cos.BucketGetOptions{Prefix: "nothing"}, ""},
		{cos.BucketGetOptions{Delimiter: "/", EncodingType: "url"}, "a/* c/* Z a%20b b d%01 %C3%A9 "},
		{cos.BucketGetOptions{Delimiter: "/", EncodingType: "url", MaxKeys: 3}, "a/* Z a%20b | c/* b d%01 | %C3%A9 "},
		{cos.BucketGetOptions{Delimiter: "/", EncodingType: "url", MaxKeys: 1}, "Z | a%20b | a/* | b | c/* | d%01 | %C3%A9 "},
		{cos.BucketGetOptions{Delimiter: "/", Prefix: "c/"}, "c/x/* c/y "},
		{cos.BucketGetOptions{Prefix: "a", Marker: "a/1"}, "a/2 "},
		{cos.BucketGetOptions{Prefix: "c", Marker: "b"}, "c/x/1 c/y "},
		{cos.BucketGetOptions{Prefix: "c", Delimiter: "/", Marker: "c/"}, ""},
	} {
		if diff := cmp.Diff(tc.want, walk(t, c, tc.opt)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tc.opt, diff)
		}
	}
	_, _, err := c.Bucket.Get(t.Context(), &cos.BucketGetOptions{Delimiter: "ab"})
	wantCode(t, "delimiter", err, "400 InvalidDelimiter")
	_, _, err = c.Bucket.Get(t.Context(), &cos.BucketGetOptions{EncodingType: "hex"})
	wantCode(t, "encoding", err, "400 InvalidArgument")
}

// The elements of a list have the documented order (436/7734).
func TestListDocument(t *testing.T) {
	now := time.Date(2020, 12, 10, 3, 37, 30, 0, time.UTC)
	s := start(t, &costest.Options{Now: func() time.Time { return now }})
	signer := func(r *http.Request) { signAt(s, r, now) }
	do(t, s, "PUT", "/a%20b", "[Object Content]", signer)
	do(t, s, "PUT", "/dir/x", "v", signer)
	_, _, got := do(t, s, "GET", "/?delimiter=%2F&encoding-type=url&max-keys=1000&prefix=&marker=", "", signer)
	want := `<?xml version='1.0' encoding='utf-8' ?>
<ListBucketResult><Name>vault-1250000000</Name><EncodingType>url</EncodingType><Prefix></Prefix><Marker></Marker><MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter><IsTruncated>false</IsTruncated><CommonPrefixes><Prefix>dir/</Prefix></CommonPrefixes><Contents><Key>a%20b</Key><LastModified>2020-12-10T03:37:30.000Z</LastModified><ETag>&#34;ee8de918d05640145b18f70f4c3aa602&#34;</ETag><Size>16</Size><Owner><ID>1250000000</ID><DisplayName>1250000000</DisplayName></Owner><StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	_, _, got = do(t, s, "GET", "/", "", signer)
	if strings.Contains(got, "EncodingType") || strings.Contains(got, "Delimiter") || strings.Contains(got, "NextMarker") {
		t.Errorf("a plain list contains elements that were not requested: %s", got)
	}
}

func TestListLag(t *testing.T) {
	c := &clock{t: time.Now()}
	s := start(t, &costest.Options{Now: c.now, ListLag: time.Second, Versioning: "Enabled"})
	client := sdk(t, s, s.Bucket())
	put(t, client, "k", "v")
	if got := walk(t, client, cos.BucketGetOptions{}); got != "" {
		t.Errorf("a fresh object is listed: %s", got)
	}
	if got := walkVersions(t, client, cos.BucketGetObjectVersionsOptions{}); got != "" {
		t.Errorf("a fresh version is listed: %s", got)
	}
	wantValue(t, client, "k", "v")
	c.t = c.t.Add(time.Second)
	if got := walk(t, client, cos.BucketGetOptions{}); got != "k " {
		t.Errorf("later: %q", got)
	}
	if got := walkVersions(t, client, cos.BucketGetObjectVersionsOptions{}); got != "k! " {
		t.Errorf("later: %q", got)
	}
}

// walkVersions lists all pages. The result contains the keys, with ! for the latest version, - for
// a delete marker, and 0 for the id null.
func walkVersions(t *testing.T, c *cos.Client, opt cos.BucketGetObjectVersionsOptions) string {
	t.Helper()
	var b strings.Builder
	for range 30 {
		out, _, err := c.Bucket.GetObjectVersions(t.Context(), &opt)
		check(t, err)
		flags := func(latest bool, id string) string {
			f := ""
			if latest {
				f = "!"
			}
			if id == "null" {
				f += "0"
			}
			return f
		}
		for _, p := range out.CommonPrefixes {
			b.WriteString(p + "* ")
		}
		for _, v := range out.Version {
			fmt.Fprintf(&b, "%s%s ", v.Key, flags(v.IsLatest, v.VersionId))
		}
		for _, v := range out.DeleteMarker {
			fmt.Fprintf(&b, "%s-%s ", v.Key, flags(v.IsLatest, v.VersionId))
		}
		if !out.IsTruncated {
			return b.String()
		}
		b.WriteString("| ")
		opt.KeyMarker, opt.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
	}
	t.Fatalf("the list does not end: %s", b.String())
	return ""
}
