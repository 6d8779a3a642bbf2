package federation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultTagKeys returns the tags that contain the tenant unless an [Expectation] has others.
func DefaultTagKeys() []string { return []string{"agentkeys_user_wallet", "agentkeys_actor_omni"} }

// An Expectation is checked before a token leaves the process. A zero field is not checked. The
// validity times are always checked.
type Expectation struct {
	Issuer   string // compared byte by byte, as in the cloud
	Audience string // one of the audiences of the token
	// OtherAudiences are also accepted, unless Audience is empty.
	OtherAudiences []string
	// Tenant is the expected tenant, in lower case. The tag of the token is converted to lower
	// case before it is compared. A token without such a tag is accepted, because roles may
	// isolate the tenants.
	Tenant string
	// TagKeys are the tags that contain the tenant. If the token has several of them, one must
	// equal Tenant. Each must have exactly one value, which must be a valid tenant. Nil means
	// [DefaultTagKeys].
	TagKeys []string
}

func (e Expectation) tagKeys() []string {
	if e.TagKeys == nil {
		return DefaultTagKeys()
	}
	return e.TagKeys
}

// leeway is the tolerated clock difference to the issuer.
const leeway = time.Minute

// Check returns an error if c does not meet the expectation at the given time. It wraps
// [ErrTokenInvalid] or, for the tenant, [ErrTenantMismatch].
func (e Expectation) Check(c Claims, now time.Time) error {
	switch {
	case c.Expires.IsZero():
		return invalidToken("the token contains no expiry time")
	case !now.Before(c.Expires):
		return invalidToken("the token expired at %s (local time is %s)", clock(c.Expires), clock(now))
	case c.NotBefore.After(now.Add(leeway)):
		return invalidToken("the token is not valid before %s (local time is %s)", clock(c.NotBefore), clock(now))
	case e.Issuer != "" && c.Issuer != e.Issuer:
		return invalidToken("the token is from issuer %s, but issuer %s is required", shown(c.Issuer), shown(e.Issuer))
	case e.Audience != "" && !slices.ContainsFunc(c.Audience, func(a string) bool { return a == e.Audience || slices.Contains(e.OtherAudiences, a) }):
		return invalidToken("the token is for %s, but audience %s is required", audience(c.Audience), shown(e.Audience))
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
		case len(values) != 1: // Ceph would grant the prefix of each value
			return invalidToken("the tag %s of the token has %d values, but a tenant must be exactly one value", shown(key), len(values))
		case !plain(values[0]): // a * or / in a policy would match other tenants
			return invalidToken("the tag %s of the token is %s, but a tenant must have only letters, digits and . _ -, and must start with a letter or digit", shown(key), shown(values[0]))
		case fold(values[0]) == e.Tenant:
			found = true // continue: the other tags must be valid, too
		default:
			others = append(others, fmt.Sprintf("%s (tag %s)", shown(values[0]), shown(key)))
		}
	}
	if e.Tenant == "" || found || len(others) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the token belongs to tenant %s, but tenant %s is required", ErrTenantMismatch, strings.Join(others, ", "), shown(e.Tenant))
}

func invalidToken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrTokenInvalid, fmt.Sprintf(format, args...))
}

// fold converts A-Z to lower case and changes nothing else, like package vault does with tenants.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// plain reports whether s is a valid tenant, except for capital letters.
func plain(s string) bool {
	isAlphanumeric := func(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' }
	return s != "" && isAlphanumeric(rune(s[0])) && !strings.Contains(fold(s), "__0x") &&
		strings.IndexFunc(s, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("._-", r) }) < 0
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

// shown quotes text from a token for a message, on one line, and truncates it.
func shown(s string) string {
	const limit = 128
	if len(s) > limit {
		return strconv.Quote(strings.ToValidUTF8(s[:limit], "") + "…")
	}
	return strconv.Quote(s)
}
