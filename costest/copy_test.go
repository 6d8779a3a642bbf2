package costest_test

import (
	"strings"
	"testing"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

// sourceOf returns the source of a copy in the form that the SDK requires.
func sourceOf(s *costest.Server, bucket, key string) string {
	return bucket + ".cos." + s.Region() + ".myqcloud.com/" + key
}

func TestCopy(t *testing.T) {
	for _, versioning := range []string{"", "Enabled"} {
		s := start(t, &costest.Options{Versioning: versioning})
		check(t, s.CreateBucket("other-1250000000", ""))
		c := sdk(t, s, s.Bucket())
		_, err := c.Object.Put(t.Context(), "a b+é", strings.NewReader("value"), &cos.ObjectPutOptions{ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{
			ContentType: "text/plain", XCosMetaXXX: header("x-cos-meta-a", "b"), XOptionHeader: header("x-cos-tagging", "k=v"),
		}})
		check(t, err)
		source := sourceOf(s, s.Bucket(), "a b+é")
		for _, bucket := range []string{s.Bucket(), "other-1250000000"} {
			to := sdk(t, s, bucket)
			out, resp, err := to.Object.Copy(t.Context(), "copy", source, nil)
			check(t, err)
			if out.ETag != `"2063c1608d6e0baf80249c42e2be5804"` || out.CRC64 != crcOf("value") || out.LastModified == "" || (out.VersionId != "") != (versioning != "" && bucket == s.Bucket()) {
				t.Errorf("copy: %+v %v", out, resp.Header)
			}
			wantValue(t, to, "copy", "value")
			head, err := to.Object.Head(t.Context(), "copy", nil)
			check(t, err)
			if head.Header.Get("X-Cos-Meta-A") != "b" || head.Header.Get("Content-Type") != "text/plain" {
				t.Errorf("the headers of the copy: %v", head.Header)
			}
			tags, _, err := to.Object.GetTagging(t.Context(), "copy")
			check(t, err)
			if len(tags.TagSet) != 1 || tags.TagSet[0].Value != "v" {
				t.Errorf("tags: %+v", tags)
			}
		}
		_, _, err = c.Object.Copy(t.Context(), "replaced", source, &cos.ObjectCopyOptions{ObjectCopyHeaderOptions: &cos.ObjectCopyHeaderOptions{
			XCosMetadataDirective: "Replaced", ContentType: "a/b", XCosMetaXXX: header("x-cos-meta-c", "d"),
		}})
		check(t, err)
		head, err := c.Object.Head(t.Context(), "replaced", nil)
		check(t, err)
		if head.Header.Get("X-Cos-Meta-A") != "" || head.Header.Get("X-Cos-Meta-C") != "d" || head.Header.Get("Content-Type") != "a/b" {
			t.Errorf("the headers after they were replaced: %v", head.Header)
		}
	}
}

func TestCopyRefused(t *testing.T) {
	for _, missing := range []string{"NoSuchCopySource", "NoSuchKey"} {
		s := start(t, &costest.Options{Unsure: map[string]string{"copy-source-missing": missing}})
		c := sdk(t, s, s.Bucket())
		put(t, c, "k", "v")
		put(t, c, "there", "v")
		const past = "Thu, 16 May 2019 06:45:51 GMT"
		for _, tc := range []struct {
			what, key, source string
			header            []string
			want              string
		}{
			{"missing source", "to", sourceOf(s, s.Bucket(), "absent"), nil, "404 " + missing},
			{"missing source bucket", "to", sourceOf(s, "none-1250000000", "k"), nil, "404 " + missing},
			{"source without a bucket", "to", "nowhere/k", nil, "400 InvalidCopySource"},
			{"onto itself", "k", sourceOf(s, s.Bucket(), "k"), nil, "400 InvalidRequest"},
			{"onto itself with new metadata", "k", sourceOf(s, s.Bucket(), "k"), []string{"x-cos-metadata-directive", "Replaced"}, "no error"},
			{"directive of S3", "to", sourceOf(s, s.Bucket(), "k"), []string{"x-cos-metadata-directive", "REPLACE"}, "400 InvalidArgument"},
			{"another ETag", "to", sourceOf(s, s.Bucket(), "k"), []string{"x-cos-copy-source-If-Match", `"x"`}, "412 PreconditionFailed"},
			{"matching If-None-Match", "to", sourceOf(s, s.Bucket(), "k"), []string{"x-cos-copy-source-If-None-Match", "*"}, "412 PreconditionFailed"},
			{"changed since the given time", "to", sourceOf(s, s.Bucket(), "k"), []string{"x-cos-copy-source-If-Unmodified-Since", past}, "412 PreconditionFailed"},
			{"forbid-overwrite", "there", sourceOf(s, s.Bucket(), "k"), []string{"x-cos-forbid-overwrite", "true"}, "409 FileAlreadyExists"},
			{"forbid-overwrite of a new key", "new", sourceOf(s, s.Bucket(), "k"), []string{"x-cos-forbid-overwrite", "true"}, "no error"},
		} {
			_, _, err := c.Object.Copy(t.Context(), tc.key, tc.source, &cos.ObjectCopyOptions{ObjectCopyHeaderOptions: &cos.ObjectCopyHeaderOptions{XOptionHeader: header(tc.header...)}})
			wantCode(t, tc.what, err, tc.want)
		}
	}
}

func TestCopyVersions(t *testing.T) {
	s := start(t, &costest.Options{Versioning: "Enabled"})
	c := sdk(t, s, s.Bucket())
	id := put(t, c, "k", "one").Header.Get("X-Cos-Version-Id")
	put(t, c, "k", "two")
	resp, err := c.Object.Delete(t.Context(), "k")
	check(t, err)
	marker := resp.Header.Get("X-Cos-Version-Id")
	_, resp, err = c.Object.Copy(t.Context(), "to", sourceOf(s, s.Bucket(), "k"), nil, id)
	check(t, err)
	if resp.Header.Get("X-Cos-Copy-Source-Version-Id") != id {
		t.Errorf("%v", resp.Header)
	}
	wantValue(t, c, "to", "one")
	_, _, err = c.Object.Copy(t.Context(), "to", sourceOf(s, s.Bucket(), "k"), nil)
	wantCode(t, "a marker is current", err, "404 NoSuchCopySource")
	_, _, err = c.Object.Copy(t.Context(), "to", sourceOf(s, s.Bucket(), "k"), nil, marker)
	wantCode(t, "a marker is named", err, "400 InvalidRequest")
}

func TestCopyParts(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	value := bytesOf(3<<20 + 7)
	put(t, c, "from", value)
	id := initiate(t, c, "to")
	source := sourceOf(s, s.Bucket(), "from")
	var parts []cos.Object
	for i, r := range []string{"bytes=0-2097151", "bytes=2097152-3145734"} {
		out, _, err := c.Object.CopyPart(t.Context(), "to", id, i+1, source, &cos.ObjectCopyPartOptions{XCosCopySourceRange: r})
		check(t, err)
		parts = append(parts, cos.Object{PartNumber: i + 1, ETag: out.ETag})
	}
	for r, want := range map[string]string{"bytes=0-3145735": "416 InvalidRange", "bytes=5-": "400 InvalidArgument", "bytes=-5": "400 InvalidArgument"} {
		_, _, err := c.Object.CopyPart(t.Context(), "to", id, 3, source, &cos.ObjectCopyPartOptions{XCosCopySourceRange: r})
		wantCode(t, r, err, want)
	}
	_, resp, err := c.Object.CompleteMultipartUpload(t.Context(), "to", id, &cos.CompleteMultipartUploadOptions{Parts: parts})
	check(t, err)
	if got := resp.Header.Get("X-Cos-Hash-Crc64ecma"); got != crcOf(value) {
		t.Errorf("CRC %s", got)
	}
	wantValue(t, c, "to", value)
	// A copy of a multipart object is a single object, and its ETag is an MD5.
	out, _, err := c.Object.Copy(t.Context(), "again", sourceOf(s, s.Bucket(), "to"), nil)
	check(t, err)
	head, err := c.Object.Head(t.Context(), "from", nil)
	check(t, err)
	if out.ETag != head.Header.Get("Etag") || out.CRC64 != crcOf(value) {
		t.Errorf("%+v, want %s", out, head.Header.Get("Etag"))
	}
}
