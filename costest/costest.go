// Package costest is Tencent Cloud's object storage COS with its STS and CAM on a
// loopback port, for tests. It refuses what the service refuses, so that a client which
// works here has a chance there: signatures are checked bit by bit, policies decide, and
// what S3 has and COS has not is missing.
//
//	s, err := costest.New(nil)
//	defer s.Close()
//	u, _ := url.Parse(s.BucketURL(s.Bucket()))
//	client := cos.NewClient(&cos.BaseURL{BucketURL: u}, &http.Client{Transport: &cos.AuthorizationTransport{
//		SecretID: s.SecretID(), SecretKey: s.SecretKey(), Transport: s.Client().Transport,
//	}})
//
// A request's Host names the bucket, as it does there. [Server.Client] reaches the server
// under every such name; other clients use it as their HTTP proxy, or send to its URL,
// which means the one bucket of the options. Path style is refused.
//
// What the documents leave open is a [Question], and [Options.Unsure] picks the answer.
// [Server.SetRule] gives single requests a [Fault]: an answer lost before, after or long
// before the effect ([Later]), a connection cut at a byte, a 200 that holds an error. [Server.Requests] shows
// what came.
//
// Contents above 256 KiB are kept in a file, which goes when the server is closed or the
// process ends. Not implemented, and refused, are: archive classes and restore, replication,
// object lock (retention, legal hold), encryption with keys of the client's or of KMS, form
// upload, append, select, symlinks, image processing (CI), callbacks, CORS and static websites,
// origin rules, referer rules, inventory, intelligent tiering, public access block, custom
// domains, acceleration settings, notification, torrents, and the list of type 2 of S3.
//
// The server is no evidence of what the cloud does: it plays what the documents say
// (tencentcloud.com/document/product/436, 598 and 1150) and what was seen of it.
package costest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/objectvault/objectvault/internal/fault"
)

// Options configures [New]. Nil, or the zero value, is ready to use.
type Options struct {
	Addr   string // to listen on, of loopback; "" is a free port of 127.0.0.1
	Region string // "" is ap-guangzhou
	Bucket string // NAME-APPID; "" is vault-1250000000

	// SecretID and SecretKey are the owner's permanent key, which may do everything.
	// Random if both are empty.
	SecretID, SecretKey string
	OwnerUin            string // of the root account; "" is 100000000001

	Versioning string // of Bucket: "" is never versioned; or Enabled, or Suspended

	// TLS makes URL https. Plain http is answered on the same port, too, as the service
	// does; policies may refuse it.
	TLS bool

	Now func() time.Time // nil means [time.Now]

	// ListLag hides from lists what was written less than so long ago: lists of COS are
	// documented as eventually consistent.
	ListLag time.Duration

	// Delay is added before each request is looked at, as a network between them would.
	Delay time.Duration

	// Unsure picks a variant for what the documents leave open: the name of a [Question]
	// and one of its variants.
	Unsure map[string]string
}

// Format writes the options without the secret, whatever the verb.
func (o Options) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "{addr %q, region %q, bucket %q, secret id %q, versioning %q, TLS %v, unsure %v}", o.Addr, o.Region, o.Bucket, o.SecretID, o.Versioning, o.TLS, o.Unsure)
}

// A Server is COS, STS and CAM on one loopback port. Close must be called.
type Server struct {
	o      Options
	appid  string
	access *access

	port   *port
	server *http.Server
	url    string
	ca     []byte
	client *http.Client
	dir    string // of the spill
	spill  *spill

	mu      sync.Mutex
	buckets map[string]*bucket

	watch    sync.Mutex // guards what follows
	rule     func(*Request) *Fault
	requests []*Request
	count    int
	expired  map[string]bool // access key ids
	expiring *expiry
	slow     int // so many COS requests are still to be slowed down
}

// Format writes where the server is, whatever the verb: it holds secrets.
func (s *Server) Format(f fmt.State, _ rune) { io.WriteString(f, "costest "+s.url) }

// New starts a server with one bucket.
func New(o *Options) (*Server, error) {
	s := &Server{buckets: make(map[string]*bucket), expired: make(map[string]bool)}
	if o != nil {
		s.o = *o
	}
	for field, value := range map[*string]string{
		&s.o.Addr: "127.0.0.1:0", &s.o.Region: "ap-guangzhou", &s.o.Bucket: "vault-1250000000", &s.o.OwnerUin: "100000000001",
	} {
		if *field == "" {
			*field = value
		}
	}
	if s.o.SecretID == "" && s.o.SecretKey == "" {
		s.o.SecretID, s.o.SecretKey = "AKID"+rand.Text(), rand.Text()
	}
	if s.o.Now == nil {
		s.o.Now = time.Now
	}
	if s.o.SecretID == "" || s.o.SecretKey == "" {
		return nil, fmt.Errorf("costest: a secret id and a secret key go together")
	}
	if err := checkUnsure(s.o.Unsure); err != nil {
		return nil, err
	}
	if err := s.CreateBucket(s.o.Bucket, s.o.Versioning); err != nil {
		return nil, err
	}
	s.appid = appID(s.o.Bucket)
	s.access = newAccess(s)
	if err := s.listen(); err != nil {
		return nil, fmt.Errorf("costest: %w", err)
	}
	return s, nil
}

func (s *Server) listen() error {
	host, _, err := net.SplitHostPort(s.o.Addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is not on loopback", s.o.Addr)
	}
	scheme, pool, config := "http", x509.NewCertPool(), (*tls.Config)(nil)
	if s.o.TLS {
		scheme = "https"
		if s.ca, config, err = certificates(s.o.Region); err != nil {
			return err
		}
		pool.AppendCertsFromPEM(s.ca)
	}
	l, err := net.Listen("tcp", s.o.Addr)
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "costest-"); err != nil {
		l.Close()
		return err
	}
	s.spill = &spill{dir: s.dir}
	addr := l.Addr().String()
	s.url = scheme + "://" + addr
	s.client = &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			},
			TLSClientConfig:     &tls.Config{RootCAs: pool},
			DisableCompression:  true,
			MaxIdleConnsPerHost: 64,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.port = newPort(l, config)
	s.server = &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0)}
	go s.server.Serve(s.port)
	return nil
}

// Close ends the server, cuts its connections and removes its files.
func (s *Server) Close() error {
	err := s.server.Close()
	s.client.CloseIdleConnections()
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.buckets)
	return errors.Join(err, s.spill.close(), os.RemoveAll(s.dir))
}

// URL is where the server listens: http://127.0.0.1:port, or https with [Options.TLS]. A
// request with this as its Host means the one bucket of [Options.Bucket], or STS or CAM if
// it has X-TC-Action and their X-TC-Version.
func (s *Server) URL() string { return s.url }

// BucketURL is a bucket's own URL in the service's form, such as
// https://vault-1250000000.cos.ap-guangzhou.myqcloud.com, for [Server.Client] or through
// the server as a proxy.
func (s *Server) BucketURL(bucket string) string {
	scheme := "http://"
	if s.o.TLS {
		scheme = "https://"
	}
	return scheme + s.bucketHost(bucket)
}

func (s *Server) bucketHost(bucket string) string {
	return bucket + ".cos." + s.o.Region + ".myqcloud.com"
}

// Client returns a client that connects to this server whatever host a URL names, and
// trusts its CA. It follows no redirects.
func (s *Server) Client() *http.Client { return s.client }

// CA is the certificate, in PEM, of who signed the server's; nil without [Options.TLS].
func (s *Server) CA() []byte { return s.ca }

// Bucket is the bucket that a loopback Host means.
func (s *Server) Bucket() string { return s.o.Bucket }

// Region is the region of all buckets.
func (s *Server) Region() string { return s.o.Region }

// SecretID is the id of the owner's key.
func (s *Server) SecretID() string { return s.o.SecretID }

// SecretKey is the secret of the owner's key.
func (s *Server) SecretKey() string { return s.o.SecretKey }

// ServeHTTP answers one request of any of the three services.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		s.tunnel(w)
		return
	}
	if s.o.Delay > 0 && s.pause(r, s.o.Delay) != nil {
		panic(http.ErrAbortHandler)
	}
	x := s.open(w, r)
	switch f := x.fault; f.does.Kind {
	case fault.RespondBefore:
		io.Copy(io.Discard, r.Body) // else the client may see a broken pipe, not the answer
		s.note(x.seen, f.does.Status, false)
		x.answer(w)
	case fault.Lost:
		panic(http.ErrAbortHandler)
	case fault.ApplyThen:
		x.out.silent = true
		x.serve()
		s.note(x.seen, f.does.Status, true)
		x.answer(w)
	case fault.Applied:
		x.out.silent = true
		x.serve()
		s.note(x.seen, 0, true)
		panic(http.ErrAbortHandler)
	case fault.Delay:
		if x.buffer() != nil || s.pause(r, f.does.Delay) != nil {
			panic(http.ErrAbortHandler)
		}
		x.serve()
	case fault.AppliedLater:
		x.keep()
		panic(http.ErrAbortHandler)
	case cutRequest:
		if r.ContentLength == 0 || f.does.Bytes <= 0 {
			panic(http.ErrAbortHandler)
		}
		x.serve()
	default:
		x.serve()
	}
}

// keep reads the request to its end, for the fault to carry it out later. It returns when
// the client is to be cut off.
func (x *exchange) keep() {
	if x.buffer() != nil {
		return // it did not arrive
	}
	gone := x.r.Context()
	x.r = x.r.WithContext(context.WithoutCancel(gone))
	x.out.r, x.out.w, x.out.silent = x.r, nowhere{}, true // the real one ends with the connection
	done := x.fault.does.Later.Keep(func() {
		x.serve()
		x.s.note(x.seen, 0, true)
	})
	if x.fault.does.Hold {
		select {
		case <-done:
		case <-gone.Done():
		case <-x.s.port.done:
		}
	}
}

// buffer reads the request's body to its end: net/http sees only then whether the client has
// gone.
func (x *exchange) buffer() error {
	d, _, err := x.s.read(x.body, math.MaxInt64)
	if err != nil {
		return err
	}
	x.r.Body = io.NopCloser(&dataReader{d.pieces})
	x.body = x.r.Body
	return nil
}

// newID is an opaque id in the service's form.
func newID() string {
	b := make([]byte, 18)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
