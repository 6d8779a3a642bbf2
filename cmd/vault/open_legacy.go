package main

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vaulturl"
)

// signerScheme is the start of the URL of a signer.
const signerScheme = "signer+"

// openLegacy returns the reader of the objects that agentKeys stored for a tenant. It returns nil
// unless one of the key sources is a signer, and the tenant may be the address or the omni account
// of its wallet. Of several signers it uses the one whose omni account belongs to the tenant, or
// else the first. Commands that need no key, such as ls, also use it. It sends no request.
func (s *session) openLegacy(ctx context.Context, set config.Settings, need keyNeed, tenant vault.Tenant) (vault.Legacy, error) {
	urls, _ := keyURLs(set)
	var legacy vault.Legacy
	for _, v := range urls {
		if !strings.HasPrefix(v.Text, signerScheme) {
			continue
		}
		source, err := s.keySource(ctx, set, v)
		if invalid := (*vaulturl.URLError)(nil); err != nil && need == noKeys && !errors.As(err, &invalid) {
			s.note("the objects that agentKeys stored are ignored, because the signer cannot be used: %v", err)
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		wallet, ok := source.(agentkeys.Wallet)
		if !ok {
			continue
		}
		reader, err := agentkeys.NewReader(wallet, string(tenant), nil)
		if err != nil {
			continue
		}
		if legacy == nil || wallet.Omni() == string(tenant) || wallet.Omni() == agentkeys.OmniOf(string(tenant)) {
			legacy = reader
		}
	}
	return legacy, nil
}

// legacyWriter returns the writer of the format that the profile selects; nil: put stores envelopes. A
// command that needs no key works without the signer.
func legacyWriter(set config.Settings, need keyNeed, legacy vault.Legacy) (vault.LegacyWriter, error) {
	if set.Write.Text == "" {
		return nil, nil
	}
	reader, ok := legacy.(*agentkeys.Reader)
	if !ok {
		if need == noKeys {
			return nil, nil
		}
		return nil, hint(usagef("%s: write = %q requires a signer as key source, and its wallet or omni account as the tenant", set.Write.From, set.Write.Text),
			"add the signer to keys, for example signer+https://HOST?omni=HEX")
	}
	format := agentkeys.V1
	if set.Write.Text == config.WriteAgentKeysV2 {
		format = agentkeys.V2
	}
	w, err := agentkeys.NewWriter(reader, format)
	if err != nil {
		return nil, hint(usagef("%s: write = %q: %v (tenant of %s)", set.Write.From, set.Write.Text, err, cmp.Or(set.Tenant.From, "the token")), "agentkeys-v1 requires the address of the wallet as the tenant, agentkeys-v2 the omni account")
	}
	return w, nil
}
