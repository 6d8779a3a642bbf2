package aws_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// TestUnfinishedUpload: parts that could not be removed are reported, whatever the result of the
// write.
func TestUnfinishedUpload(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		refuse string // code of the response to the complete
		status int
		o      vault.PutOptions
		end    bool // the context ends while the second part is sent
		source bool // the source fails after the second part has arrived
		want   error
	}{
		{name: "complete denied", refuse: "AccessDenied", status: 403, want: vault.ErrPermission},
		{name: "object exists", refuse: "PreconditionFailed", status: 412, o: vault.PutOptions{Create: true}, want: vault.ErrExist},
		{name: "outcome unknown", refuse: "InternalError", status: 500, want: vault.ErrUnsure},
		{name: "context cancelled", end: true, want: context.Canceled},
		{name: "source fails", source: true, want: io.ErrUnexpectedEOF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			arrived := make(chan struct{})
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Header().Set("ETag", `"e"`)
				if r.URL.Query().Get("partNumber") == "2" {
					close(arrived)
				}
				switch q := r.URL.Query(); {
				case q.Has("uploads"):
					io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
				case r.Method == http.MethodDelete:
					refuse(w, 403, "AccessDenied")
				case r.Method == http.MethodPost:
					refuse(w, tc.status, tc.refuse)
				case r.Method == http.MethodGet:
					w.Header().Del("ETag")
					refuse(w, 404, "NoSuchKey")
				case q.Get("partNumber") == "2" && tc.end:
					cancel()
				}
			})
			v := newVault(t, s, "acme")
			value := noise(1, 20<<20)
			if tc.source {
				value = io.MultiReader(value, broken{arrived})
			}
			_, err := v.Put(ctx, "x", value, &tc.o)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), "an unfinished upload of ") ||
				!strings.HasSuffix(err.Error(), " MB may remain; it is billed until a lifecycle rule removes it") {
				t.Errorf("put: %v, want %v and the remaining parts", err, tc.want)
			}
			var cause *vault.Cause
			if !tc.source && (!errors.As(err, &cause) || cause.Unfinished < 5<<20 || cause.Unfinished > 21<<20) {
				t.Errorf("the cause is %+v, want the number of remaining bytes", cause)
			}
			if strings.Count(err.Error(), "unfinished") != 1 {
				t.Errorf("put reports the remaining parts more than once: %v", err)
			}
		})
	}
}

// A broken reader fails after a part has arrived.
type broken struct{ arrived chan struct{} }

func (b broken) Read([]byte) (int, error) {
	<-b.arrived
	return 0, io.ErrUnexpectedEOF
}

// TestInterruptedStart: if the caller gives up before the response to an initiate arrives, no
// multipart upload remains.
func TestInterruptedStart(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, false)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var started atomic.Bool
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(resp *http.Response) error {
			if !resp.Request.URL.Query().Has("uploads") {
				return nil
			}
			started.Store(true)
			cancel()
			held := time.NewTimer(300 * time.Millisecond)
			defer held.Stop()
			select {
			case <-held.C:
			case <-resp.Request.Context().Done(): // the client did not wait
			}
			return nil
		},
	})
	t.Cleanup(front.Close)
	v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: front.URL, Static: static(server.Root)}), "acme")
	_, err = v.Put(ctx, "x", noise(1, 20<<20), nil)
	if !errors.Is(err, context.Canceled) || errors.Is(err, vault.ErrUnsure) || !started.Load() {
		t.Errorf("put: %v, started %v", err, started.Load())
	}
	noOrphans(t, testcloud.S3Client(server.URL, server.Root), bucket)
}

// TestIgnoredError: if fill ignores the error of a write, the start of the value is not stored as the value.
func TestIgnoredError(t *testing.T) {
	t.Parallel()
	var stored atomic.Bool
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Query().Has("uploads") {
			refuse(w, 403, "AccessDenied")
			return
		}
		stored.Store(stored.Load() || r.Method == http.MethodPut)
		w.Header().Set("ETag", `"e"`)
	})
	_, err := s.Put.Put(t.Context(), "x", func(w io.Writer) error {
		for range 20 {
			w.Write(make([]byte, 1<<20))
		}
		w.Write([]byte("end"))
		return nil
	})
	if err == nil || stored.Load() {
		t.Errorf("put: %v, stored %v", err, stored.Load())
	}
}

// TestPartsInProgress: if a part is refused, the parts in progress are not cut off, and the upload is aborted
// after them: a server might notice a cut only after the abort, and keep the part.
func TestPartsInProgress(t *testing.T) {
	t.Parallel()
	var others sync.WaitGroup
	others.Add(3) // parts 2 to 4 are in progress when part 1 is refused
	var whole, aborted atomic.Int32
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"e"`)
		switch q := r.URL.Query(); {
		case q.Has("uploads"):
			io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		case q.Get("partNumber") == "1":
			io.Copy(io.Discard, r.Body)
			others.Wait()
			refuse(w, 403, "AccessDenied")
		case r.Method == http.MethodPut:
			others.Done()
			time.Sleep(200 * time.Millisecond)
			if n, err := io.Copy(io.Discard, r.Body); err != nil || n < 5<<20 && q.Get("partNumber") != "4" {
				t.Errorf("part %s was cut off after %d bytes: %v", q.Get("partNumber"), n, err)
			}
			whole.Add(1)
		case r.Method == http.MethodDelete:
			if n := whole.Load(); n != 3 {
				t.Errorf("the upload was aborted after %d parts, want 3", n)
			}
			aborted.Add(1)
			w.WriteHeader(http.StatusNoContent)
		}
	})
	if _, err := newVault(t, s, "acme").Put(t.Context(), "x", noise(1, 18<<20), nil); !errors.Is(err, vault.ErrPermission) {
		t.Errorf("put: %v, want %v", err, vault.ErrPermission)
	}
	if aborted.Load() != 1 {
		t.Errorf("the upload was aborted %d times", aborted.Load())
	}
}
