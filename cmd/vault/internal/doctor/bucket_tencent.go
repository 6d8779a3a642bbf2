package doctor

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/cmd/vault/internal/lifecycle"
	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/tencent"
	"github.com/objectvault/objectvault/vault"
)

// A tencentBucket is a bucket of Tencent COS.
type tencentBucket struct {
	name     string
	settings map[string]vault.Setting
	hint     func(error, string) string
}

func (b tencentBucket) lines() []Line {
	docs, findings, err := b.policy()
	return []Line{b.versioning(), b.lifecycle(), b.public(docs, findings, err), b.tls(findings), b.signature()}
}

func (b tencentBucket) unknown(check string, err error) Line {
	return unknown(check, err, b.hint, "ask the operator of the bucket, or grant the permission: {prog} policy tencent --allow-doctor prints it")
}

// policy reads and checks the policy of the bucket. A bucket without a policy has no findings.
func (b tencentBucket) policy() ([]tencent.Document, []policy.Finding, error) {
	s := b.settings["policy"]
	if s.Err != nil || s.Document == "" {
		return nil, nil, s.Err
	}
	docs, err := tencent.Parse("bucket policy", []byte(s.Document))
	if err != nil {
		return nil, nil, err
	}
	return docs, tencent.Check(docs, tencent.CheckOptions{Bucket: b.name}), nil
}

// weakness returns the first finding with the id, or nil.
func weakness(findings []policy.Finding, id string) *policy.Finding {
	i := slices.IndexFunc(findings, func(f policy.Finding) bool { return f.Weakness == id })
	if i < 0 {
		return nil
	}
	return &findings[i]
}

func (b tencentBucket) versioning() Line {
	s := b.settings["versioning"]
	if s.Err != nil {
		l := b.unknown("versioning", s.Err)
		if errors.Is(s.Err, vault.ErrPermission) { // the generated policies grant it to every tenant
			l.Hint = "allow name/cos:GetBucketVersioning, as in the policies that {prog} policy tencent prints: put --create requires it"
		}
		return l
	}
	var doc struct{ Status string }
	if s.Document != "" && xml.Unmarshal([]byte(s.Document), &doc) != nil {
		return malformed("versioning", "COS")
	}
	switch doc.Status {
	case "":
		return Line{Check: "versioning", Status: OK, Message: "versioning was never enabled, so there is no history; put --create detects most conflicts but not all, so do not use it as a lock"}
	case "Enabled":
		return Line{Check: "versioning", Status: OK, Message: "versioning is enabled, so there is a history; put --create detects a conflict only after the write, so a reader may briefly see the value of the writer that fails"}
	}
	return Line{
		"versioning", Warning, "versioning is suspended: an overwritten value is lost, and vault refuses put --create, because COS ignores create-only in this state",
		"enable versioning again, or use a bucket that was never versioned",
	}
}

func (b tencentBucket) lifecycle() Line {
	s := b.settings["lifecycle"]
	if s.Err != nil {
		return b.unknown("lifecycle", s.Err)
	}
	rules, err := lifecycle.Parse("cos", s.Document)
	if err != nil {
		return malformed("lifecycle", "COS")
	}
	return checkLifecycle(rules, "add the rule that {prog} policy tencent prints")
}

// groups are the grantees that mean anyone, and anyone with an account (436/7733).
var groups = []string{
	"http://cam.qcloud.com/groups/global/AllUsers", "http://cam.qcloud.com/groups/global/AuthenticatedUsers",
}

// public checks whether the ACL or the policy of the bucket grants access to anyone, which includes
// each tenant, or to another account.
func (b tencentBucket) public(docs []tencent.Document, findings []policy.Finding, policyErr error) Line {
	acl := b.settings["acl"]
	var doc struct {
		Owner  struct{ ID string }
		Grants []struct {
			Grantee    struct{ URI, ID string }
			Permission string
		} `xml:"AccessControlList>Grant"`
	}
	if acl.Err == nil && (xml.Unmarshal([]byte(acl.Document), &doc) != nil || doc.Owner.ID == "" && len(doc.Grants) > 0) {
		return malformed("public", "COS")
	}
	warn := func(hint, format string, args ...any) Line {
		return Line{"public", Warning, "public: " + fmt.Sprintf(format, args...), hint}
	}
	owner := accountOf(doc.Owner.ID)
	for _, g := range doc.Grants {
		if slices.Contains(groups, g.Grantee.URI) {
			return warn("set the ACL of the bucket to private", "the ACL of the bucket grants %s to everyone, including each tenant", g.Permission)
		}
	}
	if f := weakness(findings, tencent.PublicAllow); f != nil {
		return warn(f.Fix, "the bucket policy has a weakness: %s", f.Message)
	}
	for _, g := range doc.Grants {
		if account := accountOf(g.Grantee.ID); account != owner || g.Grantee.URI != "" {
			return warn("set the ACL of the bucket to private, unless that account should have access",
				"the ACL of the bucket grants %s to %s, which is not the account of the bucket's owner", g.Permission, cmp.Or(g.Grantee.ID, g.Grantee.URI, "a grantee without a name"))
		}
	}
	for _, id := range []string{tencent.RolePrincipal, tencent.NotElement} {
		if f := weakness(findings, id); f != nil {
			return warn(f.Fix, "the bucket policy has a weakness: %s", f.Message)
		}
	}
	for _, s := range allows(docs, "allow") {
		for kind, list := range s.Principal {
			for _, name := range list {
				if tencent.Reaches(s, b.name) && owner != "" && (kind != "qcs" || accountOf(name) != owner) {
					return warn("remove the statement, unless that account should have access",
						"the bucket policy grants %s to %s, which is not the account of the bucket's owner", strings.Join(append(s.Action, s.NotAction...), ", "), name)
				}
			}
		}
	}
	for _, err := range []error{acl.Err, policyErr} {
		if err != nil {
			return b.unknown("public", err)
		}
	}
	if len(allows(docs, "allow")) > 0 {
		return Line{Check: "public", Status: OK, Message: "public: neither the bucket's ACL nor its policy grants access to everyone or to another account"}
	}
	return Line{Check: "public", Status: OK, Message: "public: neither the bucket's ACL nor its policy grants access to everyone"}
}

// accountOf returns the uin of the account in a principal such as qcs::cam::uin/1:uin/2. It returns
// a principal with another form unchanged.
func accountOf(principal string) string {
	rest, ok := strings.CutPrefix(principal, "qcs::cam::uin/")
	if !ok {
		return principal
	}
	account, _, _ := strings.Cut(rest, ":")
	return account
}

// allows returns the statements with the given effect.
func allows[L policy.Language](docs []policy.Document[L], effect string) (all []policy.Statement) {
	for _, d := range docs {
		for _, s := range d.Policy.Statement {
			if s.Effect == effect {
				all = append(all, s)
			}
		}
	}
	return all
}

// tls checks the endpoint and the bucket policy. It cannot check the policy of the role, which
// should deny plain http: CAM shows it only to the operator, and a request over plain http would
// expose the credentials to the network.
func (b tencentBucket) tls(findings []policy.Finding) Line {
	if strings.HasPrefix(b.settings["endpoint"].Document, "http:") {
		return Line{"tls", Warning, "the endpoint is plain http", "use its https address, and deny http as in the policies that {prog} policy tencent prints"}
	}
	if f := weakness(findings, tencent.HTTPAllowed); f != nil {
		return Line{"tls", Warning, "the bucket policy has a weakness: " + f.Message, f.Fix}
	}
	return Line{
		"tls", NotProven, "tls: requests use https, but only CAM shows whether the role's policy denies plain http",
		"ask the operator to check the policy: tccli cam GetPolicy … | {prog} policy check -",
	}
}

// signature checks whether COS refuses requests whose signature does not cover the host or a
// parameter (436/53889). An attacker could send such a request to another bucket, or change its
// parameters.
func (b tencentBucket) signature() Line {
	const check, fix = "strict-signature", "apply the strict_signature that {prog} policy tencent prints"
	s := b.settings[check]
	switch {
	case s.Err != nil:
		l := b.unknown(check, s.Err)
		if errors.Is(s.Err, vault.ErrPermission) { // the generated policies do not grant it to tenants
			l.Hint = "ask the operator of the bucket whether strict signature is enabled"
		}
		return l
	case s.Document == "":
		return Line{check, Warning, "strict signature is disabled: an attacker can change the headers and parameters that a signature does not cover", fix}
	}
	var doc struct {
		Rules []struct {
			Actions []string `xml:"actionlist>action"`
			Headers []string `xml:"headerlist>header"`
			Params  []string `xml:"paramlist>param"`
		} `xml:"Rule"`
	}
	if xml.Unmarshal([]byte(s.Document), &doc) != nil {
		return malformed(check, "COS")
	}
	for _, r := range doc.Rules {
		host := slices.ContainsFunc(r.Headers, func(h string) bool { return strings.EqualFold(h, "Host") })
		if host && slices.Contains(r.Actions, "*") && slices.Contains(r.Params, "all") {
			return Line{Check: check, Status: OK, Message: "strict signature is enabled: the host and all parameters must be signed"}
		}
	}
	return Line{check, Warning, "strict signature is incomplete: some requests are accepted although the signature does not cover the host and all parameters", fix}
}
