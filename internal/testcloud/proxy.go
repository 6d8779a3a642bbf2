package testcloud

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/objectvault/objectvault/internal/fault"
)

// A Proxy stands between a client and a server, counts the requests, and does to some
// of them what a [Fault] says. Clients use its URL as their endpoint. It keeps the Host
// that they sent, so that their signatures stay valid. Close must be called.
type Proxy struct {
	URL string // http://127.0.0.1:port

	upstream  *url.URL
	transport http.RoundTripper
	server    *http.Server

	mu       sync.Mutex
	rule     func(r *http.Request, n int) *Fault
	requests []*Request
	expired  map[string]bool // access key ids
	expiring *expiry
	slow     int // so many S3 requests are still to be slowed down
}

// An expiry is an access key that will expire.
type expiry struct {
	id   string // "" until the first request
	left int
}

// ProxyOptions configures [NewProxy]. Nil, or the zero value, passes everything on.
type ProxyOptions struct {
	// Rule is asked about each request; n counts them from 1, anew after
	// [Proxy.Reset]. A nil fault passes the request on. It is called concurrently.
	Rule func(r *http.Request, n int) *Fault

	// CA has the certificate of an upstream with an https URL. The signatures of clients stay
	// valid: they do not cover the scheme.
	CA *x509.CertPool
}

// A Request is what the proxy saw of one request.
type Request struct {
	Method      string
	Path        string // escaped, as it was sent
	Query       string // with its names sorted
	AccessKeyID string // "" if it was not signed
	Service     string // of the signature: s3, iam, …
	Attempt     string // amz-sdk-request, such as "attempt=1; max=3"
	Header      http.Header

	// Status is what the client was told, or 0 if the connection was cut before.
	Status int
	// Applied says that the server carried it out, or refused it itself.
	Applied bool
}

// String is such as "PUT /bucket/key?x-id=PutObject 200".
func (r Request) String() string {
	query := ""
	if r.Query != "" {
		query = "?" + r.Query
	}
	return fmt.Sprintf("%s %s%s %d", r.Method, r.Path, query, r.Status)
}

// NewProxy starts a proxy before the server at upstream, an http or https URL. Like
// [net/http/httptest.NewServer] it panics if there is no loopback.
func NewProxy(upstream string, o *ProxyOptions) *Proxy {
	u, err := url.Parse(upstream)
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	if o == nil {
		o = new(ProxyOptions)
	}
	p := &Proxy{
		upstream: u,
		// A connection for each request: a server that closes an idle one must not look
		// like a fault. And no header of our own, for the server signs for them.
		transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true, ExpectContinueTimeout: time.Second,
			TLSClientConfig: &tls.Config{RootCAs: o.CA, MinVersion: tls.VersionTLS12},
		},
		rule:    o.Rule,
		expired: make(map[string]bool),
	}
	p.server, p.URL = serve(p)
	return p
}

// Close ends the proxy and cuts its connections.
func (p *Proxy) Close() error { return p.server.Close() }

// SetRule replaces the rule; nil passes everything on.
func (p *Proxy) SetRule(rule func(r *http.Request, n int) *Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = rule
}

// Requests returns what was seen since the start or the last Reset, in the order in which it came.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Request, len(p.requests))
	for i, r := range p.requests {
		all[i] = *r
	}
	return all
}

// Reset forgets the requests seen so far. Rules and expired keys stay.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = nil
}

// ExpireKeyAfter lets n more S3 requests pass of one access key: the one of the next
// S3 request. From then on each request with that key is answered ExpiredToken, as AWS
// does it. Other keys, such as the next that the client gets, are not touched, nor is
// STS; call it again for them.
func (p *Proxy) ExpireKeyAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expiring = &expiry{left: n}
}

// ExpireKey has an access key expire now.
func (p *Proxy) ExpireKey(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expired[id] = true
}

// SlowDown answers the next k S3 requests with 503 SlowDown.
func (p *Proxy) SlowDown(k int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slow = k
}

// ServeHTTP passes one request on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen, f := p.judge(r)
	switch f.does.Kind {
	case fault.RespondBefore:
		io.Copy(io.Discard, r.Body) // else the client may see a broken pipe, not the answer
		p.note(seen, f.does.Status, false)
		answer(w, f)
		return
	case fault.Lost:
		panic(http.ErrAbortHandler)
	case fault.Delay:
		timer := time.NewTimer(f.does.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if f.does.Kind == fault.AppliedLater {
		p.keep(seen, r, f)
		panic(http.ErrAbortHandler)
	}
	resp, err := p.transport.RoundTrip(p.outgoing(r, f))
	if err != nil {
		panic(http.ErrAbortHandler) // as the client would have seen it
	}
	defer resp.Body.Close()
	if f.does.Kind == fault.ApplyThen || f.does.Kind == fault.Applied {
		io.Copy(io.Discard, resp.Body)
	}
	switch f.does.Kind {
	case fault.ApplyThen:
		p.note(seen, f.does.Status, true)
		answer(w, f)
		return
	case fault.Applied:
		p.note(seen, 0, true)
		panic(http.ErrAbortHandler)
	}
	p.note(seen, resp.StatusCode, true)
	p.relay(w, resp, f)
}

// keep reads a request to its end, for the fault to pass it on later. It returns when the
// client is to be cut off.
func (p *Proxy) keep(seen *Request, r *http.Request, f *Fault) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it did not arrive
	}
	later := r.Clone(context.WithoutCancel(r.Context()))
	later.Body = io.NopCloser(bytes.NewReader(body))
	done := f.does.Later.Keep(func() {
		resp, err := p.transport.RoundTrip(p.outgoing(later, f))
		if err != nil {
			return
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		p.note(seen, 0, true)
	})
	if f.does.Hold {
		select {
		case <-done:
		case <-r.Context().Done():
		}
	}
}

// judge notes a request and says what is to be done to it.
func (p *Proxy) judge(r *http.Request) (*Request, *Fault) {
	seen := &Request{
		Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.Query().Encode(),
		Attempt: r.Header.Get("Amz-Sdk-Request"), Header: r.Header.Clone(),
	}
	seen.AccessKeyID, seen.Service = signer(r)
	seen.Header.Del("Authorization")
	seen.Header.Del("X-Amz-Security-Token")
	p.mu.Lock()
	p.requests = append(p.requests, seen)
	n, rule := len(p.requests), p.rule
	f := p.due(seen)
	p.mu.Unlock()
	if f == nil && rule != nil {
		f = rule(r, n)
	}
	if f == nil {
		f = new(Fault)
	}
	return seen, f
}

// due is the fault that an S3 request meets before any rule. p.mu is held.
func (p *Proxy) due(r *Request) *Fault {
	if r.Service != "s3" {
		return nil
	}
	if e := p.expiring; e != nil && (e.id == "" || e.id == r.AccessKeyID) {
		e.id = r.AccessKeyID
		if e.left == 0 {
			p.expired[e.id], p.expiring = true, nil
		}
		e.left--
	}
	switch {
	case p.expired[r.AccessKeyID]:
		return RespondBefore(http.StatusBadRequest, ErrorXML("ExpiredToken", "The provided token has expired."))
	case p.slow > 0:
		p.slow--
		return RespondBefore(http.StatusServiceUnavailable, ErrorXML("SlowDown", "Please reduce your request rate."))
	}
	return nil
}

// note is called before the client can know the answer, so that a test which has it
// finds it in Requests.
func (p *Proxy) note(r *Request, status int, applied bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Status, r.Applied = status, applied
}

// outgoing is the request as it goes to the server.
func (p *Proxy) outgoing(r *http.Request, f *Fault) *http.Request {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = p.upstream.Scheme, p.upstream.Host
	dropHopByHop(out.Header)
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header.Set("User-Agent", "") // none of Go's own
	}
	if f.does.Kind == fault.IgnoreRange {
		out.Header.Del("Range")
		if f.keys != (Keys{}) {
			resign(out, f.keys)
		}
	}
	return out
}

// relay passes an answer on, or as much of it as f leaves.
func (p *Proxy) relay(w http.ResponseWriter, resp *http.Response, f *Fault) {
	dropHopByHop(resp.Header)
	for name, values := range resp.Header {
		w.Header()[name] = slices.Clone(values)
	}
	body := io.Reader(resp.Body)
	switch f.does.Kind {
	case fault.CutBody:
		body = io.LimitReader(body, f.does.Bytes)
	case fault.Truncated:
		body = io.LimitReader(body, f.does.Bytes)
		if resp.ContentLength > f.does.Bytes {
			w.Header().Set("Content-Length", strconv.FormatInt(f.does.Bytes, 10))
		}
	}
	w.WriteHeader(resp.StatusCode)
	_, err := io.Copy(w, body)
	if f.does.Kind == fault.CutBody {
		http.NewResponseController(w).Flush()
	}
	if err != nil || f.does.Kind == fault.CutBody {
		panic(http.ErrAbortHandler)
	}
}

func answer(w http.ResponseWriter, f *Fault) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(f.does.Status)
	io.WriteString(w, f.does.Body)
}

// dropHopByHop removes what is between two neighbours alone (RFC 9110, 7.6.1).
func dropHopByHop(h http.Header) {
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		h.Del(name)
	}
}

// signer returns the access key id and the service of a signature of version 4, which
// is in a header or, in a presigned URL, in the query.
func signer(r *http.Request) (id, service string) {
	_, scope, ok := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if !ok {
		scope = r.URL.Query().Get("X-Amz-Credential")
	}
	scope, _, _ = strings.Cut(scope, ",")
	parts := strings.Split(scope, "/") // id/date/region/service/aws4_request
	if len(parts) != 5 {
		return "", ""
	}
	return parts[0], parts[3]
}

// resign signs r anew, as it is now.
func resign(r *http.Request, k Keys) {
	for _, name := range []string{"Authorization", "X-Amz-Security-Token", "X-Amz-Date"} {
		r.Header.Del(name)
	}
	hash := r.Header.Get("X-Amz-Content-Sha256")
	if hash == "" {
		hash = "UNSIGNED-PAYLOAD"
		r.Header.Set("X-Amz-Content-Sha256", hash)
	}
	s := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.SecretKey}
	if err := s.SignHTTP(context.Background(), creds, r, hash, "s3", Region, time.Now()); err != nil {
		panic("testcloud: " + err.Error())
	}
}

// quiet is for servers whose aborted connections are no news.
var quiet = log.New(io.Discard, "", 0)
