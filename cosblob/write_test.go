package cosblob_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
)

// TestSizes writes and reads objects with sizes near the size of a part.
func TestSizes(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	for _, tc := range []struct{ size, puts, parts int }{
		{0, 1, 0}, {1, 1, 0}, {mib - 1, 1, 0}, {mib, 1, 0}, {mib + 1, 0, 2}, {2 * mib, 0, 2}, {5*mib + 3, 0, 6},
	} {
		s.Reset()
		mustWrite(t, b, "key", noise(1, tc.size))
		if p, n := count(s, "PutObject"), count(s, "UploadPart"); p != tc.puts || n != tc.parts {
			t.Errorf("%d bytes: %d PUT and %d parts, want %d and %d", tc.size, p, n, tc.puts, tc.parts)
		}
		wantObject(t, b, "key", noise(1, tc.size))
	}
	s.Reset()
	if err := b.WriteAll(t.Context(), "key", noise(1, 9*mib+1), nil); err != nil {
		t.Fatal(err)
	}
	if n := count(s, "UploadPart"); n != 2 {
		t.Errorf("9 MiB and a byte: %d parts, want 2", n)
	}
}

// TestPartConcurrency: MaxConcurrency limits the number of parts that are sent at a time.
func TestPartConcurrency(t *testing.T) {
	t.Parallel()
	for _, want := range []int{1, 2, 3} {
		s := newServer(t, nil)
		var mu sync.Mutex
		var current, most int
		var full sync.WaitGroup
		full.Add(want)
		s.SetRule(func(r *costest.Request) *costest.Fault {
			if r.Action == "UploadPart" {
				mu.Lock()
				if current++; current > most {
					if most = current; most <= want {
						full.Done()
					}
				}
				mu.Unlock()
				full.Wait()
				mu.Lock()
				current--
				mu.Unlock()
			}
			return nil
		})
		b := open(t, s, owner(s))
		o := inParts(blob.WriterOptions{MaxConcurrency: want})
		if err := b.WriteAll(t.Context(), "key", noise(1, 7*mib), o); err != nil {
			t.Fatal(err)
		}
		if most != want {
			t.Errorf("%d concurrent parts, want %d", most, want)
		}
	}
}

// TestCreateRace: exactly one of sixteen concurrent creates succeeds, and its object stays. The
// objects are smaller and larger than a part.
func TestCreateRace(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"FileAlreadyExists", "PathConflict"} {
		for _, size := range []int{100, mib + 100} {
			t.Run(fmt.Sprint(code, " ", size), func(t *testing.T) {
				t.Parallel()
				s := newServer(t, &costest.Options{Unsure: map[string]string{"create-race": code}})
				b := open(t, s, owner(s))
				var writers sync.WaitGroup
				var winner atomic.Int64
				var won atomic.Int64
				for i := range 16 {
					writers.Go(func() {
						err := b.WriteAll(t.Context(), "key", noise(uint64(i), size), inParts(blob.WriterOptions{IfNotExist: true}))
						switch {
						case err == nil:
							won.Add(1)
							winner.Store(int64(i))
						case gcerrors.Code(err) != gcerrors.FailedPrecondition:
							t.Errorf("%d: %v, want FailedPrecondition", i, err)
						}
					})
				}
				writers.Wait()
				if won.Load() != 1 {
					t.Fatalf("%d winners, want 1", won.Load())
				}
				wantObject(t, b, "key", noise(uint64(winner.Load()), size))
			})
		}
	}
}

// TestForbidOverwrite: the start and the end of a multipart upload send the header, as COS requires.
func TestForbidOverwrite(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	for _, size := range []int{100, 2 * mib} {
		if err := b.WriteAll(t.Context(), fmt.Sprint(size), noise(1, size), inParts(blob.WriterOptions{IfNotExist: true})); err != nil {
			t.Fatal(err)
		}
	}
	mustWrite(t, b, "plain", noise(1, 2*mib))
	for _, r := range s.Requests() {
		want := r.Action != "UploadPart" && r.Key != "plain"
		if got := r.Header.Get("X-Cos-Forbid-Overwrite") == "true"; got != want {
			t.Errorf("%s: forbid-overwrite %t, want %t", r.Action, got, want)
		}
	}
}

// TestCreatedMeanwhile: a create-only upload fails if another writer creates the object before the
// upload ends.
func TestCreatedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	w, err := b.NewWriter(t.Context(), "key", inParts(blob.WriterOptions{IfNotExist: true}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(1, 2*mib)); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, b, "key", noise(2, 100))
	if err := w.Close(); gcerrors.Code(err) != gcerrors.FailedPrecondition {
		t.Errorf("close: %v, want FailedPrecondition", err)
	}
	wantObject(t, b, "key", noise(2, 100))
}

// TestCancel ends the context at each request of a write. No object may be published, no part may
// remain, and the error must be the error of the context.
func TestCancel(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"PutObject", "InitiateMultipartUpload", "UploadPart", "CompleteMultipartUpload"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			b := open(t, s, owner(s))
			mustWrite(t, b, "key", noise(1, 100))
			ctx, cancel := context.WithCancel(t.Context())
			// The context ends before the server responds. Then the server refuses the request.
			once(s, costest.RespondBefore(500, internalError()), func(r *costest.Request) bool {
				if r.Action == at {
					cancel()
				}
				return r.Action == at
			})
			size := 5 * mib
			if at == "PutObject" {
				size = 100
			}
			err := b.WriteAll(ctx, "key", noise(2, size), inParts(blob.WriterOptions{}))
			if !errors.Is(err, context.Canceled) || gcerrors.Code(err) != gcerrors.Canceled {
				t.Errorf("write: %v, want %v", err, context.Canceled)
			}
			wantObject(t, b, "key", noise(1, 100))
		})
	}
}

// TestCancelLate: if the context ends after the last request was completely sent, the writer waits
// for the response, and returns its result.
func TestCancelLate(t *testing.T) {
	t.Parallel()
	for size, at := range map[int]string{100: "PutObject", 2 * mib: "CompleteMultipartUpload"} {
		s := newServer(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var sent atomic.Int64
		b := openVia(t, s, owner(s), roundTrip(func(r *http.Request) (*http.Response, error) {
			if q := r.URL.Query(); r.Method == http.MethodPut && !q.Has("partNumber") || r.Method == http.MethodPost && q.Has("uploadId") {
				r.Body = &sentReader{r.Body, r.ContentLength, func() {
					sent.Store(time.Now().UnixNano())
					cancel()
				}}
			}
			return s.Client().Transport.RoundTrip(r)
		}))
		err := b.WriteAll(ctx, "key", noise(2, size), inParts(blob.WriterOptions{}))
		if time.Since(time.Unix(0, sent.Load())) > 2*time.Second && errors.Is(err, context.Canceled) {
			continue // the machine was too slow: a writer waits for 2.5 s
		}
		exists, eerr := b.Exists(t.Context(), "key")
		if err != nil || !exists || ctx.Err() == nil {
			t.Errorf("%s: write: %v; the object exists: %t, %v; the context: %v", at, err, exists, eerr, ctx.Err())
		}
	}
}

// TestPartUnderWay: an upload is aborted only after the responses to all completely sent parts.
func TestPartUnderWay(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	b := openVia(t, s, owner(s), roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Query().Get("partNumber") == "3" {
			r.Body = &sentReader{r.Body, r.ContentLength, cancel}
		}
		return s.Client().Transport.RoundTrip(r)
	}))
	last := func(r *costest.Request) bool { return strings.HasPrefix(r.Query, "partNumber=3&") }
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if last(r) {
			return costest.Delay(300 * time.Millisecond)
		}
		return nil
	})
	err := b.WriteAll(ctx, "key", noise(1, 2*mib+100), inParts(blob.WriterOptions{}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v, want %v", err, context.Canceled)
	}
	for _, r := range s.Requests() {
		if last(&r) && r.Status != 200 {
			t.Errorf("the response to the part was not awaited: %s", r)
		}
	}
	if n := count(s, "AbortMultipartUpload"); n != 1 {
		t.Errorf("%d aborts, want 1", n)
	}
	wantObject(t, b, "key", nil)
}

// A sentReader calls onSent when the last of left bytes was read, before the reader returns io.EOF.
type sentReader struct {
	io.ReadCloser
	left   int64
	onSent func()
}

func (r *sentReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if r.left -= int64(n); r.left == 0 && n > 0 {
		r.onSent()
	}
	return n, err
}

// TestAbortWaits: a writer that fails in Write also waits for the responses to its parts before it
// aborts the upload.
func TestAbortWaits(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var sending atomic.Int64
	b := openVia(t, s, owner(s), roundTrip(func(r *http.Request) (*http.Response, error) {
		switch q := r.URL.Query(); {
		case q.Has("partNumber"):
			sending.Add(1)
			defer sending.Add(-1)
			resp, err := s.Client().Transport.RoundTrip(r)
			if q.Get("partNumber") == "1" {
				cancel()
				<-time.After(100 * time.Millisecond) // the response is delayed
			}
			return resp, err
		case r.Method == http.MethodDelete && sending.Load() != 0:
			t.Errorf("the upload is aborted while %d parts are being sent", sending.Load())
		}
		return s.Client().Transport.RoundTrip(r)
	}))
	w, err := b.NewWriter(ctx, "key", inParts(blob.WriterOptions{MaxConcurrency: 1}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(1, 10*mib)); !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v, want %v", err, context.Canceled)
	}
	if err := w.Close(); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v, want %v", err, context.Canceled)
	}
	wantObject(t, b, "key", nil)
}

// TestInterrupt: if the context ends while a request is being sent, the request is not completed.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, size := range []int{mib / 2, 2 * mib} {
		s := newServer(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var first sync.Once
		b := openVia(t, s, owner(s), roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodPut {
				return s.Client().Transport.RoundTrip(r)
			}
			defer r.Body.Close()
			first.Do(func() { // another part waits until the context has ended
				io.CopyN(io.Discard, r.Body, 1000)
				cancel()
			})
			n, err := io.Copy(io.Discard, r.Body)
			if n != 0 || !errors.Is(err, context.Canceled) {
				t.Errorf("%d bytes more could be read, %v", n, err)
			}
			return nil, err
		}))
		err := b.WriteAll(ctx, "key", noise(1, size), inParts(blob.WriterOptions{}))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("write: %v, want %v", err, context.Canceled)
		}
		if !errors.Is(err, cosblob.ErrNotApplied) {
			t.Errorf("%d bytes: the write is not marked as not applied: %v", size, err)
		}
	}
}

// TestAbortFails: if the abort fails, the error reports that parts remain.
func TestAbortFails(t *testing.T) {
	t.Parallel()
	s, err := costest.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := open(t, s, owner(s))
	s.SetRule(func(r *costest.Request) *costest.Fault {
		switch r.Action {
		case "UploadPart":
			return costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "Access Denied."))
		case "AbortMultipartUpload":
			return costest.RespondBefore(405, costest.ErrorXML("MethodNotAllowed", "no"))
		}
		return nil
	})
	err = b.WriteAll(t.Context(), "key", noise(1, 2*mib), inParts(blob.WriterOptions{}))
	if gcerrors.Code(err) != gcerrors.PermissionDenied || !strings.Contains(err.Error(), "remain stored until the upload is aborted") {
		t.Errorf("write: %v", err)
	}
}

// TestSourceFails: a writer whose context ends before Close stores nothing.
func TestSourceFails(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	for _, size := range []int{0, 100, 3 * mib} {
		ctx, cancel := context.WithCancel(t.Context())
		w, err := b.NewWriter(ctx, "key", inParts(blob.WriterOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(noise(1, size)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := w.Write([]byte("more")); !errors.Is(err, context.Canceled) {
			t.Errorf("write after the end: %v", err)
		}
		if err := w.Close(); !errors.Is(err, context.Canceled) {
			t.Errorf("close after the end: %v", err)
		}
		wantObject(t, b, "key", nil)
	}
}

// TestPartFails: the first part that fails permanently ends the upload. The writer returns its error.
func TestPartFails(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Action == "UploadPart" && strings.HasPrefix(r.Query, "partNumber=2&") {
			return costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "Access Denied."))
		}
		return nil
	})
	var parts atomic.Int32
	failed := make(chan struct{})
	b := openVia(t, s, owner(s), roundTrip(func(r *http.Request) (*http.Response, error) {
		if n := r.URL.Query().Get("partNumber"); n != "" {
			if parts.Add(1); n != "2" {
				<-failed // the other parts are still being sent
			}
		}
		return s.Client().Transport.RoundTrip(r)
	}))
	w, err := b.NewWriter(t.Context(), "key", inParts(blob.WriterOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(noise(1, 30*mib))
	close(failed)
	if gcerrors.Code(err) != gcerrors.PermissionDenied {
		t.Errorf("write: %v, want PermissionDenied", err)
	}
	if err := w.Close(); gcerrors.Code(err) != gcerrors.PermissionDenied {
		t.Errorf("close: %v, want PermissionDenied", err)
	}
	if n := parts.Load(); n > 10 {
		t.Errorf("%d parts were sent, of which 10 at a time, although one had failed", n)
	}
	wantObject(t, b, "key", nil)
}

// TestWritten: after Close, Written contains the ETag. In a bucket with versioning it also contains
// the version ID, which can be used to read the version.
func TestWritten(t *testing.T) {
	t.Parallel()
	s := newServer(t, &costest.Options{Versioning: "Enabled"})
	b := open(t, s, owner(s))
	for _, size := range []int{100, 2 * mib} {
		var first *cosblob.Written
		o := inParts(blob.WriterOptions{BeforeWrite: func(as func(any) bool) error {
			if !as(&first) {
				return errors.New("no *cosblob.Written")
			}
			return nil
		}})
		if err := b.WriteAll(t.Context(), "key", noise(1, size), o); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, b, "key", noise(2, size))
		if first.VersionID == "" || first.ETag == "" {
			t.Fatalf("written: %+v", first)
		}
		r, err := b.NewReader(t.Context(), "key", &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
			var id *cosblob.VersionID
			if !as(&id) {
				return errors.New("no *cosblob.VersionID")
			}
			*id = cosblob.VersionID(first.VersionID)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || string(got) != string(noise(1, size)) {
			t.Errorf("the first version has another value: %v", err)
		}
	}
}

// TestConflict: the service keeps responding that another request is writing the key.
func TestConflict(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	done := once(s, costest.RespondBefore(409, costest.ErrorXML("PathConflict", "Path conflict.")), action("PutObject"))
	mustWrite(t, b, "there", nil)
	if !done.Load() {
		t.Error("there was no conflict")
	}
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Action == "PutObject" {
			return costest.RespondBefore(409, costest.ErrorXML("PathConflict", "Path conflict."))
		}
		return nil
	})
	o := inParts(blob.WriterOptions{IfNotExist: true})
	if err := b.WriteAll(t.Context(), "there", nil, o); gcerrors.Code(err) != gcerrors.FailedPrecondition {
		t.Errorf("create of an existing object: %v, want FailedPrecondition", err)
	}
	err := b.WriteAll(t.Context(), "absent", nil, o)
	var e *cos.ErrorResponse
	if gcerrors.Code(err) != gcerrors.Unknown || !b.ErrorAs(err, &e) || e.Code != "PathConflict" {
		t.Errorf("create of a missing object: %v, want the code PathConflict", err)
	}
}

// TestDeleteVersion: BeforeDelete can select a version to delete, even a delete marker.
func TestDeleteVersion(t *testing.T) {
	s := newServer(t, &costest.Options{Versioning: "Enabled"})
	b := open(t, s, owner(s))
	mustWrite(t, b, "key", []byte("one"))
	if err := b.Delete(t.Context(), "key"); err != nil {
		t.Fatal(err)
	}
	var client *cos.Client
	if !b.As(&client) {
		t.Fatal("no *cos.Client")
	}
	versions, _, err := client.Bucket.GetObjectVersions(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(versions.DeleteMarker) != 1 {
		t.Fatalf("%+v", versions)
	}
	if err := b.Delete(t.Context(), "key"); gcerrors.Code(err) != gcerrors.NotFound {
		t.Errorf("the deleted version: %v", err)
	}
	marker := versions.DeleteMarker[0].VersionId
	err = b.DeleteWithOptions(t.Context(), "key", &blob.DeleteOptions{BeforeDelete: func(as func(any) bool) error {
		var o *cos.ObjectDeleteOptions
		if !as(&o) {
			return errors.New("no *cos.ObjectDeleteOptions")
		}
		o.VersionId = marker
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	wantObject(t, b, "key", []byte("one")) // without the delete marker the object exists again
}

// TestPartsInProgress: if a part is refused, the parts in progress are not cut off, and the upload is aborted
// after them: the service might notice a cut only after the abort, and keep the part.
func TestPartsInProgress(t *testing.T) {
	t.Parallel()
	var others sync.WaitGroup
	others.Add(3) // parts 2 to 4 are in progress when part 1 is refused
	var whole, aborted atomic.Int32
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Cos-Request-Id", "id")
		w.Header().Set("ETag", `"e"`)
		switch q := r.URL.Query(); {
		case q.Has("uploads"):
			io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		case q.Get("partNumber") == "1":
			io.Copy(io.Discard, r.Body)
			others.Wait()
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, costest.ErrorXML("AccessDenied", "Access Denied."))
		case r.Method == http.MethodPut:
			others.Done()
			time.Sleep(200 * time.Millisecond)
			if n, err := io.Copy(io.Discard, r.Body); err != nil || n < 3*mib {
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
	}))
	t.Cleanup(front.Close)
	c := cosblob.Static("id", "key", "token")
	client, err := cosblob.NewClient("bucket-1250000000", "ap-guangzhou", c, &cosblob.ClientOptions{Endpoint: front.URL})
	if err != nil {
		t.Fatal(err)
	}
	b, err := cosblob.OpenBucket(t.Context(), client, "bucket-1250000000", &cosblob.Options{Credentials: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if err := b.WriteAll(t.Context(), "key", noise(1, 18*mib), nil); gcerrors.Code(err) != gcerrors.PermissionDenied {
		t.Errorf("write: %v, want PermissionDenied", err)
	}
	if aborted.Load() != 1 {
		t.Errorf("the upload was aborted %d times", aborted.Load())
	}
}
