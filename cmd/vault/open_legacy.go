package main

import (
	"context"
	"strings"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/vault"
)

// signerScheme is the start of the URL of a signer.
const signerScheme = "signer+"

// openLegacy returns the reader of the objects that agentKeys stored for a tenant. It returns nil unless
// one of the key sources is a signer, and the tenant is the address or the omni account of its wallet.
// Commands that need no key, such as ls, also use it. It sends no request.
func (s *session) openLegacy(ctx context.Context, set config.Settings, need keyNeed, tenant vault.Tenant) (vault.Legacy, error) {
	urls, _ := keyURLs(set)
	for _, v := range urls {
		if !strings.HasPrefix(v.Text, signerScheme) {
			continue
		}
		source, err := s.keySource(ctx, set, v)
		if err != nil && need == noKeys {
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
		if reader, err := agentkeys.NewReader(wallet, string(tenant), nil); err == nil {
			return reader, nil
		}
	}
	return nil, nil
}
