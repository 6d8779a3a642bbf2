package federation_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/federation"
)

func TestCheck(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	good := func(change func(*federation.Claims)) federation.Claims {
		c := federation.Claims{
			Issuer: "https://issuer.example", Audience: []string{"other", "vault"}, Expires: now.Add(time.Second), NotBefore: now,
			Tags: map[string][]string{"agentkeys_user_wallet": {"0xABC"}},
		}
		if change != nil {
			change(&c)
		}
		return c
	}
	tagged := func(tags map[string][]string) federation.Claims {
		return good(func(c *federation.Claims) { c.Tags = tags })
	}
	all := federation.Expectation{Issuer: "https://issuer.example", Audience: "vault", Tenant: "0xabc"}
	const invalid, mismatch = "no valid identity token: ", "tenant mismatch: "
	for _, tc := range []struct {
		name   string
		expect federation.Expectation
		claims federation.Claims
		want   string
	}{
		{"all as expected", all, good(nil), ""},
		{"nothing expected", federation.Expectation{}, good(nil), ""},
		{"nothing expected, no claims", federation.Expectation{}, federation.Claims{Expires: now.Add(1)}, ""},
		{"expires now", federation.Expectation{}, good(func(c *federation.Claims) { c.Expires = now }),
			invalid + "the token expired at 2026-03-01T12:00:00Z (local time is 2026-03-01T12:00:00Z)"},
		{"no expiry", federation.Expectation{}, federation.Claims{}, invalid + "the token contains no expiry time"},
		{"one minute too early", all, good(func(c *federation.Claims) { c.NotBefore = now.Add(time.Minute) }), ""},
		{"more than one minute too early", all, good(func(c *federation.Claims) { c.NotBefore = now.Add(61 * time.Second) }),
			invalid + "the token is not valid before 2026-03-01T12:01:01Z (local time is 2026-03-01T12:00:00Z)"},
		{"issuer with a slash", all, good(func(c *federation.Claims) { c.Issuer += "/" }),
			invalid + `the token is from issuer "https://issuer.example/", but issuer "https://issuer.example" is required`},
		{"another audience", all, good(func(c *federation.Claims) { c.Audience = []string{"sts.amazonaws.com"} }),
			invalid + `the token is for audience "sts.amazonaws.com", but audience "vault" is required`},
		{"four other audiences", all, good(func(c *federation.Claims) { c.Audience = []string{"a", "b", "c", "d"} }),
			invalid + `the token is for audience "a", "b", "c", …, but audience "vault" is required`},
		{"no audience", all, good(func(c *federation.Claims) { c.Audience = nil }),
			invalid + `the token is for no audience, but audience "vault" is required`},
		{"tag is a star", federation.Expectation{}, tagged(map[string][]string{"agentkeys_user_wallet": {"*"}}),
			invalid + `the tag "agentkeys_user_wallet" of the token is "*", but a tenant must have only letters, digits and . _ -, and must start with a letter or digit`},
		{"tag is two dots", federation.Expectation{}, tagged(map[string][]string{"agentkeys_user_wallet": {".."}}),
			invalid + `the tag "agentkeys_user_wallet" of the token is "..", but a tenant must have only letters, digits and . _ -, and must start with a letter or digit`},
		{"empty tag", federation.Expectation{}, tagged(map[string][]string{"agentkeys_actor_omni": {""}}),
			invalid + `the tag "agentkeys_actor_omni" of the token is "", but a tenant must have only letters, digits and . _ -, and must start with a letter or digit`},
		{"tag with a slash", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xabc/credentials"}}),
			invalid + `the tag "agentkeys_user_wallet" of the token is "0xabc/credentials", but a tenant must have only letters, digits and . _ -, and must start with a letter or digit`},
		{"another tenant", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xDEF"}}),
			mismatch + `the token belongs to tenant "0xDEF" (tag "agentkeys_user_wallet"), but tenant "0xabc" is required`},
		{"tenant with a longer id", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xabcd"}}),
			mismatch + `the token belongs to tenant "0xabcd" (tag "agentkeys_user_wallet"), but tenant "0xabc" is required`},
		{"tenant in the second tag", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xdef"}, "agentkeys_actor_omni": {"0xabc"}}), ""},
		{"tenant in neither tag", all, tagged(map[string][]string{"agentkeys_user_wallet": {"a"}, "agentkeys_actor_omni": {"b"}}),
			mismatch + `the token belongs to tenant "a" (tag "agentkeys_user_wallet"), "b" (tag "agentkeys_actor_omni"), but tenant "0xabc" is required`},
		{"no tag", all, tagged(nil), ""},
		{"tag that is not a tenant tag", all, tagged(map[string][]string{"team": {"x"}}), ""},
		{"configured tenant tag", federation.Expectation{Tenant: "y", TagKeys: []string{"team"}}, tagged(map[string][]string{"team": {"x"}}),
			mismatch + `the token belongs to tenant "x" (tag "team"), but tenant "y" is required`},
		{"default tags are not the configured tenant tag", federation.Expectation{Tenant: "y", TagKeys: []string{"team"}}, good(nil), ""},
		{"no tenant tags", federation.Expectation{Tenant: "y", TagKeys: []string{}}, good(nil), ""},
		{"tag key in another case", all, tagged(map[string][]string{"AgentKeys_User_Wallet": {"0xdef"}}),
			mismatch + `the token belongs to tenant "0xdef" (tag "agentkeys_user_wallet"), but tenant "0xabc" is required`},
		{"two values", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xabc", "0xdef"}}),
			invalid + `the tag "agentkeys_user_wallet" of the token has 2 values, but a tenant must be exactly one value`},
		{"two values, two spellings of the key", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xabc"}, "Agentkeys_user_wallet": {"0xdef"}}),
			invalid + `the tag "agentkeys_user_wallet" of the token has 2 values, but a tenant must be exactly one value`},
		{"two values of the second tag", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xabc"}, "agentkeys_actor_omni": {"a", "b"}}),
			invalid + `the tag "agentkeys_actor_omni" of the token has 2 values, but a tenant must be exactly one value`},
		{"two values, no tenant expected", federation.Expectation{}, tagged(map[string][]string{"agentkeys_user_wallet": {"0xabc", "0xdef"}}),
			invalid + `the tag "agentkeys_user_wallet" of the token has 2 values, but a tenant must be exactly one value`},
		{"tag without a value", all, tagged(map[string][]string{"agentkeys_user_wallet": {}}),
			invalid + `the tag "agentkeys_user_wallet" of the token has 0 values, but a tenant must be exactly one value`},
		{"only A-Z is folded", federation.Expectation{Tenant: "é"}, tagged(map[string][]string{"agentkeys_user_wallet": {"É"}}),
			invalid + `the tag "agentkeys_user_wallet" of the token is "É", but a tenant must have only letters, digits and . _ -, and must start with a letter or digit`},
		{"long tag", federation.Expectation{Tenant: "a"}, tagged(map[string][]string{"agentkeys_user_wallet": {strings.Repeat("x", 5000)}}),
			mismatch + `the token belongs to tenant "` + strings.Repeat("x", 128) + `…" (tag "agentkeys_user_wallet"), but tenant "a" is required`},
		{"long tag with a newline", federation.Expectation{Tenant: "a"}, tagged(map[string][]string{"agentkeys_user_wallet": {"\n" + strings.Repeat("x", 5000)}}),
			invalid + `the tag "agentkeys_user_wallet" of the token is "\n` + strings.Repeat("x", 127) + `…", but a tenant must have only letters, digits and . _ -, and must start with a letter or digit`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.expect.Check(tc.claims, now)
			switch {
			case tc.want == "" && err == nil:
			case err == nil || err.Error() != tc.want:
				t.Errorf("%v\nwant %s", err, tc.want)
			case errors.Is(err, federation.ErrTenantMismatch) != strings.HasPrefix(tc.want, mismatch),
				errors.Is(err, federation.ErrTokenInvalid) != strings.HasPrefix(tc.want, invalid):
				t.Errorf("%v wraps the wrong sentinel", err)
			}
		})
	}
}
