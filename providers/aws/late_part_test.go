package aws_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/vault"
)

// TestLatePart: the response to a part is lost, the upload is aborted, and only then the server has read
// the part completely. Nothing remains of the upload, even if another attempt got a response.
func TestLatePart(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	denied := testcloud.RespondBefore(403, testcloud.ErrorXML("AccessDenied", "Access Denied"))
	page := testcloud.RespondBefore(403, "<html>blocked</html>")
	for name, tc := range map[string]struct {
		copied      bool
		first, then *testcloud.Fault // of the first attempt to send the part, and of the others
		late        int              // the server gets the last byte before this abort
	}{
		"no response":                    {false, testcloud.DropBefore(), testcloud.DropBefore(), 2},
		"it takes longer":                {false, testcloud.DropBefore(), testcloud.DropBefore(), 3},
		"another attempt was refused":    {false, testcloud.DropBefore(), denied, 2},
		"another attempt was successful": {false, testcloud.DropBefore(), nil, 2},
		"the page of a proxy":            {false, page, page, 2},
		"a copied part":                  {true, testcloud.DropBefore(), testcloud.DropBefore(), 2},
		"a copied part, then refused":    {true, testcloud.DropBefore(), denied, 2},
		"a copied part, cut response":    {true, testcloud.CutBody(20), testcloud.CutBody(20), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRewrapTest(t, server.URL, server.Root, false)
			if tc.copied {
				r.put(t, "late", splicedSize)
			}
			late := newLatePart(t, r, "bots/acme/credentials/late.enc", tc.late)
			hit := func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == "1" }
			if tc.copied {
				hit = func(r *http.Request) bool { return isCopy(r) && !isFirstCopy(r) }
			}
			proxy := testcloud.NewProxy(server.URL, &testcloud.ProxyOptions{Rule: func(r *http.Request, _ int) *testcloud.Fault {
				q := r.URL.Query()
				switch {
				case hit(r) && late.start(q.Get("uploadId"), q.Get("partNumber")):
					return tc.first
				case hit(r):
					return tc.then
				case q.Has("partNumber") && tc.then == nil:
					return denied // another part
				case r.Method == http.MethodDelete:
					late.abort()
				}
				return nil
			}})
			t.Cleanup(func() { proxy.Close() })
			if tc.copied {
				// An error, or the value was sent because it could not be copied.
				t.Log(r.rewrap(t.Context(), t, r.open(t, proxy.URL), "late"))
			} else if _, err := newVault(t, r.open(t, proxy.URL), "acme").Put(t.Context(), "late", noise(7, splicedSize), nil); err == nil || errors.Is(err, vault.ErrUnsure) {
				t.Errorf("put: %v, want an error that says that nothing was stored", err)
			}
			late.finish()
			noOrphans(t, late.owner, r.bucket)
		})
	}
}

// TestLatePartRemains: if the upload cannot be aborted again, the error has the size of the part that may remain.
func TestLatePartRemains(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	r := newRewrapTest(t, server.URL, server.Root, false)
	var parts, aborts atomic.Int64
	proxy := testcloud.NewProxy(server.URL, &testcloud.ProxyOptions{Rule: func(r *http.Request, _ int) *testcloud.Fault {
		switch {
		case r.URL.Query().Get("partNumber") == "1":
			parts.Store(r.ContentLength)
			return testcloud.DropBefore()
		case r.Method == http.MethodDelete && aborts.Add(1) > 1:
			return testcloud.RespondBefore(403, testcloud.ErrorXML("AccessDenied", "Access Denied"))
		}
		return nil
	}})
	t.Cleanup(func() { proxy.Close() })
	_, err := newVault(t, r.open(t, proxy.URL), "acme").Put(t.Context(), "late", noise(7, splicedSize), nil)
	var cause *vault.Cause
	if !errors.As(err, &cause) || cause.Unfinished != parts.Load() || cause.Unfinished == 0 {
		t.Errorf("put: %v, want an error with %d unfinished bytes", err, parts.Load())
	}
}

// TestOneAbort: if every part had a response, or was not sent, an upload that failed is aborted only once.
func TestOneAbort(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	r := newRewrapTest(t, server.URL, server.Root, false)
	for name, fault := range map[string]*testcloud.Fault{
		"refused":         testcloud.RespondBefore(403, testcloud.ErrorXML("AccessDenied", "Access Denied")),
		"busy":            testcloud.RespondBefore(503, testcloud.ErrorXML("SlowDown", "Please reduce your request rate.")),
		"upload is gone":  testcloud.RespondBefore(404, testcloud.ErrorXML("NoSuchUpload", "The upload does not exist.")),
		"internal errors": testcloud.RespondBefore(500, testcloud.ErrorXML("InternalError", "We encountered an internal error. Please try again.")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := testcloud.NewProxy(server.URL, &testcloud.ProxyOptions{Rule: func(r *http.Request, _ int) *testcloud.Fault {
				if r.URL.Query().Get("partNumber") == "1" {
					return fault
				}
				return nil
			}})
			t.Cleanup(func() { proxy.Close() })
			if _, err := newVault(t, r.open(t, proxy.URL), "acme").Put(t.Context(), vault.Name(strings.ReplaceAll(name, " ", "-")), noise(7, splicedSize), nil); err == nil {
				t.Error("put: no error")
			}
			uploads, aborts := 0, 0
			for _, r := range proxy.Requests() {
				if strings.Contains(r.Query, "uploads") {
					uploads++
				}
				if r.Method == http.MethodDelete {
					aborts++
				}
			}
			if uploads == 0 || aborts != uploads {
				t.Errorf("%d uploads were aborted %d times", uploads, aborts)
			}
		})
	}
}

// A latePart is a request with a part. The server gets its last byte only after the upload was aborted.
type latePart struct {
	t           *testing.T
	owner       *s3.Client
	bucket, key string
	before      int     // the server gets the last byte before this abort
	other       *string // another upload for the key
	sending     sync.WaitGroup
	release     chan struct{}

	mu      sync.Mutex
	started bool
	aborts  int
}

func newLatePart(t *testing.T, r *rewrapTest, key string, before int) *latePart {
	l := &latePart{t: t, owner: testcloud.S3Client(r.url, r.keys), bucket: r.bucket, key: key, before: before, release: make(chan struct{})}
	// Versitygw also stores a late part after the last upload for its key was aborted, but does not list it.
	out, err := l.owner.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &l.bucket, Key: &l.key})
	if err != nil {
		t.Fatal(err)
	}
	l.other = out.UploadId
	return l
}

// start sends the part, without its last byte. It returns false if it was called before.
func (l *latePart) start(upload, part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started {
		return false
	}
	l.started = true
	number, err := strconv.ParseInt(part, 10, 32)
	if err != nil {
		l.t.Error(err)
		return true
	}
	signed, err := s3.NewPresignClient(l.owner).PresignUploadPart(l.t.Context(), &s3.UploadPartInput{
		Bucket: &l.bucket, Key: &l.key, UploadId: &upload, PartNumber: aws.Int32(int32(number)),
	})
	if err != nil {
		l.t.Error(err)
		return true
	}
	// More than the buffers of the connection, so that the server has begun to read the part when the
	// beginning was sent.
	const size = 24 << 20
	read, ended := make(chan struct{}), make(chan struct{})
	body := io.MultiReader(bytes.NewReader(make([]byte, size-1)), waitFor{read, l.release}, strings.NewReader("x"))
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, signed.URL, body)
	if err != nil {
		cancel()
		l.t.Error(err)
		return true
	}
	request.ContentLength = size
	l.sending.Go(func() {
		defer close(ended)
		defer cancel()
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			l.t.Error(err)
			return
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			l.t.Errorf("the server does not store the late part: status %d", resp.StatusCode)
		}
	})
	select {
	case <-read:
	case <-ended:
	}
	return true
}

// abort is called before each abort.
func (l *latePart) abort() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.aborts++; l.aborts == l.before {
		close(l.release)
		l.sending.Wait()
	}
}

// finish is called after the put. The server now gets the last byte, unless it has it already.
func (l *latePart) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.started || l.aborts == 0 {
		l.t.Errorf("the part was sent: %v; %d aborts", l.started, l.aborts)
	}
	if l.aborts < l.before {
		close(l.release)
	}
	l.sending.Wait()
	if _, err := l.owner.AbortMultipartUpload(l.t.Context(), &s3.AbortMultipartUploadInput{Bucket: &l.bucket, Key: &l.key, UploadId: l.other}); err != nil {
		l.t.Error(err)
	}
}

// A waitFor is an empty reader whose end comes when release is closed. It closes read when it is read.
type waitFor struct{ read, release chan struct{} }

func (w waitFor) Read([]byte) (int, error) {
	close(w.read)
	<-w.release
	return 0, io.EOF
}
