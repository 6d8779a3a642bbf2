package cosblob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
)

// faults lists the ways to lose a response. They come in pairs: the server applied the request, or
// did not.
var faults = []struct {
	name    string
	fault   func() *costest.Fault
	applied bool
	late    bool // for requests that may fail after a 200
}{
	{"500 and applied", func() *costest.Fault { return costest.ApplyThen(500, internalError()) }, true, false},
	{"500 and not applied", func() *costest.Fault { return costest.RespondBefore(500, internalError()) }, false, false},
	{"connection lost and applied", costest.DropAfter, true, false},
	{"connection lost and not applied", costest.DropBefore, false, false},
	{"200 with an error and applied", func() *costest.Fault { return costest.LateErrorAfter("InternalError", "later") }, true, true},
	{"200 with an error and not applied", func() *costest.Fault { return costest.LateError("InternalError", "later") }, false, true},
}

// TestLostResponses loses one response to each kind of request. A repeatable request is repeated, and
// the write succeeds. A request that publishes the object is not repeated, and the write fails. The
// object is then either the old or the new one.
func TestLostResponses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, action string
		size         int
		create       bool
		recovered    bool // the request is repeated, or its outcome is determined
		late         bool
	}{
		{name: "put", action: "PutObject", size: 1000},
		{name: "create", action: "PutObject", size: 1000, create: true},
		{name: "part", action: "UploadPart", size: 5 * mib / 2, recovered: true},
		{name: "complete", action: "CompleteMultipartUpload", size: 5 * mib / 2, late: true},
		{name: "complete a create", action: "CompleteMultipartUpload", size: 5 * mib / 2, create: true, late: true},
	} {
		for _, f := range faults {
			if f.late && !tc.late {
				continue
			}
			t.Run(tc.name+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				s := newServer(t, nil)
				b := open(t, s, owner(s))
				var old []byte
				if !tc.create {
					old = noise(1, 500)
					mustWrite(t, b, "key", old)
				}
				done := once(s, f.fault(), action(tc.action))
				data := noise(2, tc.size)
				err := b.WriteAll(t.Context(), "key", data, inParts(blob.WriterOptions{IfNotExist: tc.create}))
				if !done.Load() {
					t.Fatal("no response was lost")
				}
				switch {
				case tc.recovered, tc.late && f.applied: // the outcome of a complete can be determined
					if err != nil {
						t.Errorf("write: %v", err)
					}
					wantObject(t, b, "key", data)
				case err == nil:
					t.Error("write: no error, although the response was lost")
				case gcerrors.Code(err) == gcerrors.FailedPrecondition:
					t.Errorf("write: %v, although there was no other writer", err)
				case f.applied:
					wantObject(t, b, "key", data)
				default:
					wantObject(t, b, "key", old)
				}
			})
		}
	}
}

// TestOwnCreate: if the response to a create-only write was lost and the caller repeats the write,
// the second write fails because the object of the first exists.
func TestOwnCreate(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	once(s, costest.DropAfter(), action("PutObject"))
	o := inParts(blob.WriterOptions{IfNotExist: true})
	if err := b.WriteAll(t.Context(), "key", noise(1, 100), o); err == nil || gcerrors.Code(err) == gcerrors.FailedPrecondition {
		t.Fatalf("first: %v, want an error with an unknown outcome", err)
	}
	if n := count(s, "PutObject"); n != 1 {
		t.Errorf("the request was sent %d times", n)
	}
	if err := b.WriteAll(t.Context(), "key", noise(2, 100), o); gcerrors.Code(err) != gcerrors.FailedPrecondition {
		t.Errorf("second: %v, want FailedPrecondition", err)
	}
	wantObject(t, b, "key", noise(1, 100))
}

// TestReadsAreRepeated: a read is tried three times, and no more.
func TestReadsAreRepeated(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		action string
		call   func(context.Context, *blob.Bucket) error
	}{
		{"HeadObject", func(ctx context.Context, b *blob.Bucket) error { _, err := b.Attributes(ctx, "key"); return err }},
		{"GetObject", func(ctx context.Context, b *blob.Bucket) error { _, err := b.ReadAll(ctx, "key"); return err }},
		{"GetBucket", func(ctx context.Context, b *blob.Bucket) error { _, err := b.List(nil).Next(ctx); return err }},
	} {
		for _, failing := range []int{2, 3} {
			t.Run(fmt.Sprint(tc.action, " fails ", failing), func(t *testing.T) {
				t.Parallel()
				s := newServer(t, nil)
				b := open(t, s, owner(s))
				mustWrite(t, b, "key", noise(1, 100))
				s.Reset()
				s.SetRule(func(*costest.Request) *costest.Fault {
					if count(s, tc.action) <= failing {
						return costest.RespondBefore(500, internalError())
					}
					return nil
				})
				err := tc.call(t.Context(), b)
				if n := count(s, tc.action); n != 3 {
					t.Errorf("the request was sent %d times, want 3", n)
				}
				if (err != nil) != (failing == 3) {
					t.Errorf("error %v", err)
				}
				if err != nil && gcerrors.Code(err) != gcerrors.Internal {
					t.Errorf("error %v has code %v, want Internal", err, gcerrors.Code(err))
				}
			})
		}
	}
}

// TestSlowDown: this error code means that the service did nothing, so writes are also repeated.
func TestSlowDown(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	for _, write := range []struct {
		name string
		call func() error
	}{
		{"put", func() error {
			return b.WriteAll(t.Context(), "key", noise(1, 100), inParts(blob.WriterOptions{IfNotExist: true}))
		}},
		{"copy", func() error { return b.Copy(t.Context(), "copy", "key", nil) }},
		{"delete", func() error { return b.Delete(t.Context(), "copy") }},
	} {
		s.SlowDown(2)
		if err := write.call(); err != nil {
			t.Errorf("%s: %v", write.name, err)
		}
	}
	wantObject(t, b, "key", noise(1, 100))
	wantObject(t, b, "copy", nil)
	s.SlowDown(3)
	if err := b.WriteAll(t.Context(), "key", nil, nil); gcerrors.Code(err) != gcerrors.ResourceExhausted {
		t.Errorf("after three attempts: %v, want ResourceExhausted", err)
	}
}

// TestLostDeletion: a delete is not repeated, because another writer may have written the object in
// the meantime.
func TestLostDeletion(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	mustWrite(t, b, "key", noise(1, 100))
	once(s, costest.DropAfter(), action("DeleteObject"))
	if err := b.Delete(t.Context(), "key"); err == nil || gcerrors.Code(err) == gcerrors.NotFound {
		t.Errorf("delete: %v", err)
	}
	if n := count(s, "DeleteObject"); n != 1 {
		t.Errorf("the request was sent %d times", n)
	}
	if err := b.Delete(t.Context(), "key"); gcerrors.Code(err) != gcerrors.NotFound {
		t.Errorf("delete again: %v, want NotFound", err)
	}
}

// TestInitiateIsRepeated: if the response to the start of an upload is lost, an upload without parts
// remains.
func TestInitiateIsRepeated(t *testing.T) {
	t.Parallel()
	s, err := costest.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := open(t, s, owner(s))
	once(s, costest.DropAfter(), action("InitiateMultipartUpload"))
	mustWrite(t, b, "key", noise(1, 3*mib))
	wantObject(t, b, "key", noise(1, 3*mib))
	if left := s.Uploads(s.Bucket()); len(left) != 1 || left[0].Parts != 0 {
		t.Errorf("uploads remain: %v, want one without parts", left)
	}
}

// TestErrorAfter200: an error in the body of a 200 is returned with its code.
func TestErrorAfter200(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	mustWrite(t, b, "key", noise(1, 100))
	for _, tc := range []struct {
		action string
		call   func() error
	}{
		{"CompleteMultipartUpload", func() error {
			return b.WriteAll(t.Context(), "key", noise(2, 2*mib), inParts(blob.WriterOptions{}))
		}},
		{"PutObjectCopy", func() error { return b.Copy(t.Context(), "copy", "key", nil) }},
	} {
		done := once(s, costest.LateError("AccessDenied", "Access Denied."), func(r *costest.Request) bool {
			return r.Action == tc.action || tc.action == "PutObjectCopy" && r.Header.Get("X-Cos-Copy-Source") != ""
		})
		err := tc.call()
		var e *cos.ErrorResponse
		if !done.Load() || !b.ErrorAs(err, &e) || e.Code != "AccessDenied" || gcerrors.Code(err) != gcerrors.PermissionDenied {
			t.Errorf("%s: %v, want the code AccessDenied", tc.action, err)
		}
		s.SetRule(nil)
	}
	wantObject(t, b, "key", noise(1, 100))
	wantObject(t, b, "copy", nil)
	s.SetRule(func(*costest.Request) *costest.Fault { return costest.KeepAlive() })
	mustWrite(t, b, "key", noise(3, 2*mib))
	if err := b.Copy(t.Context(), "copy", "key", nil); err != nil {
		t.Errorf("copy with spaces first: %v", err)
	}
	wantObject(t, b, "copy", noise(3, 2*mib))
}

// TestRanges: a read returns the requested range, or an error.
func TestRanges(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	data := noise(1, 100)
	mustWrite(t, b, "key", data)
	for _, tc := range []struct {
		offset, length int64
		want           []byte
	}{
		{0, -1, data}, {0, 100, data}, {0, 1000, data}, {50, -1, data[50:]}, {50, 10, data[50:60]}, {90, 50, data[90:]},
		{0, 0, nil}, {100, 0, nil},
	} {
		r, err := b.NewRangeReader(t.Context(), "key", tc.offset, tc.length, nil)
		if err != nil {
			t.Errorf("%d+%d: %v", tc.offset, tc.length, err)
			continue
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, tc.want) || r.Size() != 100 {
			t.Errorf("%d+%d: %d bytes of %d, %v; want %d", tc.offset, tc.length, len(got), r.Size(), err, len(tc.want))
		}
	}
	if _, err := b.NewRangeReader(t.Context(), "key", 101, 5, nil); gcerrors.Code(err) != gcerrors.InvalidArgument {
		t.Errorf("beyond the end: %v, want InvalidArgument", err)
	}
	s.SetRule(func(*costest.Request) *costest.Fault { return costest.IgnoreRange() })
	if _, err := b.NewRangeReader(t.Context(), "key", 50, 10, nil); err == nil {
		t.Error("the whole object was accepted as a range")
	}
}

// TestWrongRanges: a response with a different range is an error.
func TestWrongRanges(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	wrong := ""
	b := openVia(t, s, owner(s), roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := s.Client().Transport.RoundTrip(r)
		if err == nil && wrong != "" {
			resp.Header.Set("Content-Range", wrong)
		}
		return resp, err
	}))
	mustWrite(t, b, "key", noise(1, 100))
	for _, wrong = range []string{"bytes 40-49/100", "bytes 50-60/100", "bytes 50-58/100", "bytes 50-59/*", "bytes 50-59/55", "bytes 50-59", "50-59/100", "bytes 50-59/100, 60-61/100"} {
		if _, err := b.NewRangeReader(t.Context(), "key", 50, 10, nil); gcerrors.Code(err) != gcerrors.Internal {
			t.Errorf("response to bytes=50-59 with the range %q: %v, want Internal", wrong, err)
		}
	}
}

// TestTruncated: the checksum detects a truncated body with a matching Content-Length. net/http
// detects a body that is shorter than its Content-Length.
func TestTruncated(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	mustWrite(t, b, "key", noise(1, 100_000))
	once(s, costest.Truncated(500), action("GetObject"))
	if _, err := b.ReadAll(t.Context(), "key"); !errors.Is(err, cosblob.ErrChecksum) {
		t.Errorf("truncated: %v, want %v", err, cosblob.ErrChecksum)
	}
	once(s, costest.Truncated(500), action("GetObject"))
	r, err := b.NewReader(t.Context(), "key", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, r.Size())); !errors.Is(err, cosblob.ErrChecksum) {
		t.Errorf("truncated, read up to the size: %v, want %v", err, cosblob.ErrChecksum)
	}
	once(s, costest.CutBody(500), action("GetObject"))
	if _, err := b.ReadAll(t.Context(), "key"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short body: %v, want %v", err, io.ErrUnexpectedEOF)
	}
	wantObject(t, b, "key", noise(1, 100_000))
}

// TestChecksums: a wrong CRC64 in a response is detected, and a missing one is not an error.
func TestChecksums(t *testing.T) {
	t.Parallel()
	const header = "X-Cos-Hash-Crc64ecma"
	s := newServer(t, nil)
	change, method := "", ""
	via := roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := s.Client().Transport.RoundTrip(r)
		if err == nil && r.Method == method && resp.Header.Get(header) != "" {
			if resp.Header.Del(header); change != "" {
				resp.Header.Set(header, change)
			}
		}
		return resp, err
	})
	b := openVia(t, s, owner(s), via)
	mustWrite(t, b, "key", noise(1, 100))
	write := func(size int) error {
		return b.WriteAll(t.Context(), "key", noise(2, size), inParts(blob.WriterOptions{}))
	}
	read := func() error { _, err := b.ReadAll(t.Context(), "key"); return err }
	for _, tc := range []struct {
		name, method, change string
		call                 func() error
		want                 error
	}{
		{"put, wrong checksum", "PUT", "1", func() error { return write(100) }, cosblob.ErrChecksum},
		{"put, no checksum", "PUT", "", func() error { return write(100) }, nil},
		{"get, wrong checksum", "GET", "1", read, cosblob.ErrChecksum},
		{"get, no checksum", "GET", "", read, nil},
		{"parts, wrong checksum", "PUT", "1", func() error { return write(3 * mib) }, cosblob.ErrChecksum},
		{"parts, no checksum", "PUT", "", func() error { return write(3 * mib) }, nil},
		{"complete, wrong checksum", "POST", "1", func() error { return write(3 * mib) }, cosblob.ErrChecksum},
		{"complete, no checksum", "POST", "", func() error { return write(3 * mib) }, nil},
	} {
		method, change = tc.method, tc.change
		if err := tc.call(); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

// TestWrongMD5: the service refuses a body that was changed in transit.
func TestWrongMD5(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := openVia(t, s, owner(s), roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			r.Body = io.NopCloser(bytes.NewReader(noise(9, int(r.ContentLength))))
		}
		return s.Client().Transport.RoundTrip(r)
	}))
	err := b.WriteAll(t.Context(), "key", noise(1, 100), nil)
	var e *cos.ErrorResponse
	if !b.ErrorAs(err, &e) || e.Code != "BadDigest" {
		t.Errorf("put: %v, want the code BadDigest", err)
	}
	wantObject(t, b, "key", nil)
	if err := b.WriteAll(t.Context(), "key", noise(1, 2*mib), inParts(blob.WriterOptions{})); !errors.Is(err, cosblob.ErrChecksum) {
		t.Errorf("parts: %v, want %v", err, cosblob.ErrChecksum)
	}
	wantObject(t, b, "key", nil)
}

// TestWrongParts: if the response to a part has no CRC64, its MD5 is compared.
func TestWrongParts(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := openVia(t, s, owner(s), roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			r.Body = io.NopCloser(bytes.NewReader(noise(9, int(r.ContentLength))))
		}
		resp, err := s.Client().Transport.RoundTrip(r)
		if err == nil {
			resp.Header.Del("X-Cos-Hash-Crc64ecma")
		}
		return resp, err
	}))
	if err := b.WriteAll(t.Context(), "key", noise(1, 2*mib), inParts(blob.WriterOptions{})); !errors.Is(err, cosblob.ErrChecksum) {
		t.Errorf("parts: %v, want %v", err, cosblob.ErrChecksum)
	}
	wantObject(t, b, "key", nil)
}

// TestStaleRequest: a transport may still read the body of a part that it has given up. That body is not changed
// by later parts.
func TestStaleRequest(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	var stale io.Reader
	var got []byte
	b := openVia(t, s, owner(s), roundTrip(func(r *http.Request) (*http.Response, error) {
		switch n := r.URL.Query().Get("partNumber"); {
		case n == "1" && stale == nil:
			stale = r.Body
			return nil, io.ErrUnexpectedEOF
		case n == "3":
			got, _ = io.ReadAll(stale)
		}
		return s.Client().Transport.RoundTrip(r)
	}))
	value := noise(1, 4*mib)
	if err := b.WriteAll(t.Context(), "key", value, inParts(blob.WriterOptions{MaxConcurrency: 1})); err != nil {
		t.Fatal(err)
	}
	wantObject(t, b, "key", value)
	if len(got) == 0 || !bytes.Equal(got, value[:len(got)]) {
		t.Errorf("the request that was given up reads %d bytes, which are not those of its part", len(got))
	}
}

// TestLongResponses: every body is read only up to a limit.
func TestLongResponses(t *testing.T) {
	if testing.Short() {
		t.Skip("it decodes many long responses, one after the other")
	}
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	long := strings.Repeat(" ", 20*mib)
	for _, status := range []int{200, 400} {
		s.SetRule(func(*costest.Request) *costest.Fault { return costest.RespondBefore(status, long) })
		if _, err := b.List(nil).Next(t.Context()); err == nil || err == io.EOF {
			t.Errorf("list response with status %s and 20 MiB: %v", strconv.Itoa(status), err)
		}
	}
}
