// Package costest is a test server for Tencent Cloud's object storage (COS), token service (STS),
// access management (CAM) and key management service (KMS). It listens on a loopback port. It refuses the same requests as the real
// service: it checks every signature, enforces policies, and does not support features of S3 that COS
// does not have.
//
//	s, err := costest.New(nil)
//	defer s.Close()
//	u, _ := url.Parse(s.BucketURL(s.Bucket()))
//	client := cos.NewClient(&cos.BaseURL{BucketURL: u}, &http.Client{Transport: &cos.AuthorizationTransport{
//		SecretID: s.SecretID(), SecretKey: s.SecretKey(), Transport: s.Client().Transport,
//	}})
//
// As in COS, the Host of a request names the bucket. [Server.Client] connects to the server for
// every such host. Other clients can use the server as an HTTP proxy, or send requests to its URL:
// these are requests to the bucket that [Options].Bucket names. Path-style requests are refused.
//
// A [Question] is a behaviour that the documentation does not specify. [Options.Unsure] selects a
// variant. [Server.SetRule] injects a [Fault] into single requests: it can lose a request or a
// response, delay the effect of a request ([Later]), cut the connection after a number of bytes, or
// send an error in the body of a 200. [Server.Requests] returns the received requests.
//
// A bucket with logging (PUT ?logging) gets access logs of 31 fields: see [Server.DeliverLogs].
//
// Objects of more than 256 KiB are stored in a file, which is deleted when the server is closed or the
// process ends. These features are not implemented and are refused: archive classes and restore,
// replication, object lock (retention, legal hold), encryption with customer-provided keys or KMS,
// form upload, append, select, symlinks, image processing (CI), callbacks, CORS and static websites,
// origin rules, referer rules, inventory, intelligent tiering, public access block, custom domains,
// acceleration settings, notification, torrents, and version 2 of the S3 list.
//
// Results on this server do not prove how the cloud behaves. It implements the documentation
// (tencentcloud.com/document/product/436, 598, 1030 and 1150) and the behaviour that was observed.
package costest

import (
	"bytes"
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
	Addr   string // loopback address; the default is a free port of 127.0.0.1
	Region string // the default is ap-guangzhou
	Bucket string // NAME-APPID; the default is vault-1250000000

	// SecretID and SecretKey are the permanent key of the owner, which has all permissions.
	// If both are empty, New creates a random key.
	SecretID, SecretKey string
	OwnerUin            string // the root account; the default is 100000000001

	Versioning string // of Bucket: "" (never enabled), Enabled or Suspended

	// TLS makes URL an https URL. Like the service, the server also accepts plain http on the
	// same port. Policies may refuse it.
	TLS bool

	Now func() time.Time // nil means [time.Now]

	// ListLag hides objects from lists for this time after they were written. Lists of COS are
	// documented as eventually consistent.
	ListLag time.Duration

	// Delay is a delay before each request, which simulates a network.
	Delay time.Duration

	// Unsure selects a variant for each [Question], by the name of the question.
	Unsure map[string]string
}

// Format writes the options without the secret, for every verb.
func (o Options) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "{addr %q, region %q, bucket %q, secret id %q, versioning %q, TLS %v, unsure %v}", o.Addr, o.Region, o.Bucket, o.SecretID, o.Versioning, o.TLS, o.Unsure)
}

// A Server is COS, STS, CAM and KMS on one loopback port. The caller must call Close.
type Server struct {
	o      Options
	appid  string
	access *access
	keys   *keys

	port   *port
	server *http.Server
	url    string
	ca     []byte
	client *http.Client
	dir    string // directory of the spill
	spill  *spill

	mu      sync.Mutex
	buckets map[string]*bucket

	logs accessLogs

	watch    sync.Mutex // guards the fields below
	rule     func(*Request) *Fault
	requests []*Request
	count    int
	expired  map[string]bool // expired access key ids
	expiring *expiry
	slow     int // number of COS requests that still get 503 SlowDown
}

// Format writes only the URL of the server, because the server contains secrets.
func (s *Server) Format(f fmt.State, _ rune) { io.WriteString(f, "costest "+s.url) }

// New starts a server with one bucket.
func New(o *Options) (*Server, error) {
	s := &Server{buckets: make(map[string]*bucket), expired: make(map[string]bool), logs: accessLogs{lines: make(map[string]*bytes.Buffer)}}
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
	s.access, s.keys = newAccess(s), newKeys(s)
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

// Close stops the server, closes its connections and deletes its files.
func (s *Server) Close() error {
	err := s.server.Close()
	s.client.CloseIdleConnections()
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.buckets)
	return errors.Join(err, s.spill.close(), os.RemoveAll(s.dir))
}

// URL returns the URL of the server: http://127.0.0.1:port, or https with [Options.TLS]. A request to
// this host is a request to [Options.Bucket], or to STS, CAM or KMS if it has the headers X-TC-Action and
// X-TC-Version.
func (s *Server) URL() string { return s.url }

// BucketURL returns the URL of a bucket as in COS, such as
// https://vault-1250000000.cos.ap-guangzhou.myqcloud.com. Use it with [Server.Client], or with the
// server as a proxy.
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

// Client returns a client that connects to this server for every host, and trusts its CA. It follows no
// redirects.
func (s *Server) Client() *http.Client { return s.client }

// CA returns the CA certificate of the server in PEM format, or nil without [Options.TLS].
func (s *Server) CA() []byte { return s.ca }

// Bucket returns the name of the bucket of the options.
func (s *Server) Bucket() string { return s.o.Bucket }

// Region returns the region of all buckets.
func (s *Server) Region() string { return s.o.Region }

// SecretID returns the ID of the owner's key.
func (s *Server) SecretID() string { return s.o.SecretID }

// SecretKey returns the secret of the owner's key.
func (s *Server) SecretKey() string { return s.o.SecretKey }

// ServeHTTP handles one request to any of the four services.
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
		io.Copy(io.Discard, r.Body) // otherwise the client may get a broken pipe instead of the response
		s.setResponse(x.seen, f.does.Status, false)
		x.sendFault(w)
	case fault.Lost:
		panic(http.ErrAbortHandler)
	case fault.ApplyThen:
		x.out.silent = true
		x.serve()
		s.setResponse(x.seen, f.does.Status, true)
		x.sendFault(w)
	case fault.Applied:
		x.out.silent = true
		x.serve()
		s.setResponse(x.seen, 0, true)
		panic(http.ErrAbortHandler)
	case fault.Delay:
		if x.buffer() != nil || s.pause(r, f.does.Delay) != nil {
			panic(http.ErrAbortHandler)
		}
		x.serve()
	case fault.AppliedLater:
		x.holdBack()
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

// holdBack reads the request completely and holds it back. It returns when the connection to the
// client can be closed.
func (x *exchange) holdBack() {
	if x.buffer() != nil {
		return // the request did not arrive completely
	}
	clientCtx := x.r.Context()
	x.r = x.r.WithContext(context.WithoutCancel(clientCtx))
	x.out.r, x.out.w, x.out.silent = x.r, nowhere{}, true // the real one is invalid when the connection is closed
	done := x.fault.does.Later.Keep(func() {
		x.serve()
		x.s.setResponse(x.seen, 0, true)
	})
	if x.fault.does.Hold {
		select {
		case <-done:
		case <-clientCtx.Done():
		case <-x.s.port.done:
		}
	}
}

// buffer reads the request's body completely, because net/http detects only then that the client
// has disconnected.
func (x *exchange) buffer() error {
	d, _, err := x.s.read(x.body, math.MaxInt64)
	if err != nil {
		return err
	}
	x.r.Body = io.NopCloser(&dataReader{d.pieces})
	x.body = x.r.Body
	return nil
}

// newID returns an opaque id in the format of the service.
func newID() string {
	b := make([]byte, 18)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}
