package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/objectvault/objectvault/cmd/vault/internal/lifecycle"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/vault"
)

// Bucket checks the settings of a bucket as its cloud returns them. store is the name of the store,
// such as s3://bucket. If reading a setting is denied, its result is [NotProven]. hint has the
// meaning of [Options].Hint, and may be nil.
func Bucket(ctx context.Context, store string, cloud vault.Cloud, hint func(err error, otherwise string) string) []Line {
	scheme, name, _ := strings.Cut(store, "://")
	settings := make(map[string]vault.Setting)
	for _, s := range cloud.Settings(ctx) {
		settings[s.Name] = s
	}
	switch scheme {
	case "s3":
		account := sync.OnceValue(func() string { // requested only if a policy grants access
			caller, err := cloud.Caller(ctx)
			if err != nil {
				return ""
			}
			return caller.Account
		})
		b := awsBucket{name, settings, hint, account}
		return append(b.lines(), checkAudit(ctx, name, settings["logging"], cloud, hint, b.auditOff()))
	case "cos":
		return append(tencentBucket{name, settings, hint}.lines(), checkAudit(ctx, name, settings["logging"], cloud, hint, Line{
			Status: Warning, Message: "audit: the bucket does not record its requests", Hint: "{prog} policy tencent --audit-bucket prints what switches the record on",
		}))
	}
	return []Line{{Check: "bucket-settings", Status: Skipped, Message: "settings of the bucket: this store has none"}}
}

// unknown returns the result for a setting that could not be read.
func unknown(check string, err error, hint func(error, string) string, allow string) Line {
	l := Line{Check: check, Status: NotProven, Message: check + ": " + reasonOf(err)}
	if errors.Is(err, vault.ErrPermission) {
		l.Message = check + ": this identity has no permission to read the setting"
		l.Hint = allow
		return l
	}
	if hint != nil {
		l.Hint = hint(err, "")
	}
	return l
}

// reasonOf returns the response of the service, without the text of the sentinel.
func reasonOf(err error) string {
	var cause *vault.Cause
	if errors.As(err, &cause) && cause.Message != "" {
		return cause.Message
	}
	return err.Error()
}

// coversTenants reports whether a rule applies to all objects of all tenants, and whether it
// applies to some of them.
func coversTenants(r lifecycle.Rule) (all, some bool) {
	prefix, every, ok := r.Selects()
	covers := strings.HasPrefix(tenantsPrefix, prefix)
	return ok && every && covers, ok && (covers || strings.HasPrefix(prefix, tenantsPrefix))
}

// removedBy describes the objects that a rule removes.
func removedBy(r lifecycle.Rule) (all []string) {
	if n := r.Noncurrent; n != nil && n.NoncurrentDays > 0 {
		rule := "old versions expire after " + text.Count(n.NoncurrentDays, "day", "days")
		if n.Newer > 0 {
			rule += fmt.Sprintf(", except the newest %d", n.Newer)
		}
		all = append(all, rule)
	}
	if x := r.Expiration; x != nil && x.Days > 0 {
		all = append(all, "objects expire after "+text.Count(x.Days, "day", "days"))
	} else if x != nil && x.Date != "" {
		date, _, _ := strings.Cut(x.Date, "T")
		all = append(all, "objects expire on "+date)
	}
	return all
}

const (
	abortsUploads = "a lifecycle rule removes parts of unfinished uploads"
	keepsUploads  = "no lifecycle rule removes parts of unfinished uploads"
)

// checkLifecycle checks the rules for tenants' objects.
func checkLifecycle(rules []lifecycle.Rule, fix string) Line {
	l := Line{Check: "lifecycle", Status: Warning, Message: keepsUploads, Hint: fix}
	var removed []string
	for _, r := range rules {
		all, some := coversTenants(r)
		if r.Status != "Enabled" || !some {
			continue
		}
		if r.Abort != nil && all {
			l.Status, l.Message, l.Hint = OK, abortsUploads, ""
		}
		for _, text := range removedBy(r) {
			if !all {
				prefix, every, _ := r.Selects()
				if every {
					text += " (only the objects under " + quoted(prefix) + ")"
				} else {
					text += " (only some objects under " + quoted(prefix) + ")"
				}
			}
			if !slices.Contains(removed, text) {
				removed = append(removed, text)
			}
		}
	}
	if len(removed) > 0 {
		l.Message += "; " + strings.Join(removed, "; ")
	}
	return l
}
