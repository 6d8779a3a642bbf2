package costest

import (
	"encoding/xml"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A setting is a document of a bucket. A query parameter identifies it.
type setting struct {
	missing  *apiError // the error of a get if there is no document; nil means emptyDoc
	emptyDoc string
	needsMD5 bool
	status   int // the status of a successful put
	check    func(body []byte) error
}

var settings = map[string]setting{
	"lifecycle": {
		missing:  failure(http.StatusNotFound, "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist."),
		needsMD5: true, status: http.StatusOK, check: checkLifecycle,
	},
	"tagging": {missing: errNoSuchTagSet, needsMD5: true, status: http.StatusNoContent, check: func(body []byte) error {
		var doc taggingXML
		if err := parseXML(body, &doc); err != nil {
			return err
		}
		return checkTags(doc.Tags, 50)
	}},
	"strict-signature": {
		missing: failure(http.StatusNotFound, "NoSuchStrictSignatureConfiguration", "The strict signature configuration does not exist."),
		status:  http.StatusOK, check: func(body []byte) error { _, err := parseStrict(body); return err },
	},
	"logging": {emptyDoc: xmlHeader + "<BucketLoggingStatus/>", status: http.StatusOK, check: checkLogging},
}

// settingOf returns the query parameter that identifies the setting.
func (x *exchange) settingOf() string {
	for _, p := range x.query {
		if _, ok := settings[p.name]; ok || p.name == "policy" {
			return p.name
		}
	}
	return ""
}

// getConfig handles GET of a setting, and returns the stored document.
func (x *exchange) getConfig() error {
	name := x.settingOf()
	doc := x.s.config(x.bucket, name)
	if doc == nil {
		set := settings[name]
		if set.missing != nil {
			return set.missing
		}
		doc = []byte(set.emptyDoc)
	}
	x.sendDocument("application/xml", doc)
	return nil
}

func (s *Server) config(bucket, name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.buckets[bucket]; b != nil {
		return b.config[name]
	}
	return nil
}

func (x *exchange) setConfig(name string, doc []byte) {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if b := x.s.buckets[x.bucket]; b != nil && doc != nil {
		b.config[name] = doc
	} else if b != nil {
		delete(b.config, name)
	}
}

func (x *exchange) sendDocument(kind string, doc []byte) {
	h := x.out.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(doc)))
	x.out.WriteHeader(http.StatusOK)
	x.out.Write(doc)
}

// putConfig handles PUT of a setting, and replaces the previous document.
func (x *exchange) putConfig() error {
	name := x.settingOf()
	set := settings[name]
	body, err := x.readDocument(set.needsMD5)
	if err != nil {
		return err
	}
	if err := set.check(body); err != nil {
		return err
	}
	if name == "logging" {
		x.s.DeliverLogs() // to the previous target
	}
	x.setConfig(name, body)
	x.out.WriteHeader(set.status)
	return nil
}

// deleteConfig handles DELETE of a setting, which may be missing.
func (x *exchange) deleteConfig() error {
	x.setConfig(x.settingOf(), nil)
	x.out.WriteHeader(http.StatusNoContent)
	return nil
}

// getPolicy handles GET ?policy.
func (x *exchange) getPolicy() error {
	doc := x.s.config(x.bucket, "policy")
	switch {
	case doc != nil:
		x.sendDocument("application/json", doc)
	case x.s.unsure("policy-missing") == "empty":
		x.out.WriteHeader(http.StatusNoContent)
	default:
		return failure(http.StatusNotFound, "NoSuchBucketPolicy", "The bucket policy does not exist.")
	}
	return nil
}

// putPolicy handles PUT ?policy, whose body is JSON.
func (x *exchange) putPolicy() error {
	body, err := x.readDocument(false)
	if err != nil {
		return err
	}
	if err := x.s.checkPolicy(x.bucket, body); err != nil {
		return err
	}
	x.setConfig("policy", body)
	x.out.WriteHeader(http.StatusNoContent)
	return nil
}

type strictXML struct {
	XMLName xml.Name `xml:"StrictSignatureConfiguration"`
	Rule    []struct {
		ID      string
		Actions []string `xml:"actionlist>action"`
		Headers []string `xml:"headerlist>header"`
		Params  []string `xml:"paramlist>param"`
	}
}

func parseStrict(body []byte) (strictXML, error) {
	var doc strictXML
	if err := parseXML(body, &doc); err != nil {
		return doc, err
	}
	if len(doc.Rule) == 0 || len(doc.Rule) > 10 {
		return doc, errMalformedXML
	}
	for _, r := range doc.Rule {
		if len(r.Actions) == 0 || len(r.Actions) > 200 || len(r.Headers) > 20 || len(r.Params) > 20 {
			return doc, errMalformedXML
		}
	}
	return doc, nil
}

// checkStrict rejects a request if a rule of the bucket requires a signed header or parameter, and
// the request has it but does not sign it (436/53889).
func (x *exchange) checkStrict() error {
	body := x.s.config(x.bucket, "strict-signature")
	if body == nil || x.signature == nil {
		return nil
	}
	doc, err := parseStrict(body)
	if err != nil {
		return err
	}
	for _, r := range doc.Rule {
		if !slices.ContainsFunc(r.Actions, func(pattern string) bool {
			pattern = pattern[strings.LastIndexByte(pattern, ':')+1:]
			ok, err := path.Match(pattern, x.op.name)
			return ok && err == nil
		}) {
			continue
		}
		for _, name := range r.Headers {
			name = strings.ToLower(name)
			if len(signedHeader(x.r)(name)) > 0 && !slices.Contains(x.signature.headers, name) {
				return failure(http.StatusForbidden, "AccessDenied", "Strict signature missing header that must be signed")
			}
		}
		for _, p := range x.query {
			name := strings.ToLower(encode(p.name, ""))
			wanted := slices.ContainsFunc(r.Params, func(want string) bool { return want == "all" || strings.EqualFold(want, p.name) })
			exempt := slices.Contains(signatureFields, p.name) || p.name == "sign" || name == "x-cos-security-token"
			if wanted && !exempt && !slices.Contains(x.signature.params, name) {
				return failure(http.StatusForbidden, "AccessDenied", "Strict signature missing param that must be signed")
			}
		}
	}
	return nil
}
