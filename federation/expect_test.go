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
		{"nothing expected, nothing said", federation.Expectation{}, federation.Claims{Expires: now.Add(1)}, ""},
		{"expires now", federation.Expectation{}, good(func(c *federation.Claims) { c.Expires = now }),
			invalid + "the token expired at 2026-03-01T12:00:00Z, and it is 2026-03-01T12:00:00Z here"},
		{"no expiry", federation.Expectation{}, federation.Claims{}, invalid + "the token does not say when it expires"},
		{"a minute early", all, good(func(c *federation.Claims) { c.NotBefore = now.Add(time.Minute) }), ""},
		{"more than a minute early", all, good(func(c *federation.Claims) { c.NotBefore = now.Add(61 * time.Second) }),
			invalid + "the token is not valid before 2026-03-01T12:01:01Z, and it is 2026-03-01T12:00:00Z here"},
		{"issuer with a slash", all, good(func(c *federation.Claims) { c.Issuer += "/" }),
			invalid + `the token is from issuer "https://issuer.example/", and "https://issuer.example" is wanted`},
		{"another audience", all, good(func(c *federation.Claims) { c.Audience = []string{"sts.amazonaws.com"} }),
			invalid + `the token is for audience "sts.amazonaws.com", and "vault" is wanted`},
		{"four other audiences", all, good(func(c *federation.Claims) { c.Audience = []string{"a", "b", "c", "d"} }),
			invalid + `the token is for audience "a", "b", "c", …, and "vault" is wanted`},
		{"no audience", all, good(func(c *federation.Claims) { c.Audience = nil }),
			invalid + `the token is for no audience, and "vault" is wanted`},
		{"a tag of all tenants", federation.Expectation{}, tagged(map[string][]string{"agentkeys_user_wallet": {"*"}}),
			invalid + `its tag "agentkeys_user_wallet" is "*", and a tenant is letters and digits, with . _ - between them`},
		{"a tag of the directory above", federation.Expectation{}, tagged(map[string][]string{"agentkeys_user_wallet": {".."}}),
			invalid + `its tag "agentkeys_user_wallet" is "..", and a tenant is letters and digits, with . _ - between them`},
		{"an empty tag", federation.Expectation{}, tagged(map[string][]string{"agentkeys_actor_omni": {""}}),
			invalid + `its tag "agentkeys_actor_omni" is "", and a tenant is letters and digits, with . _ - between them`},
		{"a tag with a directory", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xabc/credentials"}}),
			invalid + `its tag "agentkeys_user_wallet" is "0xabc/credentials", and a tenant is letters and digits, with . _ - between them`},
		{"another tenant", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xDEF"}}),
			mismatch + `the token is of tenant "0xDEF" (tag "agentkeys_user_wallet"), and "0xabc" is asked for`},
		{"a longer tenant", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xabcd"}}),
			mismatch + `the token is of tenant "0xabcd" (tag "agentkeys_user_wallet"), and "0xabc" is asked for`},
		{"the second tag", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xdef"}, "agentkeys_actor_omni": {"0xabc"}}), ""},
		{"neither tag", all, tagged(map[string][]string{"agentkeys_user_wallet": {"a"}, "agentkeys_actor_omni": {"b"}}),
			mismatch + `the token is of tenant "a" (tag "agentkeys_user_wallet"), "b" (tag "agentkeys_actor_omni"), and "0xabc" is asked for`},
		{"no tag", all, tagged(nil), ""},
		{"a tag of another name", all, tagged(map[string][]string{"team": {"x"}}), ""},
		{"a tag of another name that counts", federation.Expectation{Tenant: "y", TagKeys: []string{"team"}}, tagged(map[string][]string{"team": {"x"}}),
			mismatch + `the token is of tenant "x" (tag "team"), and "y" is asked for`},
		{"the default tags do not count then", federation.Expectation{Tenant: "y", TagKeys: []string{"team"}}, good(nil), ""},
		{"no tag counts", federation.Expectation{Tenant: "y", TagKeys: []string{}}, good(nil), ""},
		{"a tag in another case", all, tagged(map[string][]string{"AgentKeys_User_Wallet": {"0xdef"}}),
			mismatch + `the token is of tenant "0xdef" (tag "agentkeys_user_wallet"), and "0xabc" is asked for`},
		{"two values", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xabc", "0xdef"}}),
			invalid + `its tag "agentkeys_user_wallet" has 2 values, and a tenant is one`},
		{"two values in two spellings", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xabc"}, "Agentkeys_user_wallet": {"0xdef"}}),
			invalid + `its tag "agentkeys_user_wallet" has 2 values, and a tenant is one`},
		{"two values of the second tag", all, tagged(map[string][]string{"agentkeys_user_wallet": {"0xabc"}, "agentkeys_actor_omni": {"a", "b"}}),
			invalid + `its tag "agentkeys_actor_omni" has 2 values, and a tenant is one`},
		{"two values and no tenant asked for", federation.Expectation{}, tagged(map[string][]string{"agentkeys_user_wallet": {"0xabc", "0xdef"}}),
			invalid + `its tag "agentkeys_user_wallet" has 2 values, and a tenant is one`},
		{"a tag without a value", all, tagged(map[string][]string{"agentkeys_user_wallet": {}}),
			invalid + `its tag "agentkeys_user_wallet" has 0 values, and a tenant is one`},
		{"only A-Z is folded", federation.Expectation{Tenant: "é"}, tagged(map[string][]string{"agentkeys_user_wallet": {"É"}}),
			invalid + `its tag "agentkeys_user_wallet" is "É", and a tenant is letters and digits, with . _ - between them`},
		{"a long one", federation.Expectation{Tenant: "a"}, tagged(map[string][]string{"agentkeys_user_wallet": {strings.Repeat("x", 5000)}}),
			mismatch + `the token is of tenant "` + strings.Repeat("x", 128) + `…" (tag "agentkeys_user_wallet"), and "a" is asked for`},
		{"a long one on one line", federation.Expectation{Tenant: "a"}, tagged(map[string][]string{"agentkeys_user_wallet": {"\n" + strings.Repeat("x", 5000)}}),
			invalid + `its tag "agentkeys_user_wallet" is "\n` + strings.Repeat("x", 127) + `…", and a tenant is letters and digits, with . _ - between them`},
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
