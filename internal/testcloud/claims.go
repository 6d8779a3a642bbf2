package testcloud

import (
	"maps"
	"time"
)

const (
	// Audience is the default audience of a token, as in agentKeys.
	Audience = "sts.amazonaws.com"

	// WalletTag is the session tag that contains the tenant, as in agentKeys.
	WalletTag = "agentkeys_user_wallet"

	// TagsClaim is the only claim from which STS creates session tags.
	TagsClaim = "https://aws.amazon.com/tags"

	// FlatTagsClaim is the claim from which SeaweedFS creates session tags. It is an object. A tag
	// with several values is a list. AWS documents no such claim.
	FlatTagsClaim = TagsClaim + "/principal_tags"
)

// Claims are the claims of a token. Zero fields get valid defaults.
type Claims struct {
	Issuer   string // default: the name of the issuer
	Subject  string // default: "agent"
	Audience string // default: [Audience]

	IssuedAt, NotBefore time.Time // default: the current time
	Expires             time.Time // default: five minutes after IssuedAt

	Tags       map[string]string   // session tags with one value each
	MultiTags  map[string][]string // session tags with several values
	Transitive []string            // names of the tags that role chaining keeps
	FlatTags   bool                // add the tags a second time, as [FlatTagsClaim]
	TagsInList bool                // wrap the tags claim in a list of one object, as in Ceph's documentation

	Extra map[string]any // further claims; they replace those above, and nil removes a claim
}

// AgentClaims returns the claims that the broker of agentKeys issues for an agent. The wallet is
// both a session tag and a separate claim.
func AgentClaims(wallet string) Claims {
	return Claims{
		Subject:    "agentkeys:agent:" + wallet,
		Tags:       map[string]string{WalletTag: wallet},
		Transitive: []string{WalletTag},
		Extra:      map[string]any{WalletTag: wallet},
	}
}

func (c Claims) filled(i *Issuer) Claims {
	now := i.now()
	fill(&c.Issuer, i.Name)
	fill(&c.Subject, "agent")
	fill(&c.Audience, Audience)
	fill(&c.IssuedAt, now)
	fill(&c.NotBefore, now)
	fill(&c.Expires, c.IssuedAt.Add(5*time.Minute))
	return c
}

func fill[T comparable](field *T, value T) {
	if *field == *new(T) {
		*field = value
	}
}

func (c Claims) encode() []byte {
	all := map[string]any{
		"iss": c.Issuer, "sub": c.Subject, "aud": c.Audience,
		"iat": c.IssuedAt.Unix(), "nbf": c.NotBefore.Unix(), "exp": c.Expires.Unix(),
	}
	if len(c.Tags)+len(c.MultiTags) > 0 {
		values := maps.Clone(c.MultiTags)
		if values == nil {
			values = make(map[string][]string)
		}
		for name, value := range c.Tags {
			values[name] = []string{value}
		}
		tags := map[string]any{"principal_tags": values}
		if len(c.Transitive) > 0 {
			tags["transitive_tag_keys"] = c.Transitive
		}
		all[TagsClaim] = tags
		if c.TagsInList {
			all[TagsClaim] = []any{tags}
		}
		if c.FlatTags {
			all[FlatTagsClaim] = values
		}
	}
	for name, value := range c.Extra {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return marshal(all)
}
