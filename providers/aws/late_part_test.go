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
	"testing"

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
	for name, tc := range map[string]struct {
		copied bool
		then   *testcloud.Fault // of further attempts
	}{
		"no other response":                {false, testcloud.DropBefore()},
		"another attempt was refused":      {false, denied},
		"another attempt was successful":   {false, nil},
		"the page of a proxy is returned":  {false, testcloud.RespondBefore(403, "<html>blocked</html>")},
		"a copied part":                    {true, testcloud.DropBefore()},
		"another attempt to copy it fails": {true, denied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRewrapTest(t, server.URL, server.Root, false)
			if tc.copied {
				r.put(t, "late", splicedSize)
			}
			late := newLatePart(t, r, "bots/acme/credentials/late.enc")
			hit := func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == "1" }
			if tc.copied {
				hit = func(r *http.Request) bool { return isCopy(r) && !isFirstCopy(r) }
			}
			proxy := testcloud.NewProxy(server.URL, &testcloud.ProxyOptions{Rule: func(r *http.Request, _ int) *testcloud.Fault {
				q := r.URL.Query()
				switch {
				case hit(r) && late.start(q.Get("uploadId"), q.Get("partNumber")):
					return testcloud.DropBefore()
				case hit(r):
					return tc.then
				case q.Has("partNumber") && tc.then == nil:
					return denied // another part
				case r.Method == http.MethodDelete && q.Has("uploadId"):
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

// A latePart is a request with a part, of which the server has the last byte only after the upload was aborted
// once.
type latePart struct {
	t           *testing.T
	owner       *s3.Client
	bucket, key string
	other       *string // another upload for the key
	sending     sync.WaitGroup
	release     chan struct{}

	mu      sync.Mutex
	started bool
	aborts  int
}

func newLatePart(t *testing.T, r *rewrapTest, key string) *latePart {
	l := &latePart{t: t, owner: testcloud.S3Client(r.url, r.keys), bucket: r.bucket, key: key, release: make(chan struct{})}
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
	const size = 1 << 20
	read, ended := make(chan struct{}), make(chan struct{})
	body := io.MultiReader(bytes.NewReader(make([]byte, size-1)), waitFor{read, l.release}, strings.NewReader("x"))
	request, err := http.NewRequestWithContext(context.WithoutCancel(l.t.Context()), http.MethodPut, signed.URL, body)
	if err != nil {
		l.t.Error(err)
		return true
	}
	request.ContentLength = size
	l.sending.Go(func() {
		defer close(ended)
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

// abort is called before each abort. Before the second one, the server gets the last byte.
func (l *latePart) abort() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.aborts++; l.aborts == 2 {
		close(l.release)
		l.sending.Wait()
	}
}

// finish is called after the put. The server now gets the last byte, if there was only one abort.
func (l *latePart) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.started || l.aborts == 0 {
		l.t.Errorf("the part was sent: %v; %d aborts", l.started, l.aborts)
	}
	if l.aborts < 2 {
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
