package aws_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// A strict server accepts only what one of the services accepts, and returns that service's errors
// otherwise.
type strict struct {
	mu          sync.Mutex
	objects     map[string]bool
	sums        bool                             // a body without Content-MD5, or with a newer checksum, is an error
	multiDelete func(w http.ResponseWriter)      // the error of DeleteObjects; nil means that it is supported
	versions    func(w http.ResponseWriter)      // the error of ListObjectVersions; nil means an empty list
	deleteOne   func(w http.ResponseWriter) bool // reports whether it refused a DeleteObject
	requests    map[string]int                   // number of requests by kind
	headers     map[string][]http.Header         // headers of requests with a body
}

func (s *strict) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	key := strings.TrimPrefix(r.URL.Path, "/bucket/")
	op := ""
	switch {
	case q.Has("uploads"):
		op = "CreateMultipartUpload"
	case q.Has("partNumber"):
		op = "UploadPart"
	case q.Has("delete"):
		op = "DeleteObjects"
	case r.Method == http.MethodPost:
		op = "CompleteMultipartUpload"
	case q.Has("versions"):
		op = "ListObjectVersions"
	case q.Has("list-type"):
		op = "ListObjectsV2"
	case r.Method == http.MethodPut:
		op = "PutObject"
	case r.Method == http.MethodDelete:
		op = "DeleteObject"
	}
	s.requests[op]++
	s.headers[op] = append(s.headers[op], r.Header.Clone())
	if s.sums && (op == "PutObject" || op == "UploadPart" || op == "DeleteObjects") {
		sum := md5.Sum(body)
		if r.Header.Get("Content-Md5") != base64.StdEncoding.EncodeToString(sum[:]) {
			refuse(w, 400, "InvalidRequest") // Content-MD5 HTTP header is required
			return
		}
	}
	for name := range r.Header {
		if lower := strings.ToLower(name); s.sums && (strings.HasPrefix(lower, "x-amz-checksum-") || strings.HasPrefix(lower, "x-amz-sdk-checksum") || lower == "x-amz-trailer") {
			refuse(w, 400, "InvalidArgument") // Unsupported header
			return
		}
	}
	w.Header().Set("ETag", `"e"`)
	switch op {
	case "CreateMultipartUpload":
		io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
	case "CompleteMultipartUpload":
		s.objects[key] = true
		io.WriteString(w, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
	case "PutObject":
		s.objects[key] = true
	case "DeleteObject":
		if s.deleteOne != nil && s.deleteOne(w) {
			return
		}
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case "DeleteObjects":
		if s.multiDelete != nil {
			s.multiDelete(w)
			return
		}
		for key := range s.objects {
			if bytes.Contains(body, []byte("<Key>"+key+"</Key>")) {
				delete(s.objects, key)
			}
		}
		io.WriteString(w, "<DeleteResult></DeleteResult>")
	case "ListObjectVersions":
		if s.versions != nil {
			s.versions(w)
			return
		}
		io.WriteString(w, "<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>")
	case "ListObjectsV2":
		io.WriteString(w, "<ListBucketResult><IsTruncated>false</IsTruncated>")
		for _, key := range slices.Sorted(maps.Keys(s.objects)) {
			if strings.HasPrefix(key, q.Get("prefix")) {
				fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified><ETag>&quot;e&quot;</ETag></Contents>", key)
			}
		}
		io.WriteString(w, "</ListBucketResult>")
	}
}

func newStrict(t *testing.T) (*strict, *vault.Vault) {
	t.Helper()
	s := &strict{objects: make(map[string]bool), requests: make(map[string]int), headers: make(map[string][]http.Header)}
	return s, newVault(t, answering(t, s.ServeHTTP), "acme")
}

func (s *strict) fill(t *testing.T, v *vault.Vault) {
	t.Helper()
	for _, name := range []vault.Name{"a", "b", "c"} {
		if _, err := v.Put(t.Context(), name, strings.NewReader("value"), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestContentMD5: a server that is not AWS gets Content-MD5, which all servers support and some
// require. It gets no newer checksums, which some reject.
func TestContentMD5(t *testing.T) {
	t.Parallel()
	s, v := newStrict(t)
	s.sums = true
	s.fill(t, v)
	for _, o := range []*vault.PutOptions{nil, {Create: true}} {
		for _, size := range []int64{0, 3 << 20, 20 << 20} {
			if _, err := v.Put(t.Context(), "large", noise(1, size), o); err != nil {
				t.Errorf("put of %d bytes: %v", size, err)
			}
		}
	}
	if _, err := v.Teardown(t.Context(), nil); err != nil || len(s.objects) > 0 {
		t.Errorf("teardown: %v, and %v is left", err, s.objects)
	}
	if s.requests["DeleteObjects"] != 1 || s.requests["DeleteObject"] != 0 || s.requests["UploadPart"] != 10 {
		t.Errorf("requests: %v", s.requests)
	}
}

// TestAWSChecksums: with an explicit endpoint of AWS, requests have the SDK's checksums, as without
// an endpoint. A bucket with Object Lock rejects a write without a checksum.
func TestAWSChecksums(t *testing.T) {
	defer aws.TakeForAWS("127.0.0.1")()
	s, v := newStrict(t)
	s.fill(t, v)
	if _, err := v.Put(t.Context(), "large", noise(1, 20<<20), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Teardown(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, op := range []string{"PutObject", "UploadPart", "DeleteObjects"} {
		if len(s.headers[op]) == 0 {
			t.Errorf("no %s", op)
		}
		for _, h := range s.headers[op] {
			if h.Get("X-Amz-Checksum-Crc32") == "" {
				t.Errorf("%s has no checksum: %v", op, h)
			}
		}
	}
}

// TestNoMultiDelete: if a server does not support DeleteObjects, or rejects the request, objects
// are deleted one by one, and the server does not get another DeleteObjects.
func TestNoMultiDelete(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status int
		code   string
	}{{501, "NotImplemented"}, {405, "MethodNotAllowed"}, {400, "InvalidArgument"}, {400, "MissingArgument"}, {400, "MissingContentMD5"}} {
		t.Run(fmt.Sprint(tc.status, " ", tc.code), func(t *testing.T) {
			t.Parallel()
			s, v := newStrict(t)
			s.multiDelete = func(w http.ResponseWriter) { refuse(w, tc.status, tc.code) }
			for range 2 {
				s.fill(t, v)
				result, err := v.Teardown(t.Context(), nil)
				if err != nil || result.Deleted != 3 || len(s.objects) > 0 {
					t.Errorf("teardown: %+v, %v, and %v is left", result, err, s.objects)
				}
			}
			if s.requests["DeleteObjects"] != 1 || s.requests["DeleteObject"] != 6 {
				t.Errorf("requests: %v", s.requests)
			}
		})
	}
	// An object that another writer has deleted is not an error. An object that cannot be deleted
	// is reported.
	s, v := newStrict(t)
	s.fill(t, v)
	s.multiDelete = func(w http.ResponseWriter) { refuse(w, 501, "NotImplemented") }
	s.deleteOne = func(w http.ResponseWriter) bool {
		switch s.requests["DeleteObject"] {
		case 1:
			refuse(w, 404, "NoSuchKey")
		case 2:
			refuse(w, 403, "AccessDenied")
		}
		return s.requests["DeleteObject"] < 3
	}
	result, err := v.Teardown(t.Context(), nil)
	if !errors.Is(err, vault.ErrPartial) || !errors.Is(err, vault.ErrPermission) || result.Deleted != 2 || result.NotRemoved != 1 {
		t.Errorf("teardown: %+v, %v", result, err)
	}
	// A missing permission is not a missing feature.
	s, v = newStrict(t)
	s.fill(t, v)
	s.multiDelete = func(w http.ResponseWriter) { refuse(w, 403, "AccessDenied") }
	if _, err := v.Teardown(t.Context(), nil); !errors.Is(err, vault.ErrPermission) || s.requests["DeleteObject"] != 0 {
		t.Errorf("teardown: %v after %v", err, s.requests)
	}
}

// TestNoVersions: if a server does not support lists of versions, or does not understand the
// request, a teardown fails only if it must purge.
func TestNoVersions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status int
		code   string
		want   error
	}{{501, "NotImplemented", vault.ErrUnsupported}, {400, "InvalidArgument", vault.ErrRefused}} {
		s, v := newStrict(t)
		s.versions = func(w http.ResponseWriter) { refuse(w, tc.status, tc.code) }
		s.fill(t, v)
		result, err := v.Teardown(t.Context(), nil)
		if err != nil || result.Deleted != 3 {
			t.Errorf("%s: teardown: %+v, %v", tc.code, result, err)
		}
		s.fill(t, v)
		if _, err := v.Teardown(t.Context(), &vault.TeardownOptions{Purge: true}); !errors.Is(err, tc.want) {
			t.Errorf("%s: purge: %v, want %v", tc.code, err, tc.want)
		}
		for _, err := range v.History(t.Context(), "a") {
			if !errors.Is(err, tc.want) {
				t.Errorf("%s: history: %v, want %v", tc.code, err, tc.want)
			}
		}
	}
}

// TestRealMD5: real servers accept Content-MD5 on every request that has it.
func TestRealMD5(t *testing.T) {
	t.Parallel()
	for name, tc := range realServers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bucket := testcloud.NewBucket(t, tc.url, tc.keys, true)
			proxy := testcloud.NewProxy(tc.url, nil)
			t.Cleanup(func() { proxy.Close() })
			roundTrip(t, open(t, aws.Config{Bucket: bucket, Endpoint: proxy.URL, Static: static(tc.keys)}))
			sent := 0
			for _, r := range proxy.Requests() {
				if r.Header.Get("Content-Md5") != "" {
					sent++
				}
				if r.Header.Get("X-Amz-Checksum-Crc32") != "" {
					t.Errorf("%v has a CRC32", r)
				}
			}
			if sent < 5 { // an object, three parts and a multi-delete
				t.Errorf("%d requests had Content-MD5", sent)
			}
		})
	}
}

// TestChecksum: the checksums of writes to a server that is not AWS can be chosen, and the servers of the
// tests accept them.
func TestChecksum(t *testing.T) {
	t.Parallel()
	rgw, versity := testcloud.RequireRGW(t), testcloud.RequireVersity(t)
	for server, k := range map[string]testcloud.Keys{rgw.URL: rgw.Owner, versity.URL: versity.Root} {
		bucket := testcloud.NewBucket(t, server, k, false)
		for _, sum := range []string{"md5", "crc32", "none"} {
			md5, crc := 0, 0
			var mu sync.Mutex
			proxy := testcloud.NewProxy(server, &testcloud.ProxyOptions{Rule: func(r *http.Request, _ int) *testcloud.Fault {
				mu.Lock()
				defer mu.Unlock()
				if r.Method == http.MethodPut && r.Header.Get("Content-Md5") != "" {
					md5++
				}
				if r.Method == http.MethodPut && r.Header.Get("X-Amz-Checksum-Crc32") != "" {
					crc++
				}
				return nil
			}})
			t.Cleanup(func() { proxy.Close() })
			v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: proxy.URL, Static: static(k), Checksum: sum}), "acme")
			for _, size := range []int64{100, 20 << 20} {
				if _, err := v.Put(t.Context(), "a", noise(1, size), nil); err != nil {
					t.Errorf("%s: put of %d bytes: %v", sum, size, err)
				}
				r, err := v.Get(t.Context(), "a", nil)
				if err != nil {
					t.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, r); n != size || err != nil {
					t.Errorf("%s: get of %d bytes: %d, %v", sum, size, n, err)
				}
				r.Close()
			}
			want := map[string][2]int{"md5": {6, 0}, "crc32": {0, 6}, "none": {}}[sum] // one object, and five parts
			if mu.Lock(); [2]int{md5, crc} != want {
				t.Errorf("%s: %d requests with MD5 and %d with CRC32, want %v", sum, md5, crc, want)
			}
			mu.Unlock()
		}
	}
}

// TestChecksumTLS: over https, too, the CRC32 is a header, because some servers refuse the trailer of
// aws-chunked, with which the SDK would send it.
func TestChecksumTLS(t *testing.T) {
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, false)
	var mu sync.Mutex
	var puts []http.Header
	to := proxyTo(t, server.URL)
	front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			mu.Lock()
			puts = append(puts, r.Header.Clone())
			mu.Unlock()
		}
		to.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	t.Setenv("AWS_CA_BUNDLE", caFile(t, front))
	v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: front.URL, Static: static(server.Root), Checksum: "crc32"}), "acme")
	for _, size := range []int64{100, 20 << 20} {
		if _, err := v.Put(t.Context(), "a", noise(1, size), nil); err != nil {
			t.Errorf("put of %d bytes: %v", size, err)
		}
	}
	if len(puts) != 6 {
		t.Errorf("%d requests, want 6", len(puts))
	}
	for _, h := range puts {
		if h.Get("X-Amz-Checksum-Crc32") == "" || h.Get("X-Amz-Trailer") != "" || strings.Contains(h.Get("Content-Encoding"), "aws-chunked") {
			t.Errorf("a request has the headers %v", h)
		}
	}
}
