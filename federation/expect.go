package federation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultTagKeys are the tags that name a tenant unless an [Expectation] says others.
func DefaultTagKeys() []string { return []string{"agentkeys_user_wallet", "agentkeys_actor_omni"} }

// An Expectation is what a token must say before it is sent anywhere. Zero fields expect
// nothing; the times are looked at in any case.
type Expectation struct {
	Issuer   string // to the byte, as the cloud compares it
	Audience string // one of the token's
	// OtherAudiences are as good as Audience, where that is not empty.
	OtherAudiences []string
	// Tenant is the tenant asked for, with A-Z folded to a-z as tenants are; the token's
	// tag is folded before it is compared. A token without such a tag passes: isolation
	// is then by role.
	Tenant string
	// TagKeys are the tags that name the tenant; of several that the token carries one
	// must equal it. Each has one value, which could be a tenant. Nil means
	// [DefaultTagKeys].
	TagKeys []string
}

func (e Expectation) tagKeys() []string {
	if e.TagKeys == nil {
		return DefaultTagKeys()
	}
	return e.TagKeys
}

// leeway is how far the issuer's clock may be ahead of ours.
const leeway = time.Minute

// Check returns what c says otherwise than expected, wrapping [ErrTokenInvalid] or, for
// the tenant, [ErrTenantMismatch].
func (e Expectation) Check(c Claims, now time.Time) error {
	switch {
	case c.Expires.IsZero():
		return invalidToken("the token does not say when it expires")
	case !now.Before(c.Expires):
		return invalidToken("the token expired at %s, and it is %s here", clock(c.Expires), clock(now))
	case c.NotBefore.After(now.Add(leeway)):
		return invalidToken("the token is not valid before %s, and it is %s here", clock(c.NotBefore), clock(now))
	case e.Issuer != "" && c.Issuer != e.Issuer:
		return invalidToken("the token is from issuer %s, and %s is wanted", shown(c.Issuer), shown(e.Issuer))
	case e.Audience != "" && !slices.ContainsFunc(c.Audience, func(a string) bool { return a == e.Audience || slices.Contains(e.OtherAudiences, a) }):
		return invalidToken("the token is for %s, and %s is wanted", audience(c.Audience), shown(e.Audience))
	}
	return e.checkTenant(c)
}

func (e Expectation) checkTenant(c Claims) error {
	var others []string
	found := false
	for _, key := range e.tagKeys() {
		values, ok := c.tag(key)
		switch {
		case !ok:
			continue
		case len(values) != 1: // Ceph would open the prefix of each of them
			return invalidToken("its tag %s has %d values, and a tenant is one", shown(key), len(values))
		case !plain(values[0]): // * or / in a policy reach beyond the tenant's prefix
			return invalidToken("its tag %s is %s, and a tenant is letters and digits, with . _ - between them", shown(key), shown(values[0]))
		case fold(values[0]) == e.Tenant:
			found = true // go on: the other tags must be in order, too
		default:
			others = append(others, fmt.Sprintf("%s (tag %s)", shown(values[0]), shown(key)))
		}
	}
	if e.Tenant == "" || found || len(others) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the token is of tenant %s, and %s is asked for", ErrTenantMismatch, strings.Join(others, ", "), shown(e.Tenant))
}

func invalidToken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrTokenInvalid, fmt.Sprintf(format, args...))
}

// fold makes A-Z lower case and nothing else, as tenants are folded.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// plain says whether s is made of what tenants are made of.
func plain(s string) bool {
	alone := func(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' }
	return s != "" && alone(rune(s[0])) && !strings.Contains(fold(s), "__0x") &&
		strings.IndexFunc(s, func(r rune) bool { return !alone(r) && !strings.ContainsRune("._-", r) }) < 0
}

func audience(list []string) string {
	if len(list) == 0 {
		return "no audience"
	}
	short := list[:min(len(list), 3)]
	quoted := make([]string, len(short))
	for i, a := range short {
		quoted[i] = shown(a)
	}
	if len(short) < len(list) {
		quoted = append(quoted, "…")
	}
	return "audience " + strings.Join(quoted, ", ")
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// shown quotes what a token says for a message, on one line and not endless.
func shown(s string) string {
	const most = 128
	if len(s) > most {
		return strconv.Quote(strings.ToValidUTF8(s[:most], "") + "…")
	}
	return strconv.Quote(s)
}
