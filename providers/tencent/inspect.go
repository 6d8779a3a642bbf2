package tencent

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/internal/transport"
	policy "github.com/objectvault/objectvault/policy/tencent"
	"github.com/objectvault/objectvault/vault"
)

// A Setting is how the bucket is set up in one respect.
type Setting struct {
	Name    string // versioning, lifecycle, public, tls, strict-signature
	Known   bool   // false: the bucket did not tell, and Message says why
	Good    bool
	Message string
	Hint    string
	Err     error // why it is not known, for the hint
}

// Inspect reads how the bucket is set up, as far as the caller may: of all this, policies of
// tenants allow by themselves only to ask whether the bucket is versioned. It is at most
// five requests, and those that are sent again.
func Inspect(ctx context.Context, c Config) ([]Setting, error) {
	s, err := newStore(ctx, c)
	if err != nil {
		return nil, err
	}
	defer s.close()
	base := transport.New(c.Timeout)
	defer base.CloseIdleConnections()
	i := &inspection{store: s, bucketName: c.Bucket, base: base}
	i.policy, i.policyErr = i.bucketPolicy(ctx)
	return []Setting{i.inspectVersioning(ctx), i.inspectLifecycle(ctx), i.inspectPublic(ctx), i.inspectTLS(), i.inspectSignature(ctx)}, nil
}

type inspection struct {
	*store
	bucketName string
	base       http.RoundTripper
	policy     []policy.Document // of the bucket; empty: it has none
	policyErr  error
}

// hidden is a setting that the bucket did not tell.
func hidden(name string, err error) Setting {
	s := Setting{Name: name, Message: name + ": " + said(err), Err: explain(err)}
	if denies(err) {
		s.Message = name + ": this identity may not read it"
		s.Hint = "ask the operator, or allow it: {prog} policy tencent --allow-doctor"
	}
	return s
}

func denies(err error) bool { return failureOf(err).sentinel == vault.ErrPermission }

func (i *inspection) inspectVersioning(ctx context.Context) Setting {
	is, err := i.versioning(ctx)
	if err != nil {
		s := hidden("versioning", err)
		if denies(err) { // every tenant may ask, by what is printed
			s.Hint = "create-only depends on it: allow name/cos:GetBucketVersioning, as {prog} policy tencent does"
		}
		return s
	}
	s := Setting{Name: "versioning", Known: true, Good: true}
	switch is {
	case never:
		s.Message = "versioning was never on: create-only is atomic (create-atomic), and there is no history"
	case enabled:
		s.Message = "versioning is on: there is history, and create-only tells the loser (create-detects), whose value a reader may see for a moment"
	default:
		s.Good = false
		s.Message = "versioning is suspended: create-only is refused, since COS ignores it there, and what is overwritten now is gone"
		s.Hint = "enable it again, or use a bucket that never had it"
	}
	return s
}

func (i *inspection) inspectLifecycle(ctx context.Context) Setting {
	var got *cos.BucketGetLifecycleResult
	err := i.try(ctx, reading, func(ctx context.Context) (err error) {
		got, _, err = i.client.Bucket.GetLifecycle(ctx)
		return err
	})
	s := Setting{Name: "lifecycle", Known: true}
	const bad, fix = "no lifecycle rule removes what killed uploads leave behind", "add one: {prog} policy tencent prints it"
	if code(err) == "NoSuchLifecycleConfiguration" {
		s.Message, s.Hint = bad, fix
		return s
	}
	if err != nil {
		return hidden("lifecycle", err)
	}
	var expires []string
	for _, r := range got.Rules {
		if r.Status != "Enabled" {
			continue
		}
		if r.AbortIncompleteMultipartUpload != nil && coversTenants(r.Filter) {
			s.Good = true
		}
		if r.Expiration != nil && r.Expiration.Days > 0 {
			expires = append(expires, fmt.Sprintf("%d days", r.Expiration.Days))
		}
	}
	s.Message = "a lifecycle rule removes what killed uploads leave behind"
	if !s.Good {
		s.Message, s.Hint = bad, fix
	}
	if len(expires) > 0 {
		s.Message += "; objects expire after " + strings.Join(expires, ", ")
	}
	return s
}

// coversTenants says whether a rule is about all that tenants have. One without a filter
// is about the whole bucket.
func coversTenants(f *cos.BucketLifecycleFilter) bool {
	return f == nil || f.Tag == nil && f.And == nil && strings.HasPrefix("bots/", f.Prefix)
}

// groups are the grantees that are everybody, or everybody with an account (436/7733).
var groups = []string{
	"http://cam.qcloud.com/groups/global/AllUsers", "http://cam.qcloud.com/groups/global/AuthenticatedUsers",
}

// inspectPublic looks for what COS grants to anybody, and so to each tenant, besides what
// its role allows.
func (i *inspection) inspectPublic(ctx context.Context) Setting {
	s := Setting{Name: "public", Known: true}
	var got *cos.BucketGetACLResult
	err := i.try(ctx, reading, func(ctx context.Context) (err error) {
		got, _, err = i.client.Bucket.GetACL(ctx)
		return err
	})
	if err == nil {
		for _, g := range got.AccessControlList {
			if g.Grantee != nil && slices.Contains(groups, g.Grantee.URI) {
				s.Message = fmt.Sprintf("public: the ACL of the bucket grants %s to everybody, and so to each tenant", g.Permission)
				s.Hint = "set the ACL of the bucket to private"
				return s
			}
		}
	}
	if f := i.hole(policy.PublicAllow); f != nil {
		s.Message, s.Hint = "public: the bucket policy has "+f.Message, f.Fix
		return s
	}
	for _, err := range []error{err, i.policyErr} {
		if err != nil {
			return hidden("public", err)
		}
	}
	s.Good, s.Message = true, "public: neither the ACL of the bucket nor its policy grants anybody anything"
	return s
}

// hole is the first one of that kind in the bucket policy, or nil.
func (i *inspection) hole(id string) *policy.Finding {
	for _, f := range policy.Check(i.policy, policy.CheckOptions{Bucket: i.bucketName}) {
		if f.Weakness == id {
			return &f
		}
	}
	return nil
}

// inspectTLS tells what can be seen from here. What refuses plain http is the policy of the
// role, which CAM shows to the operator; to try it would show the credentials to the network.
func (i *inspection) inspectTLS() Setting {
	s := Setting{Name: "tls", Known: true}
	if i.client.BaseURL.BucketURL.Scheme == "http" {
		s.Message, s.Hint = "the endpoint is plain http", "use its https address, and have http denied, as {prog} policy tencent does"
		return s
	}
	if f := i.hole(policy.HTTPAllowed); f != nil {
		s.Message, s.Hint = "the bucket policy allows "+f.Message, f.Fix
		return s
	}
	return Setting{
		Name: "tls", Message: "tls: requests go over https; whether the role's policy denies plain http shows only in CAM",
		Hint: "ask the operator: tccli cam GetPolicy … | {prog} policy check -",
	}
}

// inspectSignature looks whether COS refuses requests whose signature leaves out the host or
// a parameter (436/53889), and so could be turned to another bucket or given another meaning.
func (i *inspection) inspectSignature(ctx context.Context) Setting {
	s := Setting{Name: "strict-signature", Known: true}
	text, err := i.document(ctx, "strict-signature")
	const fix = "put the strict_signature that {prog} policy tencent prints"
	if status(err) == http.StatusNotFound && code(err) != "NoSuchBucket" {
		s.Message, s.Hint = "strict signature is off: a signed request may be given what its signature leaves out", fix
		return s
	}
	if err != nil {
		h := hidden("strict-signature", err)
		if denies(err) { // what is printed does not allow it to tenants
			h.Hint = "ask the operator whether it is on"
		}
		return h
	}
	var doc struct {
		Rules []struct {
			Actions []string `xml:"actionlist>action"`
			Headers []string `xml:"headerlist>header"`
			Params  []string `xml:"paramlist>param"`
		} `xml:"Rule"`
	}
	if err := xml.Unmarshal(text, &doc); err != nil {
		return Setting{Name: s.Name, Message: "strict-signature: the answer is not COS's"}
	}
	for _, r := range doc.Rules {
		host := slices.ContainsFunc(r.Headers, func(h string) bool { return strings.EqualFold(h, "Host") })
		s.Good = s.Good || host && slices.Contains(r.Actions, "*") && slices.Contains(r.Params, "all")
	}
	s.Message = "strict signature is on: host and every parameter have to be signed"
	if !s.Good {
		s.Message, s.Hint = "strict signature does not ask for the host and every parameter of every request", fix
	}
	return s
}

// bucketPolicy reads the policy of the bucket. None is no error.
func (i *inspection) bucketPolicy(ctx context.Context) ([]policy.Document, error) {
	text, err := i.document(ctx, "policy")
	switch {
	case status(err) == http.StatusNotFound && code(err) != "NoSuchBucket", err == nil && len(text) == 0:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return policy.Parse("bucket policy", text)
}

// document reads a document of the bucket that the SDK does not read, or not as it is.
func (i *inspection) document(ctx context.Context, name string) (text []byte, err error) {
	err = i.try(ctx, reading, func(ctx context.Context) error {
		text, err = i.ask(ctx, name)
		return err
	})
	return text, err
}

func (i *inspection) ask(ctx context.Context, name string) ([]byte, error) {
	u := *i.client.BaseURL.BucketURL
	u.Path, u.RawQuery = "/", name
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if _, err := i.credentials.Get(ctx); err != nil {
		return nil, err
	}
	keys := i.client.GetCredential()
	if keys == nil {
		return nil, errNoCredentials
	}
	signed := r.Clone(ctx)
	cos.AddAuthorizationHeader(keys.SecretID, keys.SecretKey, keys.SessionToken, signed, cos.NewAuthTime(15*time.Minute))
	client := &http.Client{Transport: i.base, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(signed)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	resp.Request = r // without the signature and the token
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode/100 != 2:
		e := &cos.ErrorResponse{Response: resp}
		_ = xml.Unmarshal([]byte(redacted(string(text), keys.SessionToken)), e) // without a body there is the status
		return nil, e
	}
	return text, nil
}
