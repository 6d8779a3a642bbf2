package costest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

func TestVersioningStates(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	state := func() string {
		t.Helper()
		out, _, err := c.Bucket.GetVersioning(t.Context())
		check(t, err)
		return out.Status
	}
	set := func(status string) error {
		_, err := c.Bucket.PutVersioning(t.Context(), &cos.BucketPutVersionOptions{Status: status})
		return err
	}
	if got := state(); got != "" {
		t.Errorf("never versioned: %q", got)
	}
	wantCode(t, "suspend", set("Suspended"), "409 InvalidBucketState")
	wantCode(t, "nonsense", set("On"), "400 MalformedXML")

	put(t, c, "old", "before")
	if got := walkVersions(t, c, cos.BucketGetObjectVersionsOptions{}); got != "old! " {
		t.Errorf("never versioned: %q", got)
	}
	check(t, set("Enabled"))
	if got := state(); got != "Enabled" {
		t.Errorf("enabled: %q", got)
	}
	id1 := put(t, c, "old", "one").Header.Get("X-Cos-Version-Id")
	id2 := put(t, c, "old", "two").Header.Get("X-Cos-Version-Id")
	if id1 == "" || id1 == id2 || id2 == "null" {
		t.Errorf("ids %q, %q", id1, id2)
	}
	wantValue(t, c, "old", "two")
	wantValue(t, c, "old", "one", id1)
	wantValue(t, c, "old", "before", "null")
	_, err := get(c, "old", "bm90aGluZw")
	wantCode(t, "no such version", err, "404 NoSuchVersion")

	// Forbid-overwrite is silently ignored.
	_, err = c.Object.Put(t.Context(), "old", strings.NewReader("three"), &cos.ObjectPutOptions{
		ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{XOptionHeader: header("x-cos-forbid-overwrite", "true")},
	})
	check(t, err)
	wantValue(t, c, "old", "three")

	resp, err := c.Object.Delete(t.Context(), "old")
	check(t, err)
	marker := resp.Header.Get("X-Cos-Version-Id")
	if resp.Header.Get("X-Cos-Delete-Marker") != "true" || marker == "" || resp.StatusCode != 204 {
		t.Errorf("delete: %d %v", resp.StatusCode, resp.Header)
	}
	_, err = get(c, "old")
	wantCode(t, "deleted", err, "404 NoSuchKey")
	_, err = get(c, "old", marker)
	wantCode(t, "the marker itself", err, "404 NoSuchKey")
	wantValue(t, c, "old", "two", id2)
	if got := walk(t, c, cos.BucketGetOptions{}); got != "" {
		t.Errorf("deleted, and listed: %s", got)
	}
	if got := walkVersions(t, c, cos.BucketGetObjectVersionsOptions{}); got != "old old old old0 old-! " {
		t.Errorf("versions: %q", got)
	}

	resp, err = c.Object.Delete(t.Context(), "old", &cos.ObjectDeleteOptions{VersionId: marker})
	check(t, err)
	if resp.Header.Get("X-Cos-Delete-Marker") != "true" || resp.Header.Get("X-Cos-Version-Id") != marker {
		t.Errorf("delete of a marker: %v", resp.Header)
	}
	wantValue(t, c, "old", "three")
	_, err = c.Object.Delete(t.Context(), "old", &cos.ObjectDeleteOptions{VersionId: id1})
	check(t, err)
	_, err = get(c, "old", id1)
	wantCode(t, "permanently deleted", err, "404 NoSuchVersion")

	check(t, set("Suspended"))
	if got := put(t, c, "old", "suspended").Header; got.Get("X-Cos-Version-Id") != "" {
		t.Errorf("the response to a put while suspended contains the version %q", got.Get("X-Cos-Version-Id"))
	}
	put(t, c, "old", "again")
	wantValue(t, c, "old", "again", "null")
	resp, err = c.Object.Delete(t.Context(), "old")
	check(t, err)
	if resp.Header.Get("X-Cos-Version-Id") != "null" || resp.Header.Get("X-Cos-Delete-Marker") != "true" {
		t.Errorf("delete while suspended: %v", resp.Header)
	}
	if got := walkVersions(t, c, cos.BucketGetObjectVersionsOptions{}); got != "old old old-!0 " {
		t.Errorf("versions: %q", got)
	}
}

func TestListVersionsPages(t *testing.T) {
	s := start(t, &costest.Options{Versioning: "Enabled"})
	c := sdk(t, s, s.Bucket())
	for _, key := range []string{"a", "a", "a", "b/1", "b/2", "c", "c"} {
		put(t, c, key, "v")
	}
	for _, tc := range []struct {
		opt  cos.BucketGetObjectVersionsOptions
		want string
	}{
		{cos.BucketGetObjectVersionsOptions{}, "a! a a b/1! b/2! c! c "},
		{cos.BucketGetObjectVersionsOptions{MaxKeys: 2}, "a! a | a b/1! | b/2! c! | c "},
		{cos.BucketGetObjectVersionsOptions{MaxKeys: 3}, "a! a a | b/1! b/2! c! | c "},
		{cos.BucketGetObjectVersionsOptions{Prefix: "c"}, "c! c "},
		{cos.BucketGetObjectVersionsOptions{Delimiter: "/"}, "b/* a! a a c! c "},
		{cos.BucketGetObjectVersionsOptions{Delimiter: "/", MaxKeys: 1}, "a! | a | a | b/* | c! | c "},
		{cos.BucketGetObjectVersionsOptions{KeyMarker: "b/1"}, "b/2! c! c "},
		{cos.BucketGetObjectVersionsOptions{KeyMarker: "b/1", Delimiter: "/"}, "b/* c! c "},
		{cos.BucketGetObjectVersionsOptions{KeyMarker: "b/", Delimiter: "/"}, "c! c "},
	} {
		if diff := cmp.Diff(tc.want, walkVersions(t, c, tc.opt)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tc.opt, diff)
		}
	}
	plain := start(t, nil)
	c = sdk(t, plain, plain.Bucket())
	for _, key := range []string{"a", "b", "c"} {
		put(t, c, key, "v")
	}
	if got := walkVersions(t, c, cos.BucketGetObjectVersionsOptions{MaxKeys: 1}); got != "a! | b! | c! " {
		t.Errorf("never versioned, by pages: %q", got)
	}
}

// TestMarkerVersionDeleted: a client that deletes versions while it lists them still gets the
// remaining ones.
func TestMarkerVersionDeleted(t *testing.T) {
	s := start(t, &costest.Options{Versioning: "Enabled"})
	c := sdk(t, s, s.Bucket())
	for range 3 {
		put(t, c, "a", "v")
	}
	put(t, c, "b", "v")
	page, _, err := c.Bucket.GetObjectVersions(t.Context(), &cos.BucketGetObjectVersionsOptions{MaxKeys: 1})
	check(t, err)
	_, err = c.Object.Delete(t.Context(), "a", &cos.ObjectDeleteOptions{VersionId: page.Version[0].VersionId})
	check(t, err)
	rest := cos.BucketGetObjectVersionsOptions{KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker}
	if got := walkVersions(t, c, rest); got != "a! a b! " {
		t.Errorf("after the marker: %q", got)
	}
}

func TestDeleteManyVersions(t *testing.T) {
	s := start(t, &costest.Options{Versioning: "Enabled"})
	c := sdk(t, s, s.Bucket())
	id := put(t, c, "a", "v").Header.Get("X-Cos-Version-Id")
	put(t, c, "b", "v")
	out, _, err := c.Object.DeleteMulti(t.Context(), &cos.ObjectDeleteMultiOptions{Objects: []cos.Object{{Key: "a", VersionId: id}, {Key: "b"}}})
	check(t, err)
	if got := walkVersions(t, c, cos.BucketGetObjectVersionsOptions{}); got != "b b-! " {
		t.Errorf("remaining versions: %q", got)
	}
	if len(out.DeletedObjects) != 2 {
		t.Errorf("%+v", out)
	}
}
