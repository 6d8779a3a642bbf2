package costest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

// always returns a rule that injects one fault into every request with the action.
func always(action string, f *costest.Fault) func(*costest.Request) *costest.Fault {
	return func(r *costest.Request) *costest.Fault {
		if r.Action == action {
			return f
		}
		return nil
	}
}

func TestFaultsOfWrites(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	for i, tc := range []struct {
		fault   *costest.Fault
		want    string // "" means a closed connection
		applied bool
	}{
		{costest.RespondBefore(500, costest.ErrorXML("InternalError", "no")), "500 InternalError", false},
		{costest.ApplyThen(500, costest.ErrorXML("InternalError", "no")), "500 InternalError", true},
		{costest.RespondBefore(503, costest.ErrorXML("SlowDown", "no")), "503 SlowDown", false},
		{costest.DropBefore(), "", false},
		{costest.DropAfter(), "", true},
		{costest.CutRequest(1 << 20), "", false},
		{costest.CutRequest(1 << 30), "", false},
		{costest.OmitCRC(), "x-cos-hash-crc64ecma", true},
		{costest.Delay(time.Millisecond), "no error", true},
	} {
		s.Reset()
		s.SetRule(always("PutObject", tc.fault))
		key := fmt.Sprint("k", i)
		_, err := c.Object.Put(t.Context(), key, strings.NewReader(bytesOf(2<<20)), nil)
		s.SetRule(nil)
		if got := code(err); tc.want != "" && got != tc.want && !strings.Contains(got, tc.want) || tc.want == "" && (err == nil || strings.HasPrefix(got, "5")) {
			t.Errorf("%d: %s, want %q", i, got, tc.want)
		}
		_, err = get(c, key)
		wantCode(t, key, err, map[bool]string{true: "no error", false: "404 NoSuchKey"}[tc.applied])
		r := s.Requests()[0]
		if r.Applied != tc.applied || r.N != 1 || r.Action != "PutObject" || r.Key != key || r.AccessKeyID != s.SecretID() || (r.Status == 0) != (tc.want == "") {
			t.Errorf("%d: seen %v %+v", i, r, r)
		}
	}
}

func TestFaultsOfReads(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	value := bytesOf(2 << 20)
	put(t, c, "k", value)
	for i, tc := range []struct {
		fault *costest.Fault
		want  string
		err   error
	}{
		{costest.CutBody(1000), value[:1000], io.ErrUnexpectedEOF},
		{costest.CutBody(0), "", io.ErrUnexpectedEOF},
		{costest.CutBody(1 << 20), value[:1<<20], io.ErrUnexpectedEOF},
		{costest.Truncated(1000), value[:1000], nil},
		{costest.SlowBody(1<<20, time.Millisecond), value, nil},
		{costest.IgnoreRange(), value, nil},
		{costest.OmitCRC(), value, nil},
	} {
		s.SetRule(always("GetObject", tc.fault))
		got, err := get(c, "k")
		if got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%d: %d bytes, %v; want %d, %v", i, len(got), err, len(tc.want), tc.err)
		}
	}
	s.SetRule(always("GetObject", costest.IgnoreRange()))
	resp, err := c.Object.Get(t.Context(), "k", &cos.ObjectGetOptions{Range: "bytes=1-2"})
	check(t, err)
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.ContentLength != int64(len(value)) || resp.Header.Get("Content-Range") != "" {
		t.Errorf("ignored range: %d %v", resp.StatusCode, resp.Header)
	}
	s.SetRule(always("HeadObject", costest.OmitCRC()))
	resp, err = c.Object.Head(t.Context(), "k", nil)
	check(t, err)
	if resp.Header.Get("X-Cos-Hash-Crc64ecma") != "" {
		t.Error("the response has a CRC, although the fault removes it")
	}
}

// A write takes effect after its client has given up, with the connection closed or left open.
func TestLater(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	var later costest.Later
	for _, f := range []*costest.Fault{later.Cut(), later.Wait()} {
		put(t, c, "k", "old")
		s.Reset()
		s.SetRule(always("PutObject", f))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // the waiting client gives up
			if later.Kept(ctx) == nil {
				cancel()
			}
		}()
		_, err := c.Object.Put(ctx, "k", strings.NewReader(bytesOf(300<<10)), nil)
		cancel()
		if err == nil {
			t.Error("the write got a response")
		}
		s.SetRule(nil)
		wantValue(t, c, "k", "old")
		if r := s.Requests()[0]; r.Applied || r.Status != 0 {
			t.Errorf("before: %+v", r)
		}
		put(t, c, "k", "of another")
		if n := later.Apply(); n != 1 {
			t.Errorf("%d requests were applied", n)
		}
		wantValue(t, c, "k", bytesOf(300<<10))
		if r := s.Requests()[0]; !r.Applied || r.Status != 0 {
			t.Errorf("after: %+v", r)
		}
	}
	if n := later.Apply(); n != 0 {
		t.Errorf("%d requests were applied twice", n)
	}
}

// TestDelay: a client that waits less than the delay gets no response, and the request is not
// applied.
func TestDelay(t *testing.T) {
	s := start(t, &costest.Options{Delay: time.Hour})
	client := *s.Client()
	client.Timeout = 20 * time.Millisecond
	if resp, err := client.Get(s.URL()); err == nil {
		resp.Body.Close()
		t.Errorf("the request got a response: %d", resp.StatusCode)
	}
	if seen := s.Requests(); len(seen) > 0 {
		t.Errorf("the server handled %v", seen)
	}
	s = start(t, &costest.Options{Delay: time.Millisecond})
	c := sdk(t, s, s.Bucket())
	put(t, c, "key", "v")
	wantValue(t, c, "key", "v")
}

func TestDelayEndsWithTheClient(t *testing.T) {
	s := start(t, nil)
	s.SetRule(func(*costest.Request) *costest.Fault { return costest.Delay(time.Hour) })
	client := *s.Client()
	client.Timeout = 20 * time.Millisecond
	if resp, err := client.Get(s.URL()); err == nil {
		resp.Body.Close()
		t.Errorf("the request got a response: %d", resp.StatusCode)
	}
}

// A response with status 200 may contain an error in the body (436/7742, 436/10881).
func TestLateErrors(t *testing.T) {
	for _, applied := range []bool{false, true} {
		fault := costest.LateError
		if applied {
			fault = costest.LateErrorAfter
		}
		s := start(t, nil)
		c := sdk(t, s, s.Bucket())
		put(t, c, "from", "v")
		id := initiate(t, c, "k")
		part := uploadPart(t, c, "k", id, 1, "v")
		s.SetRule(func(r *costest.Request) *costest.Fault { return fault("InternalError", "late") })
		body := fmt.Sprintf("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>", part.ETag)
		status, _, got := do(t, s, "POST", "/k?uploadId="+id, body, owner(s))
		if status != 200 || !strings.HasPrefix(got, "   <?xml") || !strings.Contains(got, "<Error><Code>InternalError</Code><Message>late</Message>") {
			t.Errorf("complete: %d %q", status, got)
		}
		_, _, err := c.Object.Copy(t.Context(), "copy", sourceOf(s, s.Bucket(), "from"), nil)
		wantCode(t, "copy", err, "200 InternalError")
		put(t, c, "others", "are not touched")
		s.SetRule(nil)
		for _, key := range []string{"k", "copy"} {
			_, err := get(c, key)
			wantCode(t, key, err, map[bool]string{true: "no error", false: "404 NoSuchKey"}[applied])
		}
		if left := len(s.Uploads(s.Bucket())); (left == 0) != applied {
			t.Errorf("applied %v: %d uploads remain", applied, left)
		}
		if last := s.Requests()[2]; last.Code != "InternalError" && last.Action == "CompleteMultipartUpload" {
			t.Errorf("%+v", last)
		}
	}
}

func TestKeepAlive(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	id := initiate(t, c, "k")
	part := uploadPart(t, c, "k", id, 1, "v")
	s.SetRule(func(*costest.Request) *costest.Fault { return costest.KeepAlive() })
	out, resp, err := c.Object.CompleteMultipartUpload(t.Context(), "k", id, &cos.CompleteMultipartUploadOptions{Parts: []cos.Object{part}})
	check(t, err)
	if out.Key != "k" || resp.ContentLength != -1 {
		t.Errorf("%+v, length %d", out, resp.ContentLength)
	}
}

func TestExpireKey(t *testing.T) {
	for variant, want := range map[string]string{"ExpiredToken": "400 ExpiredToken", "InvalidAccessKeyId": "403 InvalidAccessKeyId", "AccessDenied": "403 AccessDenied"} {
		s := start(t, &costest.Options{Unsure: map[string]string{"expired-token": variant}})
		c := sdk(t, s, s.Bucket())
		s.ExpireKeyAfter(2)
		for n := 1; n <= 4; n++ {
			_, err := c.Object.Put(t.Context(), "k", strings.NewReader("v"), nil)
			wantCode(t, fmt.Sprint("request ", n), err, map[bool]string{true: want, false: "no error"}[n > 2])
		}
		s2 := start(t, &costest.Options{Unsure: map[string]string{"expired-token": variant}})
		s2.ExpireKey(s2.SecretID())
		_, err := get(sdk(t, s2, s2.Bucket()), "k")
		wantCode(t, "expired", err, want)
	}
}

func TestSlowDown(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	c.Conf.RetryOpt.Count = 3
	s.SlowDown(2)
	put(t, c, "k", "v")
	var got []string
	for _, r := range s.Requests() {
		got = append(got, r.String())
	}
	if diff := cmp.Diff([]string{"PUT /k 503", "PUT /k 503", "PUT /k 200"}, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// A printed Request contains no secret.
func TestRequestsShowNoSecret(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	u, err := c.Object.GetPresignedURL(t.Context(), "GET", "k", s.SecretID(), s.SecretKey(), time.Hour, nil)
	check(t, err)
	resp, err := s.Client().Get(u.String() + "&x-cos-security-token=topsecret")
	check(t, err)
	resp.Body.Close()
	put(t, c, "k", "v")
	do(t, s, http.MethodGet, "/k", "", owner(s), "X-Cos-Security-Token", "topsecret")
	for _, verb := range []string{"%v", "%+v", "%#v", "%d", "%s", "%x"} {
		for _, v := range []any{s, costest.Options{SecretID: "id", SecretKey: s.SecretKey()}, &costest.Options{SecretKey: s.SecretKey()}} {
			if shown := fmt.Sprintf(verb, v); strings.Contains(shown, s.SecretKey()) {
				t.Errorf("%s of a %T shows the secret: %s", verb, v, shown)
			}
		}
	}
	for _, r := range s.Requests() {
		shown := fmt.Sprintf("%+v", r)
		for _, secret := range []string{"topsecret", "q-signature", s.SecretKey()} {
			if strings.Contains(shown, secret) {
				t.Errorf("the output contains %s: %s", secret, shown)
			}
		}
	}
}
