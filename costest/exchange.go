package costest

import (
	"crypto/hmac"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// An exchange is one request and its response.
type exchange struct {
	s    *Server
	r    *http.Request
	out  *reply
	body io.Reader
	seen *Request

	at          place
	accelerated bool
	region      string // the region of a host without a bucket
	bucket      string // the bucket in the host, or "" if it cannot exist
	key         string
	query       query
	op          *operation
	fault       *Fault
	bad         error  // an error in the request line
	message     string // of the error, for the access log

	caller    caller
	signature *signature
}

// open parses the request line and the headers, records the request, and chooses its fault.
func (s *Server) open(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{s: s, r: r}
	x.at, x.bucket, x.accelerated = s.locate(r.Host)
	if x.at == atLoopback {
		x.at = api(r)
	}
	if x.at == atPathStyle {
		x.region, x.bucket = x.bucket, ""
		if r.Method == http.MethodGet && r.URL.Path == "/" { // GET Service for one region (436/8291)
			x.at = atService
		}
	}
	raw := rawPath(r)
	path, err := decodePath(raw)
	if err == nil {
		x.key = strings.TrimPrefix(path, "/")
		x.query, err = parseQuery(r.URL.RawQuery)
	}
	x.bad = err
	x.seen = &Request{
		Method: r.Method, Host: r.Host, Path: raw, Query: x.query.shown(),
		Service: "cos", TLS: r.TLS != nil, Header: r.Header.Clone(),
	}
	x.seen.Header.Del("Authorization")
	x.seen.Header.Del("X-Cos-Security-Token")
	x.seen.Header.Del("X-Tc-Token")
	switch x.at {
	case atSTS, atCAM, atKMS:
		x.seen.Service, x.seen.Action = map[place]string{atSTS: "sts", atCAM: "cam", atKMS: "kms"}[x.at], r.Header.Get("X-TC-Action")
		_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		x.seen.AccessKeyID, _, _ = strings.Cut(rest, "/")
	default:
		x.seen.Bucket, x.seen.Key = x.bucket, x.key
		if x.op, err = route(r, x.at, x.key, x.query); err != nil && x.bad == nil {
			x.bad = err
		}
		if x.op != nil {
			x.seen.Action = x.op.name
		}
		if x.signature, err = parseSignature(r.Header, x.query); err != nil && x.bad == nil {
			x.bad = err
		}
		if x.signature != nil {
			x.seen.AccessKeyID = x.signature.id
		}
	}
	x.fault = s.record(x.seen)
	x.out = &reply{s: s, w: w, r: r, seen: x.seen, fault: x.fault, left: -1}
	x.body = r.Body
	if x.fault.does.Kind == cutRequest {
		x.body = &cutReader{r: r.Body, left: x.fault.does.Bytes}
	}
	x.body = &bodyReader{r: x.body}
	return x
}

// serve handles the request. The fault may change the response.
func (x *exchange) serve() {
	switch x.at {
	case atSTS:
		x.s.serveSTS(x.out, x.r)
	case atCAM:
		x.s.serveCAM(x.out, x.r)
	case atKMS:
		x.s.serveKMS(x.out, x.r)
	default:
		x.out.log = x.logAccess
		h := x.out.Header()
		h.Set("Server", "tencent-cos")
		h.Set("Date", x.s.o.Now().UTC().Format(http.TimeFormat))
		h.Set("X-Cos-Request-Id", newID())
		if err := x.serveCOS(); err != nil {
			x.sendError(err)
		}
	}
	x.out.finish()
}

// serveCOS makes the checks in the order of the service, and then runs the operation.
func (x *exchange) serveCOS() error {
	switch {
	case x.at == atElsewhere || x.at == atLoopback && strings.HasPrefix(x.key, "/") && x.bad != nil:
		return failure(http.StatusBadRequest, "InvalidURI", "%s is not a host of this server.", x.r.Host)
	case x.at == atPathStyle, x.at == atLoopback && x.namesBucket():
		return failure(http.StatusForbidden, "PathStyleDomainForbidden", "The bucket you are attempting to access must be addressed using COS virtual-styled domain.")
	case x.bad != nil:
		return x.bad
	}
	if err := x.authenticate(); err != nil {
		return err
	}
	if x.accelerated && x.key == "" {
		return failure(http.StatusBadRequest, "ActionAccelerateNotSupported", "The action does not support the accelerate domain.")
	}
	if !x.op.anyBucket {
		if err := x.bucketThere(); err != nil {
			return err
		}
		if err := x.checkStrict(); err != nil {
			return err
		}
	}
	if x.op.needsKey {
		if err := x.s.checkKey(x.key); err != nil {
			return err
		}
	}
	if !x.op.judgesItself {
		for _, action := range x.op.actions {
			if err := x.allow(action, x.key); err != nil {
				return err
			}
		}
	}
	if x.op.name == "GetBucket" || x.op.name == "GetBucketObjectVersions" {
		x.s.deliverTo(x.bucket)
	}
	return x.op.serve(x)
}

// namesBucket reports whether the path of a request to a loopback host starts with the name of the
// bucket, as in path style.
func (x *exchange) namesBucket() bool {
	first, _, _ := strings.Cut(x.key, "/")
	return first == x.s.o.Bucket
}

// authenticate determines the signer of the request.
func (x *exchange) authenticate() error {
	g := x.signature
	if g == nil {
		x.caller = caller{anonymous: true}
		for _, p := range x.query {
			if strings.HasPrefix(p.name, "response-") {
				return errAccessDenied // these requests require a signature
			}
		}
		return nil
	}
	now := x.s.o.Now()
	c, ok := x.s.credential(g.id, now)
	if !ok {
		return failure(http.StatusForbidden, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records")
	}
	token := x.r.Header.Get("X-Cos-Security-Token")
	if t, ok := x.query.lookup("x-cos-security-token"); ok && token == "" {
		token = t
	}
	expired := !c.expires.IsZero() && !now.Before(c.expires)
	if expired || x.s.keyExpired(g.id) || !hmac.Equal([]byte(token), []byte(c.token)) {
		return x.s.errToken()
	}
	if err := g.checkTime(now, x.s.unsure("expired-signature")); err != nil {
		return err
	}
	path, err := decodePath(rawPath(x.r))
	if err != nil {
		return err
	}
	tolerant := x.s.unsure("sign-time") == "accept"
	if err := g.check(c.secret, x.r.Method, path, signedHeader(x.r), x.query, tolerant); err != nil {
		return err
	}
	if err := checkASCII(x.r.Header); err != nil {
		return err
	}
	x.caller = c.caller
	return nil
}

// errToken returns the error for a wrong, missing or expired token.
func (s *Server) errToken() error {
	switch code := s.unsure("expired-token"); code {
	case "InvalidAccessKeyId":
		return failure(http.StatusForbidden, code, "The Access Key Id you provided does not exist in our records")
	case "AccessDenied":
		return errAccessDenied
	default:
		return failure(http.StatusBadRequest, code, "The provided token has expired.")
	}
}

// allow checks whether the caller may perform an action on a key of the exchange's bucket.
func (x *exchange) allow(action, key string) error {
	return x.allowIn(x.bucket, action, key, x.query.get("versionId"))
}

func (x *exchange) allowIn(bucket, action, key, version string) error {
	r := accessRequest{
		action: "name/cos:" + action, bucket: bucket,
		resource:   fmt.Sprintf("qcs::cos:%s:uid/%s:%s/%s", x.s.o.Region, appID(bucket), bucket, key),
		conditions: x.conditions(action, version),
	}
	if x.op.anyBucket && bucket == "" {
		r.resource = "*"
	}
	x.s.mu.Lock()
	if b := x.s.buckets[bucket]; b != nil {
		r.bucketPolicy = string(b.config["policy"])
		r.acl = b.admits(x.caller, action, key, version)
		r.publicACL = b.admits(caller{anonymous: true}, action, key, version)
	}
	x.s.mu.Unlock()
	return x.s.authorize(x.caller, r)
}

// The actions that have the version condition key, and those that have the prefix condition key
// (436/46206).
var (
	versioned = []string{"GetObject", "HeadObject", "DeleteObject", "GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging"}
	prefixed  = []string{"GetBucket", "GetBucketObjectVersions", "ListMultipartUploads"}
)

// conditions returns the condition keys of the request, or of the part of it that requires action
// (436/46206).
func (x *exchange) conditions(action, version string) map[string]string {
	c := map[string]string{
		"cos:secure-transport": fmt.Sprint(x.r.TLS != nil),
		"cos:host":             x.r.Host,
	}
	if slices.Contains(versioned, action) {
		c["cos:versionid"] = version
	}
	if ip, _, err := net.SplitHostPort(x.r.RemoteAddr); err == nil {
		c["qcs:ip"] = ip
	}
	if t := x.r.TLS; t != nil {
		c["cos:tls-version"] = fmt.Sprintf("1.%d", t.Version-0x0301)
	}
	if p, ok := x.query.lookup("prefix"); ok && slices.Contains(prefixed, action) {
		c["cos:prefix"] = encode(p, "")
	}
	if v, ok := x.query.lookup("response-content-type"); ok {
		c["cos:response-content-type"] = encode(v, "")
	}
	for name, values := range x.r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-cos-") && name != "x-cos-security-token" || name == "content-type" || name == "content-length" {
			c["cos:"+name] = values[0]
		}
	}
	return c
}
