package costest

import (
	"fmt"
	"net/http"
	"net/url"
)

// A Request describes one request that the server received.
type Request struct {
	N           int // number of the request, counted from 1; Reset restarts the count
	Method      string
	Host        string
	Path        string // escaped, as in the request
	Query       string // sorted by name, without signature and token
	Service     string // cos, sts, cam or kms
	Action      string // such as PutObject or AssumeRoleWithWebIdentity; "" if the call is unknown
	Bucket, Key string // "" if there is none
	AccessKeyID string // "" if the request is not signed
	TLS         bool
	Header      http.Header // without Authorization and token

	Status  int    // status of the response; 0 if the connection was closed before
	Code    string // error code of the object API, or ""
	Applied bool   // the server applied or refused the request; false if a Fault prevented it from deciding
}

// String returns a text such as "PUT /key?acl= 200".
func (r Request) String() string {
	query := ""
	if r.Query != "" {
		query = "?" + r.Query
	}
	return fmt.Sprintf("%s %s%s %d", r.Method, r.Path, query, r.Status)
}

// keptRequests limits the recorded requests. When it is reached, the older half is discarded.
const keptRequests = 1 << 16

// Requests returns the requests since the start or the last Reset, in the order of their arrival. If there
// are very many, it returns at least the last 32768.
func (s *Server) Requests() []Request {
	s.watch.Lock()
	defer s.watch.Unlock()
	all := make([]Request, len(s.requests))
	for i, r := range s.requests {
		all[i] = *r
	}
	return all
}

// Reset discards the recorded requests. Rules and expired keys stay.
func (s *Server) Reset() {
	s.watch.Lock()
	defer s.watch.Unlock()
	s.requests, s.count = nil, 0
}

// SetRule sets a function that is called for each request before the request is checked. It is called
// concurrently and must not change the Request. If the function is nil or returns nil, the request is
// handled normally.
func (s *Server) SetRule(rule func(*Request) *Fault) {
	s.watch.Lock()
	defer s.watch.Unlock()
	s.rule = rule
}

// ExpireKeyAfter makes the access key of the next COS request expire after n more COS requests. It does
// not affect other keys, such as the next key that the client gets. Call it again for them.
func (s *Server) ExpireKeyAfter(n int) {
	s.watch.Lock()
	defer s.watch.Unlock()
	s.expiring = &expiry{left: n}
}

// An expiry is an access key that will expire.
type expiry struct {
	id   string // "" until the first request
	left int
}

// ExpireKey makes an access key expire immediately, even a permanent key.
func (s *Server) ExpireKey(id string) {
	s.watch.Lock()
	defer s.watch.Unlock()
	s.expired[id] = true
}

// keyExpired reports whether a test made a key expire.
func (s *Server) keyExpired(id string) bool {
	s.watch.Lock()
	defer s.watch.Unlock()
	return s.expired[id]
}

// SlowDown makes the next k COS requests fail with 503 SlowDown.
func (s *Server) SlowDown(k int) {
	s.watch.Lock()
	defer s.watch.Unlock()
	s.slow = k
}

// record records a request and returns its fault.
func (s *Server) record(seen *Request) *Fault {
	s.watch.Lock()
	if len(s.requests) == keptRequests {
		s.requests = append([]*Request(nil), s.requests[keptRequests/2:]...)
	}
	s.requests = append(s.requests, seen)
	s.count++
	seen.N = s.count
	rule, f := s.rule, s.priorityFault(seen)
	view := *seen
	s.watch.Unlock()
	if f == nil && rule != nil {
		f = rule(&view)
	}
	if f == nil {
		f = new(Fault)
	}
	return f
}

// priorityFault returns the fault of a COS request that has priority over the rule. The caller must
// hold s.watch.
func (s *Server) priorityFault(r *Request) *Fault {
	if r.Service != "cos" {
		return nil
	}
	if e := s.expiring; e != nil && r.AccessKeyID != "" && (e.id == "" || e.id == r.AccessKeyID) {
		e.id = r.AccessKeyID
		if e.left == 0 {
			s.expired[e.id], s.expiring = true, nil
		}
		e.left--
	}
	if s.slow > 0 {
		s.slow--
		return RespondBefore(http.StatusServiceUnavailable, ErrorXML("SlowDown", "Please reduce your request rate."))
	}
	return nil
}

// setResponse records the response before the client can receive it, so a test that has the
// response finds it in Requests.
func (s *Server) setResponse(seen *Request, status int, applied bool) {
	s.watch.Lock()
	defer s.watch.Unlock()
	seen.Status, seen.Applied = status, applied
}

func (s *Server) noteCode(seen *Request, code string) {
	s.watch.Lock()
	defer s.watch.Unlock()
	seen.Code = code
}

// shown returns a query as Requests returns it.
func (q query) shown() string {
	v := make(url.Values)
	for _, p := range q {
		switch p.name {
		case "sign", "q-signature", "x-cos-security-token":
		default:
			v.Add(p.name, p.value)
		}
	}
	return v.Encode()
}
