package testcloud

import (
	"maps"
	"time"
)

const (
	// Audience is the audience of a token that names none, as agentKeys has it.
	Audience = "sts.amazonaws.com"

	// WalletTag is the session tag that names the tenant, as agentKeys has it.
	WalletTag = "agentkeys_user_wallet"

	// TagsClaim is the only claim that STS makes session tags of.
	TagsClaim = "https://aws.amazon.com/tags"

	// FlatTagsClaim is the claim that SeaweedFS makes session tags of: an object, or of several
	// values a list, under each name. AWS documents no such claim.
	FlatTagsClaim = TagsClaim + "/principal_tags"
)

// Claims are what a token says. Whatever is left zero is filled with what is right.
type Claims struct {
	Issuer   string // the issuer's name
	Subject  string // agent
	Audience string // [Audience]

	IssuedAt, NotBefore time.Time // now
	Expires             time.Time // five minutes after IssuedAt

	Tags       map[string]string   // session tags of one value each
	MultiTags  map[string][]string // session tags of several values
	Transitive []string            // names of the tags that a chained role keeps
	FlatTags   bool                // the same tags also as [FlatTagsClaim], beside the nested claim
	TagsInList bool                // the tags claim as in Ceph's documentation: a list of one object, not the object

	Extra map[string]any // further claims; they win over the above, and a nil one is left out
}

// AgentClaims returns what agentKeys' broker says of an agent: the wallet as a tag
// and as a claim of its own.
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
