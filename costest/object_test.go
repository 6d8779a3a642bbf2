package costest_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

func TestPutGetHead(t *testing.T) {
	for _, tls := range []bool{false, true} {
		s := start(t, &costest.Options{TLS: tls})
		c := sdk(t, s, s.Bucket())
		for _, value := range []string{"", "v", strings.Repeat("0123456789abcdef", 1<<16)} {
			for _, key := range []string{"k", "bots/0xabc/credentials/openai.enc", "a b+c&d=e?f#g%25/腾讯云/!'()*~;:@,$", "x//y", "a/../b", "trailing/"} {
				resp := put(t, c, key, value)
				if resp.Header.Get("X-Cos-Version-Id") != "" || resp.Header.Get("X-Cos-Request-Id") == "" || resp.Header.Get("Server") != "tencent-cos" {
					t.Errorf("put %q: %v", key, resp.Header)
				}
				wantValue(t, c, key, value)
			}
		}
		opt := &cos.ObjectPutOptions{
			ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{
				ContentType: "text/plain; charset=utf-8", CacheControl: "no-store", ContentDisposition: "inline", ContentEncoding: "identity", Expires: "0",
				XCosMetaXXX: header("X-Cos-Meta-Some-Name", "a_b c"), ContentMD5: contentMD5("value"),
			},
		}
		_, err := c.Object.Put(t.Context(), "meta", strings.NewReader("value"), opt)
		check(t, err)
		resp, err := c.Object.Head(t.Context(), "meta", nil)
		check(t, err)
		for name, want := range map[string]string{
			"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "Content-Disposition": "inline", "Content-Encoding": "identity",
			"Expires": "0", "X-Cos-Meta-Some-Name": "a_b c", "Content-Length": "5", "Etag": `"2063c1608d6e0baf80249c42e2be5804"`,
			"X-Cos-Hash-Crc64ecma": crcOf("value"),
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("head: %s is %q, want %q", name, got, want)
			}
		}
		get, err := c.Object.Get(t.Context(), "meta", &cos.ObjectGetOptions{ResponseContentType: "a/b", ResponseCacheControl: "max-age=600"})
		check(t, err)
		get.Body.Close()
		for name, want := range map[string]string{
			"Content-Type": "a/b", "Cache-Control": "max-age=600", "Content-Disposition": "attachment", "X-Cos-Force-Download": "true",
		} {
			if got := get.Header.Get(name); got != want {
				t.Errorf("get: %s is %q, want %q", name, got, want)
			}
		}
	}
}

// The documentation shows these two bodies (436/7749).
func TestIntegrityNumbers(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	for _, tc := range []struct{ body, etag, md5, crc string }{
		{"[Object Content]", `"ee8de918d05640145b18f70f4c3aa602"`, "7o3pGNBWQBRbGPcPTDqmAg==", "16749565679157681890"},
		{"[Chunked Content][2nd chunk][3rd chunk][4th chunk]", `"aa488bb80185a6be87f4a7b936a80752"`, "qkiLuAGFpr6H9Ke5NqgHUg==", "7188322482464764960"},
		{"123456789", `"25f9e794323b453885f5181f1b624d0b"`, "JfnnlDI7RTiF9RgfG2JNCw==", "11051210869376104954"},
	} {
		resp, err := c.Object.Put(t.Context(), "k", strings.NewReader(tc.body), &cos.ObjectPutOptions{ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{ContentMD5: tc.md5}})
		check(t, err)
		head, err := c.Object.Head(t.Context(), "k", nil)
		check(t, err)
		for _, h := range []http.Header{resp.Header, head.Header} {
			if h.Get("Etag") != tc.etag || h.Get("X-Cos-Hash-Crc64ecma") != tc.crc {
				t.Errorf("%s: ETag %s, CRC %s", tc.body, h.Get("Etag"), h.Get("X-Cos-Hash-Crc64ecma"))
			}
		}
	}
}

func TestPutRefused(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	for _, tc := range []struct {
		what, key string
		header    []string
		want      string
	}{
		{"wrong MD5", "k", []string{"Content-MD5", contentMD5("other")}, "400 BadDigest"},
		{"malformed MD5", "k", []string{"Content-MD5", "abc"}, "400 InvalidDigest"},
		{"key of 850 bytes", strings.Repeat("k", 850), nil, "no error"},
		{"key of 851 bytes", strings.Repeat("k", 851), nil, "400 KeyTooLong"},
		{"leading backslash", `\k`, nil, "400 InvalidObjectName"},
		{"control character 0x18 in the key", "k\x18", nil, "400 InvalidObjectName"},
		{"control character 0x1b in the key", "k\x1b", nil, "400 InvalidObjectName"},
		{"control character 0x01 in the key", "k\x01", nil, "no error"},
		{"key not UTF-8", "k\xff", nil, "400 InvalidObjectName"},
		{"underscore in a metadata name", "k", []string{"x-cos-meta-a_b", "v"}, "400 InvalidArgument"},
		{"metadata without a name", "k", []string{"x-cos-meta-", "v"}, "400 InvalidArgument"},
		{"2048 bytes of metadata", "k", []string{"x-cos-meta-a", strings.Repeat("v", 2048-12)}, "no error"},
		{"2049 bytes of metadata", "k", []string{"x-cos-meta-a", strings.Repeat("v", 2049-12)}, "400 InvalidArgument"},
		{"metadata not ASCII", "k", []string{"x-cos-meta-a", "é"}, "403 SignatureDoesNotMatch"},
		{"invalid ACL", "k", []string{"x-cos-acl", "public-read-write"}, "400 InvalidArgument"},
		{"unsupported storage class", "k", []string{"x-cos-storage-class", "ARCHIVE"}, "400 NotSupportedStorageClass"},
		{"SSE-C", "k", []string{"x-cos-server-side-encryption-customer-algorithm", "AES256"}, "501 NotImplemented"},
		{"same tag twice", "k", []string{"x-cos-tagging", "a=b&a=c"}, "400 InvalidTag"},
		{"If-None-Match is ignored", "k", []string{"If-None-Match", "*"}, "no error"},
		{"forbid-overwrite", "k", []string{"x-cos-forbid-overwrite", "true"}, "409 FileAlreadyExists"},
		{"forbid-overwrite of a new key", "new", []string{"x-cos-forbid-overwrite", "true"}, "no error"},
	} {
		_, err := c.Object.Put(t.Context(), tc.key, strings.NewReader("value"), &cos.ObjectPutOptions{
			ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{XOptionHeader: header(tc.header...)},
		})
		wantCode(t, tc.what, err, tc.want)
	}
	status, _, body := do(t, s, "PUT", "/%2Fabs", "v", owner(s))
	if status != 400 || !strings.Contains(body, "<Code>InvalidObjectName</Code>") {
		t.Errorf("leading slash: %d %s", status, body)
	}
}

func TestUnsureLimits(t *testing.T) {
	s := start(t, &costest.Options{Unsure: map[string]string{"key-length": "encoded", "metadata-limit": "4096", "put-condition": "honour"}})
	c := sdk(t, s, s.Bucket())
	try := func(key string, h ...string) error {
		_, err := c.Object.Put(t.Context(), key, strings.NewReader("v"), &cos.ObjectPutOptions{ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{XOptionHeader: header(h...)}})
		return err
	}
	wantCode(t, "283 spaces", try("k"+strings.Repeat(" ", 283)), "no error")
	wantCode(t, "284 spaces", try("k"+strings.Repeat(" ", 284)), "400 KeyTooLong")
	half := strings.Repeat("v", 2048-12)
	wantCode(t, "4096 bytes of metadata", try("k", "x-cos-meta-a", half, "x-cos-meta-b", half), "no error")
	wantCode(t, "4097 bytes of metadata", try("k", "x-cos-meta-a", half, "x-cos-meta-b", half[1:], "x-cos-meta-c", ""), "400 InvalidArgument")
	wantCode(t, "2049 bytes in one header", try("k", "x-cos-meta-a", half+"v"), "400 InvalidArgument")
	wantCode(t, "If-None-Match", try("k", "If-None-Match", "*"), "412 PreconditionFailed")
	wantCode(t, "If-None-Match", try("k2", "If-None-Match", "*"), "no error")
	wantCode(t, "If-Match", try("k", "If-Match", `"other"`), "412 PreconditionFailed")
	if _, err := costest.New(&costest.Options{Unsure: map[string]string{"weather": "fine"}}); err == nil || err.Error() != `costest: unknown question "weather"` {
		t.Errorf("an unknown question: %v", err)
	}
	if _, err := costest.New(&costest.Options{Unsure: map[string]string{"key-length": "7"}}); err == nil || err.Error() != `costest: key-length has no variant "7"` {
		t.Errorf("an unknown variant: %v", err)
	}
	if len(costest.Questions()) < 12 {
		t.Errorf("%d questions", len(costest.Questions()))
	}
}

func TestRange(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	put(t, c, "k", "0123456789")
	put(t, c, "empty", "")
	for _, tc := range []struct {
		key, asked, want, content string
		status                    int
	}{
		{"k", "bytes=2-4", "234", "bytes 2-4/10", 206},
		{"k", "bytes=0-0", "0", "bytes 0-0/10", 206},
		{"k", "bytes=8-", "89", "bytes 8-9/10", 206},
		{"k", "bytes=8-99", "89", "bytes 8-9/10", 206},
		{"k", "bytes=-3", "789", "bytes 7-9/10", 206},
		{"k", "bytes=0-1,3-4", "0123456789", "", 200},
		{"k", "bytes=4-2", "0123456789", "", 200},
		{"k", "chars=1-2", "0123456789", "", 200},
	} {
		resp, err := c.Object.Get(t.Context(), tc.key, &cos.ObjectGetOptions{Range: tc.asked})
		if err != nil {
			t.Errorf("%s: %v", tc.asked, err)
			continue
		}
		b := make([]byte, 20)
		n, _ := resp.Body.Read(b)
		resp.Body.Close()
		if string(b[:n]) != tc.want || resp.StatusCode != tc.status || resp.Header.Get("Content-Range") != tc.content || resp.ContentLength != int64(len(tc.want)) {
			t.Errorf("%s: %d %q %s", tc.asked, resp.StatusCode, b[:n], resp.Header.Get("Content-Range"))
		}
		if resp.Header.Get("X-Cos-Hash-Crc64ecma") == "" {
			t.Errorf("%s: no CRC of the whole object", tc.asked)
		}
	}
	for _, tc := range []struct{ key, asked string }{{"k", "bytes=10-"}, {"k", "bytes=10-12"}, {"empty", "bytes=0-"}, {"k", "bytes=-0"}} {
		_, err := c.Object.Get(t.Context(), tc.key, &cos.ObjectGetOptions{Range: tc.asked})
		wantCode(t, tc.asked, err, "416 InvalidRange")
	}
}

func TestConditions(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	resp := put(t, c, "k", "v")
	etag := resp.Header.Get("Etag")
	const past, future = "Thu, 16 May 2019 06:45:51 GMT", "Thu, 16 May 2119 06:45:51 GMT"
	for _, tc := range []struct {
		name, value, want string
	}{
		{"If-Match", etag, "no error"},
		{"If-Match", `"other"`, "412 PreconditionFailed"},
		{"If-None-Match", `"other"`, "no error"},
		{"If-None-Match", etag, "304"},
		{"If-Modified-Since", past, "no error"},
		{"If-Modified-Since", future, "304"},
		{"If-Unmodified-Since", future, "no error"},
		{"If-Unmodified-Since", past, "412 PreconditionFailed"},
	} {
		_, err := c.Object.Get(t.Context(), "k", &cos.ObjectGetOptions{XOptionHeader: header(tc.name, tc.value)})
		wantCode(t, tc.name+" "+tc.value, err, tc.want)
	}
}

func TestMissing(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	_, err := c.Object.Get(t.Context(), "k", nil)
	wantCode(t, "get", err, "404 NoSuchKey")
	resp, err := c.Object.Head(t.Context(), "k", nil)
	wantCode(t, "head", err, "404")
	if resp == nil || resp.Header.Get("X-Cos-Request-Id") == "" || resp.Header.Get("X-Cos-Trace-Id") == "" {
		t.Error("the headers contain no request or trace id")
	}
	_, err = c.Object.Delete(t.Context(), "k")
	wantCode(t, "delete", err, "no error")
	other := sdk(t, s, "other-1250000000")
	_, err = other.Object.Get(t.Context(), "k", nil)
	wantCode(t, "another bucket", err, "404 NoSuchBucket")
	_, err = c.Object.Get(t.Context(), "k.apk", nil)
	wantCode(t, "apk", err, "404 NoSuchKey")
	put(t, c, "k.apk", "v")
	_, err = c.Object.Get(t.Context(), "k.apk", nil)
	wantCode(t, "apk", err, "403 DownloadForbidden")
}

func TestDeleteMany(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	for _, key := range []string{"a", "b", "c"} {
		put(t, c, key, "v")
	}
	result, _, err := c.Object.DeleteMulti(t.Context(), &cos.ObjectDeleteMultiOptions{Objects: []cos.Object{{Key: "a"}, {Key: "absent"}}})
	check(t, err)
	if len(result.DeletedObjects) != 2 || len(result.Errors) != 0 {
		t.Errorf("%+v", result)
	}
	result, _, err = c.Object.DeleteMulti(t.Context(), &cos.ObjectDeleteMultiOptions{Quiet: true, Objects: []cos.Object{{Key: "b"}}})
	check(t, err)
	if len(result.DeletedObjects) != 0 {
		t.Errorf("quiet: %+v", result)
	}
	for key, want := range map[string]string{"a": "404 NoSuchKey", "b": "404 NoSuchKey", "c": "no error"} {
		_, err := get(c, key)
		wantCode(t, key, err, want)
	}
	body := "<Delete><Object><Key>c</Key></Object></Delete>"
	status, _, answer := do(t, s, "POST", "/?delete", body, owner(s))
	if status != 400 || !strings.Contains(answer, "<Code>InvalidRequest</Code>") {
		t.Errorf("without MD5: %d %s", status, answer)
	}
	many := make([]cos.Object, 1001)
	for i := range many {
		many[i].Key = strings.Repeat("k", i+1)[:min(i+1, 800)]
	}
	_, _, err = c.Object.DeleteMulti(t.Context(), &cos.ObjectDeleteMultiOptions{Objects: many})
	wantCode(t, "1001", err, "400 MalformedXML")
}

// The documentation does not specify whether one refused key makes the whole multi-delete fail.
func TestDeleteManyDenied(t *testing.T) {
	for variant, want := range map[string]string{
		"key":  "<Deleted><Key>mine/1</Key></Deleted><Error><Key>yours/1</Key><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>",
		"call": "<Error><Code>AccessDenied</Code>",
	} {
		s := start(t, &costest.Options{Unsure: map[string]string{"multi-delete-denied": variant}})
		c := sdk(t, s, s.Bucket())
		put(t, c, "mine/1", "v")
		put(t, c, "yours/1", "v")
		const policy = `{"version":"2.0","statement":[{"effect":"allow","principal":{"qcs":["qcs::cam::anyone:anyone"]},"action":["name/cos:DeleteObject"],"resource":["qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/mine/*"]}]}`
		if status, _, body := do(t, s, "PUT", "/?policy", policy, owner(s)); status != 204 {
			t.Fatalf("policy: %d %s", status, body)
		}
		doc := "<Delete><Object><Key>mine/1</Key></Object><Object><Key>yours/1</Key></Object></Delete>"
		status, _, body := do(t, s, "POST", "/?delete", doc, nil, "Content-MD5", contentMD5(doc))
		if status != map[string]int{"key": 200, "call": 403}[variant] || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", variant, status, body)
		}
		_, err := get(c, "mine/1")
		wantCode(t, variant, err, map[string]string{"key": "404 NoSuchKey", "call": "no error"}[variant])
		wantValue(t, c, "yours/1", "v")
	}
}

// A create-only put is checked again when its body has arrived.
func TestForbidOverwriteIsDecidedAtTheEnd(t *testing.T) {
	for _, code := range []string{"FileAlreadyExists", "PathConflict"} {
		s := start(t, &costest.Options{Unsure: map[string]string{"create-race": code}})
		c := sdk(t, s, s.Bucket())
		body, w := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), "PUT", s.BucketURL(s.Bucket())+"/k", body)
		check(t, err)
		req.Header.Set("X-Cos-Forbid-Overwrite", "true")
		req.Header.Set("Expect", "100-continue") // the client sends the body when the server starts to read it
		owner(s)(req)
		transport := s.Client().Transport.(*http.Transport).Clone()
		transport.ExpectContinueTimeout = time.Minute
		defer transport.CloseIdleConnections()
		done := make(chan string)
		go func() {
			resp, err := transport.RoundTrip(req)
			if err != nil {
				done <- err.Error()
				return
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			done <- resp.Status + string(b)
		}()
		_, err = w.Write([]byte("slow"))
		check(t, err)
		put(t, c, "k", "quick")
		check(t, w.Close())
		if got := <-done; !strings.Contains(got, "409 ") || !strings.Contains(got, "<Code>"+code+"</Code>") {
			t.Errorf("the slow put got %s", got)
		}
		wantValue(t, c, "k", "quick")
	}
}

// A body that ends before its Content-Length is not stored (436/7730).
func TestIncompleteBody(t *testing.T) {
	s := start(t, nil)
	for _, length := range []int{10, 1 << 20} {
		req, err := http.NewRequestWithContext(t.Context(), "PUT", s.BucketURL(s.Bucket())+"/k", nil)
		check(t, err)
		owner(s)(req)
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
		check(t, err)
		defer conn.Close()
		_, err = fmt.Fprintf(conn, "PUT /k HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s",
			req.Host, req.Header.Get("Authorization"), length, strings.Repeat("v", length-1))
		check(t, err)
		check(t, conn.(*net.TCPConn).CloseWrite())
		got, err := io.ReadAll(conn)
		check(t, err)
		if !strings.HasPrefix(string(got), "HTTP/1.1 400 ") || !strings.Contains(string(got), "<Code>IncompleteBody</Code>") {
			t.Errorf("%d: %s", length, got)
		}
		_, err = get(sdk(t, s, s.Bucket()), "k")
		wantCode(t, "get", err, "404 NoSuchKey")
	}
}

func TestForbidOverwriteHasOneWinner(t *testing.T) {
	for _, race := range []string{"FileAlreadyExists", "PathConflict"} {
		s := start(t, &costest.Options{Unsure: map[string]string{"create-race": race}})
		c := sdk(t, s, s.Bucket())
		got := make(chan string)
		for range 16 {
			go func() {
				_, err := c.Object.Put(context.Background(), "k", strings.NewReader("v"), &cos.ObjectPutOptions{
					ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{XOptionHeader: header("x-cos-forbid-overwrite", "true")},
				})
				got <- code(err)
			}()
		}
		won := 0
		for range 16 {
			switch one := <-got; {
			case one == "no error":
				won++
			case !slices.Contains([]string{"409 FileAlreadyExists", "409 " + race}, one):
				t.Errorf("a losing put got %s", one)
			}
		}
		if won != 1 {
			t.Errorf("%d winners", won)
		}
	}
}
