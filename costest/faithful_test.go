package costest_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

// TestDelayedClientGone: a delayed request is not applied if its client gives up.
func TestDelayedClientGone(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	// On a busy machine, the server may learn that the client has gone only after the delay.
	for delay := 500 * time.Millisecond; ; delay *= 2 {
		ctx, cancel := context.WithCancel(t.Context())
		s.SetRule(func(r *costest.Request) *costest.Fault {
			time.AfterFunc(20*time.Millisecond, cancel)
			return costest.Delay(delay)
		})
		_, err := c.Object.Put(ctx, "k", strings.NewReader(bytesOf(1<<20)), nil)
		cancel()
		s.SetRule(nil)
		time.Sleep(delay + 100*time.Millisecond)
		_, read := get(c, "k")
		if err != nil && read != nil {
			wantCode(t, "then", read, "404 NoSuchKey")
			return
		}
		if delay > 5*time.Second {
			t.Fatalf("put: %v, then get: %v", err, read)
		}
		if _, err := c.Object.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCutWithoutBody: the fault also closes the connection of a request without a body, and does
// not apply the request.
func TestCutWithoutBody(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	put(t, c, "k", "v")
	for _, action := range []string{"DeleteObject", "InitiateMultipartUpload"} {
		s.SetRule(always(action, costest.CutRequest(100)))
		var err error
		if action == "DeleteObject" {
			_, err = c.Object.Delete(t.Context(), "k")
		} else {
			_, _, err = c.Object.InitiateMultipartUpload(t.Context(), "up", nil)
		}
		if err == nil {
			t.Errorf("%s got a response", action)
		}
	}
	s.SetRule(nil)
	wantValue(t, c, "k", "v")
	if n := len(s.Uploads(s.Bucket())); n != 0 {
		t.Errorf("there are %d uploads", n)
	}
}

// TestErrorHeaders: an error response has the general headers, but not those of the object.
func TestErrorHeaders(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	_, err := c.Object.Put(t.Context(), "k", strings.NewReader("value"), &cos.ObjectPutOptions{ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{
		ContentEncoding: "gzip", CacheControl: "no-cache", XOptionHeader: header("x-cos-meta-a", "b"),
	}})
	check(t, err)
	none := []string{"Content-Encoding", "X-Cos-Meta-A", "X-Cos-Hash-Crc64ecma", "Content-Disposition"}
	status, h, body := do(t, s, "GET", "/k", "", owner(s), "Range", "bytes=5-")
	if status != 416 || h.Get("Content-Range") != "bytes */5" || h.Get("Content-Type") != "application/xml" || !strings.Contains(body, "InvalidRange") {
		t.Errorf("beyond the end: %d %v %s", status, h, body)
	}
	for _, name := range none {
		if h.Get(name) != "" {
			t.Errorf("beyond the end: %s is %q", name, h.Get(name))
		}
	}
	_, h, _ = do(t, s, "HEAD", "/k", "", owner(s))
	tag := h.Get("Etag")
	status, h, _ = do(t, s, "GET", "/k", "", owner(s), "If-None-Match", tag)
	if status != 304 || tag == "" || h.Get("Etag") != tag || h.Get("X-Cos-Meta-A") != "" {
		t.Errorf("not modified: %d %v", status, h)
	}
	s.SetRule(always("GetObject", costest.RespondBefore(503, costest.ErrorXML("SlowDown", "no"))))
	_, h, body = do(t, s, "GET", "/k", "", owner(s))
	if h.Get("Server") != "tencent-cos" || h.Get("X-Cos-Trace-Id") == "" || h.Get("X-Cos-Request-Id") == "" || !strings.Contains(body, "<RequestId>"+h.Get("X-Cos-Request-Id")+"<") {
		t.Errorf("a fault: %v %s", h, body)
	}
}

// TestEarlyHeaders: the headers of a response that starts before the call ends do not contain its
// result.
func TestEarlyHeaders(t *testing.T) {
	s := start(t, &costest.Options{Versioning: "Enabled"})
	c := sdk(t, s, s.Bucket())
	for name, f := range map[string]*costest.Fault{"keep alive": costest.KeepAlive(), "late error": costest.LateErrorAfter("InternalError", "no")} {
		up, _, err := c.Object.InitiateMultipartUpload(t.Context(), "k", nil)
		check(t, err)
		part, err := c.Object.UploadPart(t.Context(), "k", up.UploadID, 1, strings.NewReader("v"), nil)
		check(t, err)
		s.SetRule(always("CompleteMultipartUpload", f))
		_, h, _ := do(t, s, "POST", "/k?uploadId="+up.UploadID, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+part.Header.Get("Etag")+"</ETag></Part></CompleteMultipartUpload>", owner(s))
		s.SetRule(nil)
		if h.Get("X-Cos-Version-Id") != "" || h.Get("X-Cos-Hash-Crc64ecma") != "" {
			t.Errorf("%s: the headers are %v", name, h)
		}
		wantValue(t, c, "k", "v")
	}
}

// TestLagShowsOld: during the lag, lists show the previous version of a key.
func TestLagShowsOld(t *testing.T) {
	clock := newMovingClock()
	s := start(t, &costest.Options{ListLag: time.Minute, Now: clock.now})
	c := sdk(t, s, s.Bucket())
	put(t, c, "k", "v")
	put(t, c, "dir/new", "v")
	clock.advance(2 * time.Minute)
	put(t, c, "k", "longer")
	put(t, c, "k", "longer still")
	put(t, c, "other/new", "v")
	list, _, err := c.Bucket.Get(t.Context(), nil)
	check(t, err)
	if len(list.Contents) != 2 || list.Contents[1].Key != "k" || list.Contents[1].Size != 1 {
		t.Errorf("the list contains %+v", list.Contents)
	}
	versions, _, err := c.Bucket.GetObjectVersions(t.Context(), &cos.BucketGetObjectVersionsOptions{Delimiter: "/"})
	check(t, err)
	if len(versions.CommonPrefixes) != 1 || versions.CommonPrefixes[0] != "dir/" || len(versions.Version) != 1 || versions.Version[0].Size != 1 {
		t.Errorf("the list of versions contains %v and %+v", versions.CommonPrefixes, versions.Version)
	}
	clock.advance(2 * time.Minute)
	list, _, err = c.Bucket.Get(t.Context(), nil)
	check(t, err)
	if len(list.Contents) != 3 || list.Contents[1].Size != int64(len("longer still")) {
		t.Errorf("later the list contains %+v", list.Contents)
	}
	if stamp := list.Contents[0].LastModified; !regexp.MustCompile(`T\d\d:\d\d:\d\d\.000Z$`).MatchString(stamp) {
		t.Errorf("a time is %q", stamp)
	}
}

// TestVersionIDs: a version id may contain characters that a URL must escape.
func TestVersionIDs(t *testing.T) {
	s := start(t, &costest.Options{Versioning: "Enabled", Unsure: map[string]string{"version-id": "base64"}})
	c := sdk(t, s, s.Bucket())
	id := put(t, c, "k", "old").Header.Get("X-Cos-Version-Id")
	put(t, c, "k", "new")
	if !strings.ContainsAny(id, "+/=") {
		t.Errorf("the id is %q", id)
	}
	status, _, body := do(t, s, "GET", "/k?versionId="+strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(id), "", owner(s))
	if status != 200 || body != "old" {
		t.Errorf("escaped: %d %s", status, body)
	}
	if status, _, body = do(t, s, "GET", "/k?versionId="+id, "", owner(s)); status == 200 {
		t.Errorf("not escaped: %d %s", status, body)
	}
}

// TestRawPath: the server uses the raw path that the client sent.
func TestRawPath(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	put(t, c, "é+", "v")
	host := strings.TrimPrefix(s.BucketURL(s.Bucket()), "http://")
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL(), nil)
	check(t, err)
	req.Host, req.URL.Opaque = host, "/é%2B"
	signed, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+host+"/%C3%A9%2B", nil)
	check(t, err)
	owner(s)(signed)
	req.Header = signed.Header
	resp, err := s.Client().Do(req)
	check(t, err)
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || string(b) != "v" {
		t.Errorf("%s %s, %v", resp.Status, b, err)
	}
}

// TestAbortedMarker: a list of uploads continues after the marker even if that upload was aborted
// in the meantime.
func TestAbortedMarker(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	for range 3 {
		_, _, err := c.Object.InitiateMultipartUpload(t.Context(), "k", nil)
		check(t, err)
	}
	first, _, err := c.Bucket.ListMultipartUploads(t.Context(), &cos.ListMultipartUploadsOptions{MaxUploads: 2})
	check(t, err)
	if len(first.Uploads) != 2 || !first.IsTruncated {
		t.Fatalf("%+v", first)
	}
	_, err = c.Object.AbortMultipartUpload(t.Context(), "k", first.NextUploadIDMarker)
	check(t, err)
	rest, _, err := c.Bucket.ListMultipartUploads(t.Context(), &cos.ListMultipartUploadsOptions{KeyMarker: first.NextKeyMarker, UploadIDMarker: first.NextUploadIDMarker})
	check(t, err)
	if len(rest.Uploads) != 1 || rest.Uploads[0].UploadID == first.Uploads[0].UploadID {
		t.Errorf("the rest is %+v", rest.Uploads)
	}
}

// TestUnsupportedFeatures: requests for features that are not implemented are refused, and not handled
// as other calls.
func TestUnsupportedFeatures(t *testing.T) {
	s := start(t, nil)
	put(t, sdk(t, s, s.Bucket()), "k.jpg", "v")
	if status, _, _ := do(t, s, "GET", "/k.jpg?imageMogr2/thumbnail/100x", "", owner(s)); status != 501 {
		t.Errorf("a request for image processing: %d", status)
	}
	if status, _, _ := do(t, s, "GET", "/k.jpg", "", owner(s), "X-Cos-Server-Side-Encryption-Customer-Algorithm", "AES256"); status != 501 {
		t.Errorf("an encryption key of the client: %d", status)
	}
}

func TestLifecycleRefused(t *testing.T) {
	s := start(t, nil)
	rule := func(inner string) string {
		return "<Rule><ID>a</ID><Status>Enabled</Status>" + inner + "</Rule>"
	}
	const days = "<Expiration><Days>1</Days></Expiration>"
	for _, tc := range []struct{ what, rules, want string }{
		{"valid", rule("<Filter><Prefix>a</Prefix></Filter>" + days), "no error"},
		{"two filters in And", rule("<Filter><And><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>" + days), "no error"},
		{"two filters without And", rule("<Filter><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></Filter>" + days), "400 MalformedXML"},
		{"a size", rule("<Filter><And><Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>" + days), "no error"},
		{"an invalid size", rule("<Filter><And><Prefix>a</Prefix><ObjectSizeLessThan>-5</ObjectSizeLessThan></And></Filter>" + days), "400 MalformedXML"},
		{"delete markers", rule("<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"), "no error"},
		{"delete markers and days", rule("<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"), "400 MalformedXML"},
		{"invalid delete markers", rule("<Expiration><ExpiredObjectDeleteMarker>yes</ExpiredObjectDeleteMarker></Expiration>"), "400 MalformedXML"},
		{"two expirations", rule(days + days), "400 MalformedXML"},
		{"same id twice", rule(days) + rule(days), "400 MalformedXML"},
		{"invalid date", rule("<Expiration><Date>soon</Date></Expiration>"), "400 MalformedXML"},
		{"valid date", rule("<Expiration><Date>2030-01-01T00:00:00+08:00</Date></Expiration>"), "no error"},
	} {
		body := "<LifecycleConfiguration>" + tc.rules + "</LifecycleConfiguration>"
		status, _, body := do(t, s, "PUT", "/?lifecycle", body, owner(s), "Content-Md5", contentMD5(body))
		if (status == 200) != (tc.want == "no error") || status != 200 && !strings.Contains(body, "<Code>MalformedXML<") {
			t.Errorf("%s: %d %s, want %s", tc.what, status, body, tc.want)
		}
	}
}

// TestDescriptors: contents do not need a file descriptor each, and blocks without references are
// used again.
func TestDescriptors(t *testing.T) {
	fds := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("there is no /proc")
		}
		return len(all)
	}
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	value := bytesOf(300 << 10)
	put(t, c, "kept", value)
	before := fds()
	for i := range 50 {
		key := string(rune('a' + i%26))
		put(t, c, key, value[i:])
		wantValue(t, c, key, value[i:])
	}
	if after := fds(); after > before+10 {
		t.Errorf("there were %d descriptors, then %d", before, after)
	}
	resp, err := c.Object.Get(t.Context(), "kept", &cos.ObjectGetOptions{Range: "bytes=262000-263000"})
	check(t, err)
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(b, []byte(value[262000:263001])) {
		t.Errorf("a range over two blocks: %d bytes, %v", len(b), err)
	}
}

// TestCopyWithoutCRC: the fault also removes the CRC from the result document of a copy.
func TestCopyWithoutCRC(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	put(t, c, "k", "v")
	source := strings.TrimPrefix(s.BucketURL(s.Bucket()), "http://") + "/k"
	for _, f := range []*costest.Fault{nil, costest.OmitCRC()} {
		s.SetRule(always("CopyObject", f))
		got, resp, err := c.Object.Copy(t.Context(), "copy", source, nil)
		check(t, err)
		if (got.CRC64 == "") != (f != nil) || (resp.Header.Get("X-Cos-Hash-Crc64ecma") != "") && f != nil {
			t.Errorf("the CRC64 is %q, the headers are %v", got.CRC64, resp.Header)
		}
	}
}
