package cosblob_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
)

// An impostor responds to some requests in place of COS.
type impostor struct {
	base  http.RoundTripper
	takes func(*http.Request) bool
	with  http.Response
	body  string
}

func (i *impostor) RoundTrip(r *http.Request) (*http.Response, error) {
	if !i.takes(r) {
		return i.base.RoundTrip(r)
	}
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	resp := i.with
	resp.Header, resp.Request, resp.ContentLength = maps.Clone(i.with.Header), r, -1
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	body := i.body
	if r.Method == http.MethodHead {
		body = ""
	}
	resp.Body = io.NopCloser(strings.NewReader(body))
	return &resp, nil
}

// TestForeign: a response that does not come from COS is an error, with every status.
func TestForeign(t *testing.T) {
	const page = "<!DOCTYPE html>\n<html><head><title>Please log in</title></head><body>\x1b[31m</body></html>"
	method := func(m string, has ...string) func(*http.Request) bool {
		return func(r *http.Request) bool {
			for _, parameter := range has {
				if !r.URL.Query().Has(parameter) {
					return false
				}
			}
			return r.Method == m && (len(has) > 0 || r.URL.RawQuery == "")
		}
	}
	write := func(size int) func(b *blob.Bucket) error {
		return func(b *blob.Bucket) error {
			return b.WriteAll(t.Context(), "new", noise(1, size), inParts(blob.WriterOptions{}))
		}
	}
	list := func(b *blob.Bucket) error {
		_, err := b.List(nil).Next(t.Context())
		if err == io.EOF {
			return nil // empty
		}
		return err
	}
	for _, op := range []struct {
		name  string
		takes func(*http.Request) bool
		do    func(b *blob.Bucket) error
	}{
		{"put", method("PUT"), write(10)},
		{"part", method("PUT", "partNumber"), write(3 * mib)},
		{"initiate", method("POST", "uploads"), write(3 * mib)},
		{"complete", method("POST", "uploadId"), write(3 * mib)},
		{"copy", func(r *http.Request) bool { return r.Method == "PUT" && r.Header.Get("X-Cos-Copy-Source") != "" }, func(b *blob.Bucket) error {
			return b.Copy(t.Context(), "copy", "there", nil)
		}},
		{"list", method("GET", "max-keys"), list},
		{"delete", method("DELETE"), func(b *blob.Bucket) error { return b.Delete(t.Context(), "there") }},
		{"get", method("GET"), func(b *blob.Bucket) error { _, err := b.ReadAll(t.Context(), "there"); return err }},
		{"attributes", method("HEAD"), func(b *blob.Bucket) error { _, err := b.Attributes(t.Context(), "there"); return err }},
	} {
		for name, answer := range map[string]struct {
			resp http.Response
			body string
		}{
			"200, empty":            {http.Response{StatusCode: 200}, ""},
			"200, white space":      {http.Response{StatusCode: 200}, " \n "},
			"200, a page":           {http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/html"}}}, page},
			"200, other XML":        {http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/xml"}}}, "<?xml version='1.0'?><Result/>"},
			"202, empty":            {http.Response{StatusCode: 202}, ""},
			"203, ETag":             {http.Response{StatusCode: 203, Header: http.Header{"Etag": {`"0"`}}}, page},
			"200, page + weak ETag": {http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/html"}, "Etag": {`W/"7-x"`}}}, page},
			"200, page + ETag":      {http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}, "Etag": {`"x"`}}}, page},
			"200, weak ETag":        {http.Response{StatusCode: 200, Header: http.Header{"Etag": {`W/"7-x"`}}}, ""},
			"204, empty":            {http.Response{StatusCode: 204}, ""},
			"301, a page":           {http.Response{StatusCode: 301}, page},
			"404, text":             {http.Response{StatusCode: 404, Header: http.Header{"Content-Type": {"text/plain"}}}, "404 page not found"},
			"403, a page":           {http.Response{StatusCode: 403}, page},
			"416, no document":      {http.Response{StatusCode: 416}, ""},
		} {
			if op.name == "delete" && (name == "200, empty" || name == "204, empty" || name == "200, weak ETag") {
				continue // COS may respond in this way
			}
			t.Run(op.name+"/"+name, func(t *testing.T) {
				s := newServer(t, nil)
				i := &impostor{base: s.Client().Transport, takes: func(*http.Request) bool { return false }, with: answer.resp, body: answer.body}
				b := openVia(t, s, owner(s), i)
				mustWrite(t, b, "there", []byte("x"))
				i.takes = op.takes
				err := op.do(b)
				i.takes = func(*http.Request) bool { return false }
				if !errors.Is(err, cosblob.ErrForeign) { // also after a 404: a list has the object
					t.Fatalf("%v, want %v", err, cosblob.ErrForeign)
				}
				if code := gcerrors.Code(err); code != gcerrors.Unknown {
					t.Errorf("the error has the code %v", code)
				}
				if text := err.Error(); strings.ContainsAny(text, "\n\x1b") || strings.Contains(answer.body, "log in") && op.name != "attributes" && !strings.Contains(text, "Please log in") {
					t.Errorf("the message: %s", text)
				}
				for _, secret := range []string{s.SecretKey(), "q-signature"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("the message contains a secret")
					}
				}
			})
		}
	}
}

// TestCutResponse: if the connection fails before a response proves anything, the response may have
// come from COS. A read is repeated, and the end of an upload is read back.
func TestCutResponse(t *testing.T) {
	for _, op := range []struct {
		action    string
		do        func(b *blob.Bucket) error
		recovered bool
	}{
		{"GetBucket", func(b *blob.Bucket) error { _, err := b.List(nil).Next(t.Context()); return err }, true},
		{"CompleteMultipartUpload", func(b *blob.Bucket) error {
			return b.WriteAll(t.Context(), "new", noise(1, 3*mib), inParts(blob.WriterOptions{}))
		}, true},
		{"CopyObject", func(b *blob.Bucket) error { return b.Copy(t.Context(), "copy", "there", nil) }, false},
	} {
		for _, after := range []int64{0, 3, 45} { // before, in and after <?xml … ?>
			s := newServer(t, nil)
			b := open(t, s, owner(s))
			mustWrite(t, b, "there", []byte("x"))
			done := once(s, costest.CutBody(after), action(op.action))
			err := op.do(b)
			if !done.Load() {
				t.Fatalf("%s: there was no such request", op.action)
			}
			if errors.Is(err, cosblob.ErrForeign) || (err == nil) != op.recovered {
				t.Errorf("%s, cut after %d bytes: %v", op.action, after, err)
			}
		}
	}
}

// TestErrorWithStatus200: an error document with status 200 is the error that it contains.
func TestErrorWithStatus200(t *testing.T) {
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	mustWrite(t, b, "error", []byte(costest.ErrorXML("AccessDenied", "Access Denied.")))
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Action != "GetBucket" {
			return nil
		}
		return costest.RespondBefore(200, costest.ErrorXML("AccessDenied", "Access Denied."))
	})
	if _, err := b.List(nil).Next(t.Context()); gcerrors.Code(err) != gcerrors.PermissionDenied {
		t.Errorf("list: %v, want PermissionDenied", err)
	}
	if got, err := b.ReadAll(t.Context(), "error"); err != nil || !strings.Contains(string(got), "AccessDenied") {
		t.Errorf("an object that looks like an error: %q, %v", got, err)
	}
}

// TestHeadNotFound: if nothing shows that a 404 to a HEAD comes from COS, a list decides.
func TestHeadNotFound(t *testing.T) {
	s := newServer(t, nil)
	i := &impostor{base: s.Client().Transport, takes: func(r *http.Request) bool { return r.Method == http.MethodHead }, with: http.Response{StatusCode: 404}}
	b := openVia(t, s, owner(s), i)
	mustWrite(t, b, "there", []byte("x"))
	if _, err := b.Attributes(t.Context(), "there"); !errors.Is(err, cosblob.ErrForeign) {
		t.Errorf("HEAD of an existing object: %v, want %v", err, cosblob.ErrForeign)
	}
	if _, err := b.Attributes(t.Context(), "absent"); gcerrors.Code(err) != gcerrors.NotFound {
		t.Errorf("HEAD of a missing object: %v, want not found", err)
	}
	i.takes = func(*http.Request) bool { return true }
	if _, err := b.Attributes(t.Context(), "absent"); !errors.Is(err, cosblob.ErrForeign) {
		t.Errorf("with a list that does not come from COS either: %v, want %v", err, cosblob.ErrForeign)
	}
}

// TestTruncatedList: a truncated list without a marker for the next page is an error.
func TestTruncatedList(t *testing.T) {
	s := newServer(t, nil)
	for _, list := range []string{
		"<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents></ListBucketResult>",
		"<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker></NextMarker></ListBucketResult>",
	} {
		i := &impostor{base: s.Client().Transport, takes: func(*http.Request) bool { return true }, with: http.Response{StatusCode: 200}, body: list}
		b := openVia(t, s, owner(s), i)
		_, _, err := b.ListPage(t.Context(), blob.FirstPageToken, 1000, nil)
		if !errors.Is(err, cosblob.ErrForeign) {
			t.Errorf("%s: %v, want %v", list, err, cosblob.ErrForeign)
		}
	}
}
