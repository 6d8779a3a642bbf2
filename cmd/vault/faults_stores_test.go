package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/vault"
)

// A faultKind is an event that a request meets.
type faultKind string

const (
	refusedConnection faultKind = "connection refused"
	resetBefore       faultKind = "reset before the effect"
	resetAfter        faultKind = "reset after the effect"
	appliedLater      faultKind = "applied later"
	cutBody           faultKind = "body cut"
	internalError     faultKind = "500"
	slowDown          faultKind = "503 SlowDown"
	accessDenied      faultKind = "403"
	expiredToken      faultKind = "expired token"
	noResponse        faultKind = "no response"
	errorBody         faultKind = "200 with an error body"
	foreignResponse   faultKind = "200 that is no S3 response"
	clockSkew         faultKind = "clock off by an hour"
	storeFull         faultKind = "disk full in the store"
	spoolFull         faultKind = "disk full in the spool"
)

// httpFaults are the faults of a store that is reached by HTTP. With spoolFull, the request is reset as
// well, so that the value has no other place.
var httpFaults = []faultKind{
	refusedConnection, resetBefore, resetAfter, appliedLater, cutBody, internalError, slowDown, accessDenied,
	expiredToken, noResponse, errorBody, foreignResponse, clockSkew, spoolFull,
}

// fileFaults are the faults of a store in a directory. Resets stand for an error of the file system
// before or after the effect, and slowDown for a lock that another process holds.
var fileFaults = []faultKind{resetBefore, resetAfter, cutBody, slowDown, accessDenied, noResponse, storeFull, spoolFull}

// A plan of faults: request n meets the fault, and with lasting all requests after it, too. n is 0 if no
// request does.
type faultPlan struct {
	n       int
	kind    faultKind
	lasting bool
}

func (p faultPlan) hits(n int) bool { return p.n > 0 && (n == p.n || p.lasting && n > p.n) }

// A faultStore is a store whose requests meet faults.
type faultStore interface {
	url() string
	faults() []faultKind
	// arm starts to count requests. hit is called for each request that meets the fault.
	arm(p faultPlan, hit func())
	// disarm ends the faults, applies the delayed requests, and returns all requests.
	disarm() []string
	// uploads returns the unfinished uploads below a prefix, with the number of their parts.
	uploads(t *testing.T, prefix string) []string
	wrap(*vault.Store) *vault.Store
}

// A front accepts connections for a server, and can refuse them.
type front struct {
	addr, upstream string

	mu    sync.Mutex
	l     net.Listener // nil: connections are refused
	conns map[net.Conn]bool
}

// newFront starts a front on an address of its own, which no other server and no client gets while the
// front refuses connections.
func newFront(t *testing.T, worker int, upstream string) *front {
	f := &front{upstream: upstream, conns: make(map[net.Conn]bool)}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.%d.1:0", 1+worker))
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	f.addr, f.l = l.Addr().String(), l
	go f.serve(l)
	t.Cleanup(f.refuse)
	return f
}

func (f *front) serve(l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", f.upstream)
		if err != nil {
			in.Close()
			continue
		}
		f.mu.Lock()
		if f.l != l {
			in.Close()
			out.Close()
		}
		f.conns[in], f.conns[out] = true, true
		f.mu.Unlock()
		relay := func(to, from net.Conn) {
			io.Copy(to, from)
			to.Close()
			from.Close()
			f.mu.Lock()
			delete(f.conns, to)
			delete(f.conns, from)
			f.mu.Unlock()
		}
		go relay(out, in)
		go relay(in, out)
	}
}

// refuse refuses connections from now on, and closes the existing ones.
func (f *front) refuse() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.l != nil {
		f.l.Close()
		f.l = nil
	}
	for c := range f.conns {
		c.Close()
	}
	clear(f.conns)
}

// accept accepts connections again.
func (f *front) accept() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.l != nil {
		return nil
	}
	l, err := net.Listen("tcp", f.addr)
	if err != nil {
		return err
	}
	f.l = l
	go f.serve(l)
	return nil
}

// foreignPage is the response of a server that is no store.
const foreignPage = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to this network</body></html>"

// An awsFaults is a bucket on versitygw behind a fault proxy.
type awsFaults struct {
	server *testcloud.Versity
	bucket string
	proxy  *testcloud.Proxy
	front  *front
	later  *testcloud.Later
	never  testcloud.Later // requests that are never applied
}

func newAWSFaults(t *testing.T, worker int, server *testcloud.Versity, bucket string) *awsFaults {
	a := &awsFaults{server: server, bucket: bucket, proxy: testcloud.NewProxy(server.URL, nil)}
	t.Cleanup(func() { a.proxy.Close() })
	a.front = newFront(t, worker, strings.TrimPrefix(a.proxy.URL, "http://"))
	return a
}

func (a *awsFaults) url() string { return "s3://" + a.bucket + "?endpoint=http://" + a.front.addr }

func (a *awsFaults) faults() []faultKind { return httpFaults }

func (a *awsFaults) wrap(s *vault.Store) *vault.Store { return s }

func (a *awsFaults) arm(p faultPlan, hit func()) {
	a.later = new(testcloud.Later)
	later := a.later
	a.proxy.Reset()
	a.proxy.SetRule(func(r *http.Request, n int) *testcloud.Fault {
		if !p.hits(n) {
			return nil
		}
		hit()
		switch p.kind {
		case refusedConnection:
			a.front.refuse()
			return testcloud.DropBefore()
		case resetBefore, spoolFull:
			return testcloud.DropBefore()
		case resetAfter:
			return testcloud.DropAfter()
		case appliedLater:
			return later.Cut()
		case cutBody:
			return testcloud.CutBody(20)
		case internalError:
			return testcloud.RespondBefore(500, testcloud.ErrorXML("InternalError", "We encountered an internal error. Please try again."))
		case slowDown:
			return testcloud.RespondBefore(503, testcloud.ErrorXML("SlowDown", "Please reduce your request rate."))
		case accessDenied:
			return testcloud.RespondBefore(403, testcloud.ErrorXML("AccessDenied", "Access Denied"))
		case expiredToken:
			return testcloud.RespondBefore(400, testcloud.ErrorXML("ExpiredToken", "The provided token has expired."))
		case noResponse:
			return a.never.Wait()
		case errorBody:
			return testcloud.RespondBefore(200, testcloud.ErrorXML("InternalError", "We encountered an internal error. Please try again."))
		case foreignResponse:
			return testcloud.RespondBefore(200, foreignPage)
		case clockSkew:
			return testcloud.RespondBefore(403, testcloud.ErrorXML("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."))
		}
		panic("no such fault: " + p.kind)
	})
	if p.kind == refusedConnection && p.n == 1 {
		hit()
		a.front.refuse()
	}
}

func (a *awsFaults) disarm() []string {
	a.proxy.SetRule(nil)
	if err := a.front.accept(); err != nil {
		panic(err)
	}
	a.later.Apply()
	var seen []string
	for _, r := range a.proxy.Requests() {
		query, _, _ := strings.Cut(r.Query, "&")
		seen = append(seen, r.Method+" "+path.Base(r.Path)+"?"+query)
	}
	return seen
}

func (a *awsFaults) uploads(t *testing.T, prefix string) (left []string) {
	client := testcloud.S3Client(a.server.URL, a.server.Root)
	list, err := client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &a.bucket, Prefix: &prefix})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range list.Uploads {
		parts, err := client.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &a.bucket, Key: u.Key, UploadId: u.UploadId})
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, fmt.Sprintf("%s with %d parts", *u.Key, len(parts.Parts)))
	}
	return left
}

// A cosFaults is a bucket on costest.
type cosFaults struct {
	server *costest.Server
	front  *front
	later  *costest.Later
	never  costest.Later
}

// cosKeys are the keys of the owner of every costest.
var cosKeys = [2]string{"AKIDfaultmatrix", "key-of-the-fault-matrix"}

func newCOSFaults(t *testing.T, worker int, versioning string) *cosFaults {
	s, err := costest.New(&costest.Options{SecretID: cosKeys[0], SecretKey: cosKeys[1], Versioning: versioning})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &cosFaults{server: s, front: newFront(t, worker, strings.TrimPrefix(s.URL(), "http://"))}
}

func (c *cosFaults) url() string {
	return "cos://" + c.server.Bucket() + "?region=" + c.server.Region() + "&endpoint=http://" + c.front.addr
}

func (c *cosFaults) faults() []faultKind { return httpFaults }

func (c *cosFaults) wrap(s *vault.Store) *vault.Store { return s }

func (c *cosFaults) arm(p faultPlan, hit func()) {
	c.later = new(costest.Later)
	later := c.later
	c.server.Reset()
	c.server.SetRule(func(r *costest.Request) *costest.Fault {
		if !p.hits(r.N) {
			return nil
		}
		hit()
		switch p.kind {
		case refusedConnection:
			c.front.refuse()
			return costest.DropBefore()
		case resetBefore, spoolFull:
			return costest.DropBefore()
		case resetAfter:
			return costest.DropAfter()
		case appliedLater:
			return later.Cut()
		case cutBody:
			return costest.CutBody(20)
		case internalError:
			return costest.RespondBefore(500, costest.ErrorXML("InternalError", "We encountered an internal error. Please try again."))
		case slowDown:
			return costest.RespondBefore(503, costest.ErrorXML("SlowDown", "Please reduce your request rate."))
		case accessDenied:
			return costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "Access Denied."))
		case expiredToken:
			return costest.RespondBefore(403, costest.ErrorXML("ExpiredToken", "The provided token has expired."))
		case noResponse:
			return c.never.Wait()
		case errorBody:
			if r.Action == "CompleteMultipartUpload" {
				return costest.LateError("InternalError", "We encountered an internal error. Please try again.")
			}
			return costest.RespondBefore(200, costest.ErrorXML("InternalError", "We encountered an internal error. Please try again."))
		case foreignResponse:
			return costest.RespondBefore(200, foreignPage)
		case clockSkew:
			return costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "Request has expired"))
		}
		panic("no such fault: " + p.kind)
	})
	if p.kind == refusedConnection && p.n == 1 {
		hit()
		c.front.refuse()
	}
}

func (c *cosFaults) disarm() []string {
	c.server.SetRule(nil)
	if err := c.front.accept(); err != nil {
		panic(err)
	}
	c.later.Apply()
	var seen []string
	for _, r := range c.server.Requests() {
		seen = append(seen, r.Action+" "+r.Key)
	}
	return seen
}

func (c *cosFaults) uploads(_ *testing.T, prefix string) (left []string) {
	for _, u := range c.server.Uploads(c.server.Bucket()) {
		if strings.HasPrefix(u.Key, prefix) {
			left = append(left, fmt.Sprintf("%s with %d parts", u.Key, u.Parts))
		}
	}
	return left
}

// A dirFaults is a directory. Its requests are the calls of the vault to the store.
type dirFaults struct {
	dir   string
	plan  atomic.Pointer[faultPlan]
	hit   func()
	count atomic.Int32

	mu   sync.Mutex
	seen []string
}

func newDirFaults(t *testing.T) *dirFaults {
	d := &dirFaults{dir: t.TempDir()}
	d.plan.Store(&faultPlan{})
	return d
}

func (d *dirFaults) url() string { return "file://" + filepath.ToSlash(d.dir) + "?versions=50" }

func (d *dirFaults) faults() []faultKind { return fileFaults }

var errDisk = fmt.Errorf("%w: input/output error", vault.ErrUnavailable)

func (d *dirFaults) wrap(s *vault.Store) *vault.Store {
	var cut atomic.Bool // the next body is cut
	return intercept.Store(s, intercept.Hooks{
		Call: func(ctx context.Context, c intercept.Call, do func() error) error {
			d.mu.Lock()
			d.seen = append(d.seen, c.Op+" "+c.Key)
			d.mu.Unlock()
			p, n := d.plan.Load(), int(d.count.Add(1))
			if !p.hits(n) {
				return do()
			}
			d.hit()
			switch p.kind {
			case resetBefore, spoolFull:
				return errDisk
			case resetAfter:
				if err := do(); err != nil {
					return err
				}
				return errDisk
			case cutBody:
				cut.Store(true)
				return do()
			case slowDown:
				return fmt.Errorf("%w: another process holds the lock", vault.ErrBusy)
			case accessDenied:
				return fmt.Errorf("%w: %w", vault.ErrPermission, os.ErrPermission)
			case noResponse:
				<-ctx.Done()
				return ctx.Err()
			case storeFull:
				return vault.ErrNoSpace
			}
			panic("no such fault: " + p.kind)
		},
		Body: func(_ intercept.Call, r io.Reader) io.Reader {
			if cut.CompareAndSwap(true, false) {
				return io.MultiReader(io.LimitReader(r, 20), failingReader{io.ErrUnexpectedEOF})
			}
			return r
		},
	})
}

// A failingReader is a reader that fails.
type failingReader struct{ err error }

func (e failingReader) Read([]byte) (int, error) { return 0, e.err }

func (d *dirFaults) arm(p faultPlan, hit func()) {
	d.hit = hit
	d.count.Store(0)
	d.mu.Lock()
	d.seen = nil
	d.mu.Unlock()
	d.plan.Store(&p)
}

func (d *dirFaults) disarm() []string {
	d.plan.Store(&faultPlan{})
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.seen...)
}

// uploads returns the temporary files, which stand for unfinished uploads.
func (d *dirFaults) uploads(t *testing.T, _ string) (left []string) {
	list, err := os.ReadDir(filepath.Join(d.dir, ".objectvault", "tmp"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range list {
		left = append(left, "temporary file "+e.Name())
	}
	return left
}
