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

// An Expectation is checked before a token leaves the process. A zero field is not checked; the
// validity times always are.
type Expectation struct {
	Issuer   string // compared byte by byte, as in the cloud
	Audience string // one of the audiences of the token
	// OtherAudiences are accepted in place of Audience, unless Audience is empty.
	OtherAudiences []string
	// Tenant is the expected tenant, with A-Z folded to a-z. The tag of the token is folded
	// before it is compared. A token without such a tag is accepted: then roles isolate the
	// tenants.
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
		case len(values) != 1: // Ceph would grant the prefix of each value
			return invalidToken("its tag %s has %d values, and a tenant is one", shown(key), len(values))
		case !plain(values[0]): // in a policy * or / reach beyond
			return invalidToken("its tag %s is %s, and a tenant is letters and digits, with . _ - between them", shown(key), shown(values[0]))
		case fold(values[0]) == e.Tenant:
			found = true // continue: the other tags must be valid, too
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

// fold maps A-Z to lower case and changes nothing else, like the folding of tenants.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// plain reports whether s has only characters of tenants.
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

// shown quotes text from a token for a message, on one line, and truncates it.
func shown(s string) string {
	const most = 128
	if len(s) > most {
		return strconv.Quote(strings.ToValidUTF8(s[:most], "") + "…")
	}
	return strconv.Quote(s)
}
