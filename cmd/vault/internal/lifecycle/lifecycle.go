// Package lifecycle reads the lifecycle rules of a bucket of S3 or COS.
package lifecycle

import (
	"encoding/xml"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/internal/text"
)

// A Rule is a rule of a lifecycle configuration.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html, 436/8280
type Rule struct {
	Status     string
	Prefix     *string // set in the old form, which has no filter
	Filter     *Filter
	Expiration *struct {
		Days int
		Date string
	}
	Noncurrent *struct {
		NoncurrentDays int
		Newer          int `xml:"NewerNoncurrentVersions"`
	} `xml:"NoncurrentVersionExpiration"`
	Abort *struct{} `xml:"AbortIncompleteMultipartUpload"`

	whole bool // a rule without filter and prefix applies to the whole bucket
}

// A Filter selects objects. And contains several conditions, which must all be true.
type Filter struct {
	conditions
	And *conditions `xml:"And"`
}

type conditions struct {
	Prefix string
	Not    []string  `xml:"PrefixNotEquals"` // of COS
	Tag    *struct{} `xml:"Tag"`
	More   *int64    `xml:"ObjectSizeGreaterThan"`
	Less   *int64    `xml:"ObjectSizeLessThan"`
}

// Parse parses the document of a bucket of S3, with the scheme s3, or of COS, with the scheme cos. An
// empty document has no rules.
func Parse(scheme, document string) ([]Rule, error) {
	var doc struct {
		Rules []Rule `xml:"Rule"`
	}
	if document == "" {
		return nil, nil
	}
	if err := xml.Unmarshal([]byte(document), &doc); err != nil {
		return nil, err
	}
	for i := range doc.Rules {
		doc.Rules[i].whole = scheme == "cos"
	}
	return doc.Rules, nil
}

// conditions returns the conditions of a rule. If ok is false, the rule applies to no object.
func (r Rule) conditions() (c conditions, ok bool) {
	switch f := r.Filter; {
	case f == nil && r.Prefix != nil:
		return conditions{Prefix: *r.Prefix}, true
	case f == nil:
		return conditions{}, r.whole
	case f.And != nil:
		return *f.And, true
	default:
		return f.conditions, true
	}
}

// Selects returns the prefix of a rule and reports whether the rule applies to all objects with this
// prefix. At S3 a rule without filter and prefix applies to no object, and ok is false.
func (r Rule) Selects() (prefix string, all, ok bool) {
	c, ok := r.conditions()
	return c.Prefix, ok && len(c.Not) == 0 && c.Tag == nil && c.More == nil && c.Less == nil, ok
}

// An Object is what rules say about when an object is deleted. A size that is negative is not known.
type Object struct {
	Key      string
	Size     int64
	Modified time.Time
}

// Expiry returns the earliest time at which an enabled rule may delete a current object, and the text of
// the rule, such as "30 days after it was written". The time is zero if there is none. The bucket deletes
// the object later: S3 at midnight UTC, COS within a day or two. A rule with a condition on tags does not
// count, because vault sets none, and neither does one on a size that is not known.
func Expiry(rules []Rule, o Object) (at time.Time, reason string) {
	for _, r := range rules {
		c, ok := r.conditions()
		switch {
		case !ok, r.Status != "Enabled", r.Expiration == nil, c.Tag != nil, !strings.HasPrefix(o.Key, c.Prefix),
			slices.ContainsFunc(c.Not, func(prefix string) bool { return strings.HasPrefix(o.Key, prefix) }):
			continue
		case (c.More != nil || c.Less != nil) && o.Size < 0, c.More != nil && o.Size <= *c.More, c.Less != nil && o.Size >= *c.Less:
			continue
		}
		var when time.Time
		var why string
		if days := r.Expiration.Days; days > 0 {
			when, why = o.Modified.UTC().AddDate(0, 0, days), text.Count(days, "day", "days")+" after it was written"
		} else if date, err := time.Parse(time.RFC3339, r.Expiration.Date); err == nil {
			when, why = date, "on a fixed date"
		}
		if !when.IsZero() && (at.IsZero() || when.Before(at)) {
			at, reason = when.UTC(), why
		}
	}
	return at, reason
}
