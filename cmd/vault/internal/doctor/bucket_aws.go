package doctor

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/objectvault/objectvault/cmd/vault/internal/lifecycle"
	"github.com/objectvault/objectvault/policy/aws"
	"github.com/objectvault/objectvault/vault"
)

// An awsBucket is a bucket of S3, on AWS or on another server.
type awsBucket struct {
	name     string
	settings map[string]vault.Setting
	hint     func(error, string) string
	account  func() string // returns the account of the caller, or "" if it is not known
}

func (b awsBucket) lines() []Line {
	all := []Line{b.versioning(), b.lifecycle(), b.tls()}
	if l, ok := b.public(); ok {
		all = append(all, l)
	}
	return all
}

// public checks whether the bucket policy grants access to anyone or to another account; ok is
// false if it does not. It does not check ACLs, because S3 ignores the ACLs of new buckets.
func (b awsBucket) public() (l Line, ok bool) {
	docs, err := aws.Parse("bucket policy", []byte(b.settings["policy"].Document))
	if err != nil { // tls reports the error
		return Line{}, false
	}
	warn := func(hint, format string, args ...any) (Line, bool) {
		return Line{"public", Warning, "public: " + fmt.Sprintf(format, args...), hint}, true
	}
	for _, f := range aws.Check(docs, aws.CheckOptions{Bucket: b.name}) {
		if f.Weakness == aws.PublicAllow || f.Weakness == aws.NotElement {
			return warn(f.Fix, "the bucket policy has a weakness: %s", f.Message)
		}
	}
	for _, s := range allows(docs, "Allow") {
		if !aws.Reaches(s, b.name) {
			continue
		}
		for _, name := range append(s.Principal["AWS"], s.Principal["CanonicalUser"]...) {
			account := name // a number, or the id of a canonical user
			if parts := strings.SplitN(name, ":", 6); len(parts) == 6 {
				account = parts[4] // empty at an RGW
			}
			if caller := b.account(); account != "" && caller != "" && account != caller {
				return warn("remove the statement, unless that account should have access",
					"the bucket policy grants %s to %s, which is a different account", strings.Join(append(s.Action, s.NotAction...), ", "), name)
			}
		}
	}
	return Line{}, false
}

func (b awsBucket) unknown(check string, err error) Line {
	return unknown(check, err, b.hint, "ask the operator of the bucket, or grant the permission: {prog} policy aws --allow-doctor prints it")
}

// malformed returns the result for a document that is not a response of the service.
func malformed(check, service string) Line {
	return Line{Check: check, Status: NotProven, Message: check + ": the response is not from " + service}
}

func (b awsBucket) versioning() Line {
	s := b.settings["versioning"]
	if s.Err != nil {
		return b.unknown("versioning", s.Err)
	}
	var doc struct{ Status string }
	if s.Document != "" && xml.Unmarshal([]byte(s.Document), &doc) != nil {
		return malformed("versioning", "S3")
	}
	switch doc.Status {
	case "Enabled":
		return Line{Check: "versioning", Status: OK, Message: "versioning is enabled"}
	case "Suspended":
		return Line{"versioning", Warning, "versioning is suspended: an overwritten value is lost", "enable versioning again"}
	}
	return Line{"versioning", Warning, "versioning is disabled: an overwritten or deleted value is lost", "enable versioning: {prog} policy aws prints the command"}
}

func (b awsBucket) lifecycle() Line {
	s := b.settings["lifecycle"]
	if s.Err != nil {
		return b.unknown("lifecycle", s.Err)
	}
	rules, err := lifecycle.Parse("s3", s.Document)
	if err != nil {
		return malformed("lifecycle", "S3")
	}
	return checkLifecycle(rules, "add the rule that {prog} policy aws prints")
}

func (b awsBucket) tls() Line {
	endpoint, s := b.settings["endpoint"].Document, b.settings["policy"]
	o := aws.CheckOptions{Bucket: b.name, TLS: true}
	switch {
	case strings.HasPrefix(endpoint, "http:"):
		return Line{"tls", Warning, "the endpoint is plain http", "use its https address, and deny http in the bucket policy: {prog} policy aws --tls"}
	case endpoint != "":
		o.Dialect = aws.RGW // a policy that is safe at an RGW is safe at any server
	}
	switch {
	case s.Err != nil:
		return b.unknown("tls", s.Err)
	case s.Document == "":
		return Line{"tls", Warning, "the bucket accepts plain http, because it has no policy", "add the rule that {prog} policy aws prints"}
	}
	docs, err := aws.Parse("bucket policy", []byte(s.Document))
	if err != nil {
		return b.unknown("tls", err)
	}
	for _, f := range aws.Check(docs, o) {
		switch f.Weakness {
		case aws.HTTPAllowed:
			return Line{"tls", Warning, f.Message, f.Fix}
		case aws.OtherBucket: // the configured name may be an alias of the bucket
			return Line{"tls", NotProven, "tls: the bucket policy does not name the bucket " + b.name, "ask the operator, or use the name of the bucket"}
		}
	}
	return Line{Check: "tls", Status: OK, Message: "the bucket policy denies plain http"}
}
