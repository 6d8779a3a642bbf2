package aws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// splicedSize is the length of a value whose payload is not sent in a rewrap.
const splicedSize = 20 << 20

// maxTraffic is the number of bytes that a rewrap of an object of any length may send and receive.
const maxTraffic = 11 << 20

// A rewrapTest is an object whose key source is to be replaced.
type rewrapTest struct {
	bucket       string
	url          string // of the server
	keys         testcloud.Keys
	former, next *kek.Local
}

func newRewrapTest(t *testing.T, url string, keys testcloud.Keys, versioned bool) *rewrapTest {
	return &rewrapTest{testcloud.NewBucket(t, url, keys, versioned), url, keys, kek.NewLocal(kek.RandomRoot()), kek.NewLocal(kek.RandomRoot())}
}

// open opens the store at an endpoint.
func (r *rewrapTest) open(t *testing.T, endpoint string) *vault.Store {
	return open(t, aws.Config{Bucket: r.bucket, Endpoint: endpoint, Static: static(r.keys)})
}

func (r *rewrapTest) vault(t *testing.T, s *vault.Store, source envelope.KeySource) *vault.Vault {
	t.Helper()
	v, err := vault.New(s, "acme", []envelope.KeySource{source}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (r *rewrapTest) put(t *testing.T, name vault.Name, size int64) {
	t.Helper()
	if _, err := r.vault(t, r.open(t, r.url), r.former).Put(t.Context(), name, noise(9, size), nil); err != nil {
		t.Fatal(err)
	}
}

// rewrap replaces the key source of name.
func (r *rewrapTest) rewrap(ctx context.Context, t *testing.T, s *vault.Store, name vault.Name) error {
	_, err := r.vault(t, s, r.former).Rewrap(ctx, name, &vault.RewrapOptions{Add: []envelope.KeySource{r.next}, Remove: []envelope.KeySource{r.former}, NoOtherWriters: s.Swap == nil})
	return err
}

// want checks which of the two sources opens name.
func (r *rewrapTest) want(t *testing.T, name vault.Name, size int64, rewrapped bool) {
	t.Helper()
	can, cannot := r.former, r.next
	if rewrapped {
		can, cannot = r.next, r.former
	}
	s := r.open(t, r.url)
	if _, err := r.vault(t, s, cannot).Get(t.Context(), name, nil); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Errorf("%s: the other key: %v, want %v", name, err, envelope.ErrUnknownKey)
	}
	body, err := r.vault(t, s, can).Get(t.Context(), name, nil)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer body.Close()
	if sum(t, body) != sum(t, noise(9, size)) {
		t.Errorf("%s has another value", name)
	}
}

func isCopy(r *http.Request) bool { return r.Header.Get("X-Amz-Copy-Source") != "" }

// isFirstCopy reports whether r is the request that tests whether the server copies ranges.
func isFirstCopy(r *http.Request) bool {
	var first, last int
	fmt.Sscanf(r.Header.Get("X-Amz-Copy-Source-Range"), "bytes=%d-%d", &first, &last)
	return isCopy(r) && last-first == 1023
}

// TestRewrap replaces the key source of large objects. The payload stays in the store.
func TestRewrap(t *testing.T) {
	t.Parallel()
	for name, server := range realServers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRewrapTest(t, server.url, server.keys, true)
			meter := testcloud.NewMeter(server.url)
			t.Cleanup(func() { meter.Close() })
			// In one part, and in three.
			for _, copySize := range []int64{64 << 20, 5 << 20} {
				s := r.open(t, meter.URL)
				aws.SetCopySize(s, copySize)
				name := vault.Name(fmt.Sprint("n", copySize))
				r.put(t, name, splicedSize)
				meter.Bytes()
				if err := r.rewrap(t.Context(), t, s, name); err != nil {
					t.Fatal(err)
				}
				if n := meter.Bytes(); n < 10<<20 || n > maxTraffic {
					t.Errorf("%d bytes were sent and received, want at most %d", n, maxTraffic)
				}
				r.want(t, name, splicedSize, true)
			}
			// Ceph decodes the name of the source twice. It must not copy another object.
			for _, name := range []vault.Name{"a%20b", "a b", "a +%"} {
				r.put(t, name, splicedSize)
			}
			for _, name := range []vault.Name{"a%20b", "a +%", "a b"} {
				if err := r.rewrap(t.Context(), t, r.open(t, server.url), name); err != nil {
					t.Error(err)
				}
				r.want(t, name, splicedSize, true)
			}
			noOrphans(t, testcloud.S3Client(server.url, server.keys), r.bucket)
		})
	}
}

// TestRewrapFaults: one request of a rewrap is not applied, or its response is lost. Package vault reads
// the object back, or tries again.
func TestRewrapFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	server := testcloud.RequireVersity(t)
	r := newRewrapTest(t, server.URL, server.Root, false)
	internal := testcloud.ErrorXML("InternalError", "We encountered an internal error. Please try again.")
	for _, request := range []struct {
		name string
		hit  func(*http.Request) bool
	}{
		{"start", func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploads") }},
		{"part", func(r *http.Request) bool { return r.Method == http.MethodPut && !isCopy(r) }},
		{"first copy", isFirstCopy},
		{"copy", func(r *http.Request) bool { return isCopy(r) && !isFirstCopy(r) }},
		{"tag", func(r *http.Request) bool { return r.Header.Get("Range") == "bytes=0-0" }},
		{"end", isComplete},
	} {
		for _, f := range []struct {
			name  string
			fault *testcloud.Fault
		}{
			{"500 and applied", testcloud.ApplyThen(500, internal)},
			{"500 and not applied", testcloud.RespondBefore(500, internal)},
			{"connection lost and applied", testcloud.DropAfter()},
			{"connection lost, not sent", testcloud.DropBefore()},
			{"200 with an error, applied", testcloud.ApplyThen(200, internal)},
			{"200 with an error", testcloud.RespondBefore(200, internal)},
			{"another server", testcloud.RespondBefore(200, "<html><body>Sign in</body></html>")},
			{"503", testcloud.RespondBefore(503, testcloud.ErrorXML("SlowDown", "Please reduce your request rate."))},
			{"upload aborted", testcloud.RespondBefore(404, testcloud.ErrorXML("NoSuchUpload", "The upload does not exist."))},
		} {
			switch {
			case request.name == "start" && (strings.Contains(f.name, "applied") || f.name == "upload aborted"):
				continue // the client does not know the id of the upload, and cannot abort it
			case f.name == "upload aborted" && (request.name == "tag" || request.name == "end"):
				continue // the rewrap is not tried again after this response
			case strings.HasPrefix(f.name, "200") && (request.name == "part" || request.name == "tag"):
				continue // AWS does not respond in this way
			}
			name := vault.Name(strings.ReplaceAll(request.name+"-"+f.name, " ", "-"))
			t.Run(string(name), func(t *testing.T) {
				t.Parallel()
				r.put(t, name, splicedSize)
				proxy := testcloud.NewProxy(server.URL, nil)
				t.Cleanup(func() { proxy.Close() })
				done := loseOne(proxy, request.hit, func() *testcloud.Fault { return f.fault })
				err := r.rewrap(t.Context(), t, r.open(t, proxy.URL), name)
				if !done.Load() {
					t.Fatal("no request was faulty")
				}
				// After a response of another server, the request is not sent again.
				if f.name == "another server" && errors.Is(err, vault.ErrUnavailable) && !errors.Is(err, vault.ErrConflict) {
					r.want(t, name, splicedSize, false)
					return
				}
				if err != nil {
					t.Errorf("rewrap: %v", err)
				}
				r.want(t, name, splicedSize, true)
			})
		}
	}
	t.Cleanup(func() { noOrphans(t, testcloud.S3Client(server.URL, server.Root), r.bucket) })
}

// TestRewrapRefused: the server refuses to copy a part.
func TestRewrapRefused(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	r := newRewrapTest(t, server.URL, server.Root, false)
	refuse := func(status int, code string) *testcloud.Fault {
		return testcloud.RespondBefore(status, testcloud.ErrorXML(code, "no"))
	}
	for _, tc := range []struct {
		name  string
		hit   func(*http.Request) bool
		fault *testcloud.Fault
		want  error // nil: the object is sent through the client
	}{
		{"ETag of the source not accepted", isCopy, refuse(412, "PreconditionFailed"), nil},
		{"name of the source not accepted", isCopy, refuse(404, "NoSuchKey"), nil},
		{"object replaced before complete", isComplete, refuse(412, "PreconditionFailed"), vault.ErrConflict},
		{"object deleted before complete", isComplete, refuse(404, "NoSuchKey"), vault.ErrConflict},
		{"denied", isCopy, refuse(403, "AccessDenied"), nil},
		{"not implemented", isCopy, refuse(501, "NotImplemented"), nil},
		{"range refused", isCopy, refuse(400, "InvalidArgument"), nil},
		{"parts of different sizes refused", isComplete, refuse(400, "InvalidPart"), nil},
		{"no space", isCopy, refuse(507, "InsufficientStorage"), vault.ErrNoSpace},
		{"credentials expired", isCopy, refuse(403, "InvalidAccessKeyId"), vault.ErrUnauthenticated},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			name := vault.Name(strings.ReplaceAll(tc.name, " ", "-"))
			r.put(t, name, splicedSize)
			proxy := testcloud.NewProxy(server.URL, nil)
			t.Cleanup(func() { proxy.Close() })
			done := loseOne(proxy, tc.hit, func() *testcloud.Fault { return tc.fault })
			err := r.rewrap(t.Context(), t, r.open(t, proxy.URL), name)
			if !errors.Is(err, tc.want) || tc.want == nil && err != nil || errors.Is(err, vault.ErrUnsure) || !done.Load() {
				t.Errorf("rewrap: %v, want %v", err, tc.want)
			}
			r.want(t, name, splicedSize, tc.want == nil)
		})
	}
	t.Cleanup(func() { noOrphans(t, testcloud.S3Client(server.URL, server.Root), r.bucket) })
}

// TestRewrapInterrupted: the context ends while the server copies. The old object stays, and no upload
// remains.
func TestRewrapInterrupted(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	r := newRewrapTest(t, server.URL, server.Root, false)
	for name, hit := range map[string]func(*http.Request) bool{
		"first-copy": isFirstCopy, "copy": func(r *http.Request) bool { return isCopy(r) && !isFirstCopy(r) },
		"part": func(r *http.Request) bool { return r.Method == http.MethodPut && !isCopy(r) },
	} {
		t.Run(name, func(t *testing.T) {
			r.put(t, vault.Name(name), splicedSize)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			proxy := testcloud.NewProxy(server.URL, &testcloud.ProxyOptions{Rule: func(r *http.Request, _ int) *testcloud.Fault {
				if hit(r) {
					cancel()
				}
				return nil
			}})
			t.Cleanup(func() { proxy.Close() })
			if err := r.rewrap(ctx, t, r.open(t, proxy.URL), vault.Name(name)); !errors.Is(err, context.Canceled) {
				t.Errorf("rewrap: %v, want %v", err, context.Canceled)
			}
			r.want(t, vault.Name(name), splicedSize, false)
			noOrphans(t, testcloud.S3Client(server.URL, server.Root), r.bucket)
		})
	}
}

// A copyingServer answers the requests of a splice. It stores nothing.
type copyingServer struct {
	etag  string // of a copied part
	abort int    // the status of the response to an abort; 0: success
	end   string // the error code of the response to the end; "": success

	mu       sync.Mutex
	requests []string
	headers  []http.Header
}

func (c *copyingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	q := r.URL.Query()
	c.mu.Lock()
	c.requests = append(c.requests, r.Method+" "+q.Get("partNumber")+" "+r.Header.Get("X-Amz-Copy-Source-Range"))
	c.headers = append(c.headers, r.Header.Clone())
	c.mu.Unlock()
	switch {
	case q.Has("uploads"):
		io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
	case r.Method == http.MethodDelete && c.abort != 0:
		refuse(w, c.abort, "AccessDenied")
	case r.Method == http.MethodDelete:
		w.WriteHeader(204)
	case r.Method == http.MethodPost && c.end != "":
		refuse(w, 412, c.end)
	case r.Method == http.MethodPost:
		io.WriteString(w, `<CompleteMultipartUploadResult><ETag>"n"</ETag></CompleteMultipartUploadResult>`)
	case isCopy(r):
		fmt.Fprintf(w, "<CopyPartResult><ETag>%s</ETag></CopyPartResult>", c.etag)
	case r.Method == http.MethodGet:
		w.Header().Set("ETag", `"t"`)
		w.Header().Set("X-Amz-Request-Id", "r")
		var first, last int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, 1<<40))
		w.WriteHeader(206)
		w.Write(make([]byte, last-first+1))
	default:
		w.Header().Set("ETag", `"p"`)
	}
}

// zeroes is the MD5 of 1024 zero bytes.
const zeroes = "0f343b0931126a20f133d67c2b018a3b"

// TestSpliceSizes: an object of any size is copied in at most 9,999 parts. The parts of an upload have
// numbers up to 10,000. A server that does not copy ranges, or that returns no checksums for parts, is
// detected before anything is stored.
func TestSpliceSizes(t *testing.T) {
	t.Parallel()
	const from = 5<<20 + 100
	start := make([]byte, 5<<20)
	for _, tc := range []struct {
		name  string
		size  int64
		etag  string
		parts int
		last  string // the range of the last part
		want  error
	}{
		{"one part", from + 64<<20, zeroes, 1, fmt.Sprintf("bytes=%d-%d", from, from+64<<20-1), nil},
		{"two parts", from + 64<<20 + 1, zeroes, 2, fmt.Sprintf("bytes=%d-%d", from+64<<20, from+64<<20), nil},
		{"5 TiB", 5 << 40, zeroes, 9999, "", nil},
		{"server ignores the range", 20 << 20, "0f343b0931126a20f133d67c2b018a3c", 0, "", vault.ErrUnsupported},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := &copyingServer{etag: `"` + tc.etag + `"`}
			s := answering(t, c.ServeHTTP)
			_, err := s.Splice.Splice(t.Context(), "k", vault.Splice{Tag: `"t"`, Conditional: true, Start: start, From: from, Size: tc.size})
			if !errors.Is(err, tc.want) || tc.want == nil && err != nil {
				t.Errorf("splice: %v, want %v", err, tc.want)
			}
			parts, last := 0, ""
			for _, r := range c.requests {
				if strings.Contains(r, "bytes=") && !strings.HasSuffix(r, fmt.Sprintf("bytes=%d-%d", from, from+1023)) {
					parts++
				}
				var n int
				if fmt.Sscanf(r, "PUT %d", &n); n == tc.parts+1 {
					_, last, _ = strings.Cut(strings.TrimPrefix(r, "PUT "), " ")
				}
			}
			if parts != tc.parts || tc.last != "" && last != tc.last || tc.want != nil && c.requests[len(c.requests)-1] != "DELETE  " {
				t.Errorf("%d copies, the last %q, want %d and %q; last request %q", parts, last, tc.parts, tc.last, c.requests[len(c.requests)-1])
			}
		})
	}
}

// TestSpliceUnfinished: parts that could not be removed, including copied parts, are reported with their
// size.
func TestSpliceUnfinished(t *testing.T) {
	t.Parallel()
	c := &copyingServer{etag: `"` + zeroes + `"`, abort: 403, end: "PreconditionFailed"}
	s := answering(t, c.ServeHTTP)
	const from, size = 5 << 20, 20 << 20
	_, err := s.Splice.Splice(t.Context(), "k", vault.Splice{Tag: `"t"`, Conditional: true, Start: make([]byte, from), From: from, Size: size})
	var cause *vault.Cause
	if !errors.Is(err, vault.ErrConflict) || !errors.As(err, &cause) || cause.Unfinished < size || cause.Unfinished > size+1024 {
		t.Errorf("splice: %v, %+v; want %v, and %d bytes that remain", err, cause, vault.ErrConflict, size)
	}
}

// TestSpliceHeaders: the new object has the encryption of other writes, and every copy is pinned.
func TestSpliceHeaders(t *testing.T) {
	t.Parallel()
	c := &copyingServer{etag: `"` + zeroes + `"`}
	s := answering(t, c.ServeHTTP, aws.Config{SSE: "aws:kms", KMSKey: "arn:aws:kms:eu-central-1:123456789012:key/k"})
	x := vault.Splice{Tag: `"t"`, Start: make([]byte, 5<<20), From: 5 << 20, Size: 20 << 20}
	for _, x.Conditional = range []bool{true, false} {
		c.requests, c.headers = nil, nil
		if _, err := s.Splice.Splice(t.Context(), "a b+c%20/ü", x); err != nil {
			t.Fatal(err)
		}
		for i, h := range c.headers {
			switch r := c.requests[i]; {
			case r == "POST  " && i < len(c.headers)-1 && (h.Get("X-Amz-Server-Side-Encryption") != "aws:kms" || h.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id") == "" || h.Get("Content-Type") != "application/octet-stream"):
				t.Errorf("CreateMultipartUpload has the headers %v", h)
			case strings.Contains(r, "bytes=") && (h.Get("X-Amz-Copy-Source-If-Match") != `"t"` || h.Get("X-Amz-Copy-Source") != "bucket/a%20b%2Bc%2520/%C3%BC"):
				t.Errorf("%s has the headers %v", r, h)
			case i == len(c.headers)-1 && (h.Get("If-Match") == `"t"`) != x.Conditional:
				t.Errorf("CompleteMultipartUpload has the headers %v, conditional is %v", h, x.Conditional)
			}
		}
	}
	if _, err := s.Splice.Splice(t.Context(), "k", vault.Splice{Start: x.Start, From: x.From, Size: x.Size}); !errors.Is(err, vault.ErrUnsupported) {
		t.Errorf("without a tag: %v, want %v", err, vault.ErrUnsupported)
	}
}
