package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/objectvault/objectvault/vault"
)

// Bucket judges how the bucket of a store is set up, from what its cloud returns. store is the
// store's name, such as s3://bucket. A setting that may not be read is [NotProven]. hint is as
// [Patient].Hint, and may be nil.
func Bucket(ctx context.Context, store string, cloud vault.Cloud, hint func(err error, otherwise string) string) []Line {
	scheme, name, _ := strings.Cut(store, "://")
	settings := make(map[string]vault.Setting)
	for _, s := range cloud.Settings(ctx) {
		settings[s.Name] = s
	}
	switch scheme {
	case "s3":
		return awsBucket{name, settings, hint}.lines()
	case "cos":
		return tencentBucket{name, settings, hint}.lines()
	}
	return []Line{{Check: "bucket-settings", Status: Skipped, Message: "settings of the bucket: this store returns none"}}
}

// unknown is the line of a setting that could not be read.
func unknown(check string, err error, hint func(error, string) string, allow string) Line {
	l := Line{Check: check, Status: NotProven, Message: check + ": " + reasonOf(err)}
	if errors.Is(err, vault.ErrPermission) {
		l.Message = check + ": this identity may not read it"
		l.Hint = allow
		return l
	}
	if hint != nil {
		l.Hint = hint(err, "")
	}
	return l
}

// reasonOf is what the service returned, without the sentinel in front.
func reasonOf(err error) string {
	var cause *vault.Cause
	if errors.As(err, &cause) && cause.Message != "" {
		return cause.Message
	}
	return err.Error()
}

// A rule is one of a lifecycle configuration, as S3 and COS write it.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html, 436/8280
type rule struct {
	Status string
	Prefix *string // the old form of S3, without a filter
	Filter *struct {
		Prefix string
		Tag    *struct{} `xml:"Tag"`
		And    *struct{} `xml:"And"`
		More   *struct{} `xml:"ObjectSizeGreaterThan"`
		Less   *struct{} `xml:"ObjectSizeLessThan"`
	}
	Expiration *struct{ Days int }
	Abort      *struct{} `xml:"AbortIncompleteMultipartUpload"`
}

// coversTenants reports whether a rule is about all objects of all tenants. whole is whether
// one without a filter is about the whole bucket.
func (r rule) coversTenants(whole bool) bool {
	f := r.Filter
	if f == nil {
		return whole
	}
	return f.Tag == nil && f.And == nil && f.More == nil && f.Less == nil && strings.HasPrefix(everybody, f.Prefix)
}

const (
	abortsUploads = "a lifecycle rule removes what killed uploads leave behind"
	keepsUploads  = "no lifecycle rule removes what killed uploads leave behind"
)

// lifecycle judges the rules.
func lifecycle(rules []rule, whole bool, fix string) Line {
	l := Line{Check: "lifecycle", Status: Warning, Message: keepsUploads, Hint: fix}
	var expires []string
	for _, r := range rules {
		if r.Status != "Enabled" {
			continue
		}
		if r.Abort != nil && r.coversTenants(whole) {
			l.Status, l.Message, l.Hint = OK, abortsUploads, ""
		}
		if r.Expiration != nil && r.Expiration.Days > 0 {
			expires = append(expires, fmt.Sprintf("%d days", r.Expiration.Days))
		}
	}
	if len(expires) > 0 {
		l.Message += "; objects expire after " + strings.Join(expires, ", ")
	}
	return l
}
