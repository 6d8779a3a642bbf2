package costest_test

import (
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

// bytesOf returns n bytes without repetition.
func bytesOf(n int) string {
	r := rand.NewPCG(1, uint64(n))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint64())
	}
	return string(b)
}

func crcOf(s string) string {
	return fmt.Sprint(crc64.Checksum([]byte(s), crc64.MakeTable(crc64.ECMA)))
}

func initiate(t testing.TB, c *cos.Client, key string, h ...string) string {
	t.Helper()
	out, _, err := c.Object.InitiateMultipartUpload(t.Context(), key, &cos.InitiateMultipartUploadOptions{
		ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{ContentType: "text/plain", XCosMetaXXX: header("x-cos-meta-a", "b"), XOptionHeader: header(h...)},
	})
	check(t, err)
	return out.UploadID
}

func uploadPart(t testing.TB, c *cos.Client, key, id string, n int, value string) cos.Object {
	t.Helper()
	resp, err := c.Object.UploadPart(t.Context(), key, id, n, strings.NewReader(value), nil)
	check(t, err)
	if resp.Header.Get("X-Cos-Hash-Crc64ecma") != crcOf(value) {
		t.Errorf("part %d: CRC %s", n, resp.Header.Get("X-Cos-Hash-Crc64ecma"))
	}
	return cos.Object{PartNumber: n, ETag: resp.Header.Get("Etag")}
}

func TestMultipart(t *testing.T) {
	for _, versioning := range []string{"", "Enabled", "Suspended"} {
		s := start(t, &costest.Options{Versioning: versioning})
		c := sdk(t, s, s.Bucket())
		const key = "dir/k +é"
		id := initiate(t, c, key)
		values := []string{bytesOf(1 << 20), bytesOf(3 << 20), bytesOf(5)}
		var parts []cos.Object
		for i, v := range values {
			uploadPart(t, c, key, id, i+1, "another") // overwritten by the next one
			parts = append(parts, uploadPart(t, c, key, id, i+1, v))
		}
		if diff := cmp.Diff([]costest.Upload{{Key: key, ID: id, Parts: 3}}, s.Uploads(s.Bucket())); diff != "" {
			t.Errorf("uploads (-want +got):\n%s", diff)
		}
		_, err := get(c, key)
		wantCode(t, "before complete", err, "404 NoSuchKey")

		listed, _, err := c.Object.ListParts(t.Context(), key, id, &cos.ObjectListPartsOptions{MaxParts: "2", EncodingType: "url"})
		check(t, err)
		if len(listed.Parts) != 2 || !listed.IsTruncated || listed.NextPartNumberMarker != "2" || listed.Parts[1].ETag != parts[1].ETag || listed.Parts[1].Size != 3<<20 {
			t.Errorf("parts: %+v", listed)
		}
		listed, _, err = c.Object.ListParts(t.Context(), key, id, &cos.ObjectListPartsOptions{PartNumberMarker: "2"})
		check(t, err)
		if len(listed.Parts) != 1 || listed.IsTruncated || listed.Initiator.ID != "qcs::cam::uin/100000000001:uin/100000000001" {
			t.Errorf("the last part: %+v", listed)
		}

		out, resp, err := c.Object.CompleteMultipartUpload(t.Context(), key, id, &cos.CompleteMultipartUploadOptions{Parts: parts})
		check(t, err)
		whole := strings.Join(values, "")
		if got, want := resp.Header.Get("X-Cos-Hash-Crc64ecma"), crcOf(whole); got != want {
			t.Errorf("CRC %s, want %s", got, want)
		}
		if !regexp.MustCompile(`^"[0-9a-f]{32}-3"$`).MatchString(out.ETag) || out.Bucket != s.Bucket() || out.Key != key {
			t.Errorf("complete: %+v", out)
		}
		version := resp.Header.Get("X-Cos-Version-Id")
		if versioning == "" && version != "" || versioning == "Suspended" && version != "null" || versioning == "Enabled" && len(version) < 10 {
			t.Errorf("%q: version %q", versioning, version)
		}
		wantValue(t, c, key, whole)
		head, err := c.Object.Head(t.Context(), key, nil)
		check(t, err)
		if head.Header.Get("Etag") != out.ETag || head.Header.Get("X-Cos-Meta-A") != "b" || head.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("head: %v", head.Header)
		}
		part, err := c.Object.Get(t.Context(), key, &cos.ObjectGetOptions{Range: "bytes=1048570-4194306"})
		check(t, err)
		b := make([]byte, 4194306-1048570+1)
		if n, err := readFull(part, b); err != nil || string(b[:n]) != whole[1048570:4194307] {
			t.Errorf("a range over three parts: %d bytes, %v", n, err)
		}
		_, _, err = c.Object.CompleteMultipartUpload(t.Context(), key, id, &cos.CompleteMultipartUploadOptions{Parts: parts})
		wantCode(t, "complete again", err, "404 NoSuchUpload")
		if left := s.Uploads(s.Bucket()); len(left) != 0 {
			t.Errorf("remaining uploads: %v", left)
		}
	}
}

func TestMultipartETagFormula(t *testing.T) {
	got := make(map[string]string)
	for _, variant := range []string{"opaque", "s3"} {
		s := start(t, &costest.Options{Unsure: map[string]string{"multipart-etag": variant}})
		c := sdk(t, s, s.Bucket())
		id := initiate(t, c, "k")
		p := uploadPart(t, c, "k", id, 1, "123456789")
		out, _, err := c.Object.CompleteMultipartUpload(t.Context(), "k", id, &cos.CompleteMultipartUploadOptions{Parts: []cos.Object{p}})
		check(t, err)
		got[variant] = out.ETag
	}
	// printf 123456789 | md5sum | xxd -r -p | md5sum
	if want := `"5927c5d64d94a5786f90003aa26d0159-1"`; got["s3"] != want || got["opaque"] == want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestCompleteRefused(t *testing.T) {
	for _, variant := range []string{"documented", "InvalidPart", "InvalidPartOrder"} {
		s := start(t, &costest.Options{Unsure: map[string]string{"part-order": variant}})
		c := sdk(t, s, s.Bucket())
		code := map[string][2]string{
			"documented": {"400 InvalidPart", "400 InvalidPartOrder"}, "InvalidPart": {"400 InvalidPart", "400 InvalidPart"},
			"InvalidPartOrder": {"400 InvalidPartOrder", "400 InvalidPartOrder"},
		}[variant]
		id := initiate(t, c, "k")
		var p [4]cos.Object
		for n, size := range []int{0, 1 << 20, 1<<20 - 1, 7} {
			if n > 0 {
				p[n] = uploadPart(t, c, "k", id, n, bytesOf(size))
			}
		}
		for _, tc := range []struct {
			what, id string
			parts    []cos.Object
			want     string
		}{
			{"small part before the last one", id, []cos.Object{p[1], p[2], p[3]}, "400 EntityTooSmall"},
			{"missing part in between", id, []cos.Object{p[1], p[3]}, code[0]},
			{"parts not sorted", id, []cos.Object{p[2], p[1]}, code[1]},
			{"same part twice", id, []cos.Object{p[1], p[1]}, code[1]},
			{"another ETag", id, []cos.Object{{PartNumber: 1, ETag: p[2].ETag}}, "400 InvalidPart"},
			{"part not uploaded", id, []cos.Object{p[1], {PartNumber: 2, ETag: p[2].ETag}, {PartNumber: 3, ETag: p[3].ETag}, {PartNumber: 4, ETag: p[3].ETag}}, "400 InvalidPart"},
			{"no parts", id, nil, "400 MalformedXML"},
			{"another upload", id + "0", []cos.Object{p[1]}, "404 NoSuchUpload"},
			{"valid parts", id, []cos.Object{p[1], p[2]}, "no error"},
		} {
			_, _, err := c.Object.CompleteMultipartUpload(t.Context(), "k", tc.id, &cos.CompleteMultipartUploadOptions{Parts: tc.parts})
			wantCode(t, tc.what, err, tc.want)
		}
	}
}

func TestPartRefused(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	id := initiate(t, c, "k")
	for _, tc := range []struct {
		key, id string
		n       int
		want    string
	}{
		{"k", id, 0, "400 InvalidArgument"}, {"k", id, 10001, "400 InvalidArgument"}, {"k", "x", 1, "404 NoSuchUpload"}, {"other", id, 1, "404 NoSuchUpload"},
	} {
		_, err := c.Object.UploadPart(t.Context(), tc.key, tc.id, tc.n, strings.NewReader("v"), nil)
		wantCode(t, fmt.Sprint(tc), err, tc.want)
	}
	_, err := c.Object.UploadPart(t.Context(), "k", id, 1, strings.NewReader("v"), &cos.ObjectUploadPartOptions{ContentMD5: contentMD5("w")})
	wantCode(t, "another MD5", err, "400 BadDigest")
	_, err = c.Object.AbortMultipartUpload(t.Context(), "k", id)
	check(t, err)
	_, err = c.Object.AbortMultipartUpload(t.Context(), "k", id)
	wantCode(t, "abort again", err, "404 NoSuchUpload")
	_, err = c.Object.UploadPart(t.Context(), "k", id, 1, strings.NewReader("v"), nil)
	wantCode(t, "after the abort", err, "404 NoSuchUpload")
}

func TestMultipartForbidOverwrite(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	forbid := []string{"x-cos-forbid-overwrite", "true"}
	id := initiate(t, c, "k", forbid...)
	part := uploadPart(t, c, "k", id, 1, "multi")
	put(t, c, "k", "single")
	complete := func(h ...string) error {
		_, _, err := c.Object.CompleteMultipartUpload(t.Context(), "k", id, &cos.CompleteMultipartUploadOptions{Parts: []cos.Object{part}, XOptionHeader: header(h...)})
		return err
	}
	wantCode(t, "complete", complete(forbid...), "409 FileAlreadyExists")
	wantValue(t, c, "k", "single")
	if left := s.Uploads(s.Bucket()); len(left) != 1 {
		t.Errorf("after a refused complete these uploads remain: %v", left)
	}
	_, _, err := c.Object.InitiateMultipartUpload(t.Context(), "k", &cos.InitiateMultipartUploadOptions{ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{XOptionHeader: header(forbid...)}})
	wantCode(t, "initiate", err, "409 FileAlreadyExists")
	// If only the initiate has the header, the complete may overwrite.
	wantCode(t, "complete without the header", complete(), "no error")
	wantValue(t, c, "k", "multi")
}

func TestListUploads(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	for _, key := range []string{"a", "a", "b/1", "b/2", "c"} {
		initiate(t, c, key)
	}
	for _, tc := range []struct {
		opt  cos.ObjectListUploadsOptions
		want string
	}{
		{cos.ObjectListUploadsOptions{}, "a a b/1 b/2 c "},
		{cos.ObjectListUploadsOptions{MaxUploads: 1}, "a | a | b/1 | b/2 | c "},
		{cos.ObjectListUploadsOptions{MaxUploads: 3}, "a a b/1 | b/2 c "},
		{cos.ObjectListUploadsOptions{Prefix: "b"}, "b/1 b/2 "},
		{cos.ObjectListUploadsOptions{Delimiter: "/"}, "b/* a a c "},
		{cos.ObjectListUploadsOptions{Delimiter: "/", MaxUploads: 1}, "a | a | b/* | c "},
		{cos.ObjectListUploadsOptions{KeyMarker: "a"}, "b/1 b/2 c "},
	} {
		var b strings.Builder
		opt := tc.opt
		for range 10 {
			out, _, err := c.Object.ListUploads(t.Context(), &opt)
			check(t, err)
			for _, p := range out.CommonPrefixes {
				b.WriteString(p + "* ")
			}
			for _, u := range out.Upload {
				b.WriteString(u.Key + " ")
			}
			if !out.IsTruncated {
				break
			}
			b.WriteString("| ")
			opt.KeyMarker, opt.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
		}
		if diff := cmp.Diff(tc.want, b.String()); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tc.opt, diff)
		}
	}
}
