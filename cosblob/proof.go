package cosblob

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrForeign means that a response does not come from COS, but from a proxy, a captive portal or
// another server. It proves nothing: COS may still have carried out the request.
var ErrForeign = errors.New("this is not a COS response")

// A foreign error describes a response that does not come from COS.
type foreign struct {
	status      int
	contentType string
	start       string // the first printable bytes of the body
}

func (e *foreign) Error() string {
	text := fmt.Sprintf("cosblob: %v: status %d", ErrForeign, e.status)
	if e.contentType != "" {
		text += ", " + e.contentType
	}
	if e.start != "" {
		text += fmt.Sprintf(", %q", e.start)
	}
	return text
}

// Is reports whether target is [ErrForeign].
func (e *foreign) Is(target error) bool { return target == ErrForeign }

// A proof describes a response with status 2xx that proves that COS carried out a request. The
// status alone proves nothing, because a captive portal responds to every request with 200.
type proof struct {
	request   string // documentation only
	matches   func(r *http.Request) bool
	status    []int
	etag      bool   // the response has an ETag
	root      string // the root element of the body, or Error; * means any XML element
	empty     bool   // the body is empty
	json      bool   // the body starts like a JSON object
	none      bool   // a 204 without a body but with a request ID is also a proof
	requestID bool   // the response has a request ID
}

// proofs lists the proofs in the order in which they are tried. A request that matches none is
// not checked. The numbers refer to the documentation of the COS API (436/7751).
var proofs = []proof{
	{request: "PUT Object - Copy (436/10881), Upload Part - Copy (436/8287)", matches: func(r *http.Request) bool {
		return r.Method == http.MethodPut && r.Header.Get(headerCopySource) != ""
	}, status: []int{200}, root: "Copy"},
	{request: "PUT Object (436/7749), Upload Part (436/7750)", matches: func(r *http.Request) bool {
		return r.Method == http.MethodPut && ofObject(r) && !has(r, "acl", "tagging", "retention", "legal-hold")
	}, status: []int{200}, etag: true, empty: true},
	{request: "Initiate Multipart Upload (436/7746)", matches: post("uploads"), status: []int{200}, root: "InitiateMultipartUploadResult"},
	{request: "Complete Multipart Upload (436/7742)", matches: post("uploadId"), status: []int{200}, root: "CompleteMultipartUploadResult"},
	{request: "DELETE Multiple Objects (436/8289)", matches: post("delete"), status: []int{200}, root: "DeleteResult"},
	{request: "DELETE Object (436/7743), Abort Multipart Upload (436/7740)", matches: func(r *http.Request) bool {
		return r.Method == http.MethodDelete
	}, status: []int{200, 204}, empty: true},
	{request: "GET Object (436/7753), HEAD Object (436/7745)", matches: func(r *http.Request) bool {
		return (r.Method == http.MethodGet || r.Method == http.MethodHead) && ofObject(r) && !has(r, "acl", "tagging", "uploadId")
	}, status: []int{200, 206}, etag: true},
	{request: "GET Bucket versioning (436/19888)", matches: ofBucket("versioning"), status: []int{200}, root: "VersioningConfiguration"},
	{request: "GET Bucket Object versions (436/31551)", matches: ofBucket("versions"), status: []int{200}, root: "ListVersionsResult"},
	{request: "List Multipart Uploads (436/7736)", matches: ofBucket("uploads"), status: []int{200}, root: "ListMultipartUploadsResult"},
	{request: "GET Bucket logging (436/17053)", matches: ofBucket("logging"), status: []int{200}, root: "BucketLoggingStatus"},
	{request: "GET Bucket lifecycle (436/8278)", matches: ofBucket("lifecycle"), status: []int{200}, root: "LifecycleConfiguration"},
	{request: "GET Bucket acl (436/7733)", matches: ofBucket("acl"), status: []int{200}, root: "AccessControlPolicy"},
	{request: "GET Bucket policy (436/8276)", matches: ofBucket("policy"), status: []int{200}, json: true, none: true},
	{request: "GET Bucket strict-signature (436/53889)", matches: ofBucket("strict-signature"), status: []int{200}, root: "*"},
	{request: "HEAD Bucket (436/7735)", matches: func(r *http.Request) bool { return r.Method == http.MethodHead && !ofObject(r) }, status: []int{200}, requestID: true},
	{request: "GET Bucket (436/7734)", matches: func(r *http.Request) bool {
		return r.Method == http.MethodGet && !ofObject(r) && (r.URL.RawQuery == "" || has(r, "prefix", "delimiter", "marker", "max-keys", "encoding-type"))
	}, status: []int{200}, root: "ListBucketResult"},
}

func ofObject(r *http.Request) bool { return r.URL.Path != "" && r.URL.Path != "/" }

func has(r *http.Request, parameters ...string) bool {
	q := r.URL.Query()
	return slices.ContainsFunc(parameters, q.Has)
}

func post(parameter string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == http.MethodPost && has(r, parameter) }
}

func ofBucket(parameter string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == http.MethodGet && !ofObject(r) && has(r, parameter)
	}
}

// CheckResponse returns an error that wraps [ErrForeign] if resp does not prove that COS responded
// to r. It reads the start of the body and puts it back. If the connection fails before the proof was
// read, CheckResponse returns the error of the connection. The error does not contain secrets. A client
// of [NewClient] calls CheckResponse itself.
func CheckResponse(r *http.Request, resp *http.Response, secrets ...string) error {
	b := &beginning{resp: resp}
	switch {
	case resp.StatusCode >= 500: // even if a proxy sent it, it means that the service is unavailable
		return nil
	case resp.StatusCode/100 != 2:
		// Every error response of COS has a request ID and, except for HEAD, an error body.
		if resp.Header.Get("X-Cos-Request-Id") != "" || b.root() == "Error" {
			return nil
		}
		return b.unproven(secrets)
	}
	for _, p := range proofs {
		if !p.matches(r) {
			continue
		}
		if p.none && resp.StatusCode == http.StatusNoContent && b.isEmpty() && resp.Header.Get("X-Cos-Request-Id") != "" {
			return nil
		}
		if !slices.Contains(p.status, resp.StatusCode) || p.etag && (resp.Header.Get("ETag") == "" || isPage(resp, p.empty)) || p.empty && !b.isEmpty() {
			return b.unproven(secrets)
		}
		if p.requestID && resp.Header.Get("X-Cos-Request-Id") == "" || p.json && !b.isObject() && b.root() != "Error" {
			return b.unproven(secrets)
		}
		if root := p.root; root != "" {
			// "Copy" matches CopyObjectResult and CopyPartResult.
			got := b.root()
			if root == "*" && got != "" && !strings.EqualFold(got, "html") {
				root = got
			}
			if got != "Error" && got != root && (root != "Copy" || got != "CopyObjectResult" && got != "CopyPartResult") {
				return b.unproven(secrets)
			}
		}
		return nil
	}
	return nil
}

// isPage reports whether a response with an ETag looks like a page of a web server. Web frameworks
// send a weak ETag with each page, and COS never does. A stored object may also be a web page, but
// then the response has a request ID.
func isPage(resp *http.Response, write bool) bool {
	weak := strings.HasPrefix(resp.Header.Get("ETag"), "W/")
	if write {
		return weak
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return resp.Header.Get("X-Cos-Request-Id") == "" && (weak || kind == "text/html" || kind == "application/xhtml+xml")
}

// maxStart is the number of bytes of a body that are read to check it. It is more than the longest
// token, so that a token is never read partly and then not redacted.
const maxStart = 8 << 10

// A beginning reads the start of a body and puts it back.
type beginning struct {
	resp *http.Response
	err  error // of reading the body, if it did not end normally
}

// unproven returns the error for a response that proves nothing. If the body could not be read, it may
// have been a response of COS.
func (b *beginning) unproven(secrets []string) error {
	if b.err != nil {
		return fmt.Errorf("cosblob: the response was cut off: %w", b.err)
	}
	start := b.read(func([]byte) bool { return false })
	for _, secret := range secrets {
		if secret != "" {
			start = bytes.ReplaceAll(start, []byte(secret), []byte("[redacted]"))
		}
	}
	return &foreign{b.resp.StatusCode, printable([]byte(b.resp.Header.Get("Content-Type"))), printable(start)}
}

// printable returns at most the first 80 printable bytes, without line breaks.
func printable(text []byte) string {
	var b strings.Builder
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		if b.Len()+n > 80 {
			break
		}
		switch {
		case c == utf8.RuneError && n == 1, !unicode.IsPrint(c) && !unicode.IsSpace(c):
		case unicode.IsSpace(c):
			if s := b.String(); s != "" && !strings.HasSuffix(s, " ") {
				b.WriteByte(' ')
			}
		default:
			b.WriteRune(c)
		}
		text = text[n:]
	}
	return strings.TrimSpace(b.String())
}

// root returns the name of the root element of a body, or "" if the body is not XML. COS may send
// spaces before the element while an operation is running.
func (b *beginning) root() (name string) {
	b.read(func(start []byte) bool {
		d := xml.NewDecoder(bytes.NewReader(start))
		for {
			t, err := d.RawToken()
			if err != nil {
				return false
			}
			if root, ok := t.(xml.StartElement); ok {
				name = root.Name.Local
				return true
			}
		}
	})
	return name
}

// isObject reports whether a body starts like a JSON object.
func (b *beginning) isObject() bool {
	start := b.read(func(start []byte) bool { return len(bytes.TrimSpace(start)) > 0 })
	return bytes.HasPrefix(bytes.TrimSpace(start), []byte("{"))
}

// isEmpty reports whether a body is empty.
func (b *beginning) isEmpty() bool {
	return len(b.read(func(start []byte) bool { return len(start) > 0 })) == 0 && b.err == nil
}

// read reads the start of a body until enough returns true or the body ends. It then puts the data
// back.
func (b *beginning) read(enough func(start []byte) bool) []byte {
	var start []byte
	var err error
	for buf := make([]byte, 1<<10); err == nil && len(start) < maxStart; {
		var n int
		n, err = b.resp.Body.Read(buf)
		start = append(start, buf[:n]...)
		// Spaces that keep the connection alive do not count.
		if trimmed := bytes.TrimLeft(start, " \t\r\n"); len(trimmed) == 0 && len(start) > maxStart/2 {
			start = start[:0]
		}
		if n > 0 && enough(start) {
			break
		}
	}
	var rest io.Reader = b.resp.Body
	if err != nil {
		rest = failingReader{err}
	}
	if err != io.EOF {
		b.err = err
	}
	b.resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), rest), b.resp.Body}
	return start
}
