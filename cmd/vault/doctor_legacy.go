package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/vault"
)

// reportLegacy reports in which format put stores objects, and which prefixes of agentKeys can be read.
// It reports nothing if the vault does not read objects of agentKeys.
func (s *session) reportLegacy(ctx context.Context, l *lines, d *doctorRun, set config.Settings) error {
	line := func(status doctor.Status, hint, format string, args ...any) {
		l.report(doctor.Line{Check: "agentkeys", Status: status, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	if set.Write.Text != "" {
		line(doctor.Warning, "remove write from the profile when no program that uses agentKeys reads this bucket any more",
			"put stores objects in the format %s (%s), which is weaker than an envelope: an older object is not detected", set.Write.Text, set.Write.From)
	}
	if d.Tenant == "" || d.KeysErr != nil { // another line reports why
		return nil
	}
	legacy, err := s.openLegacy(ctx, set, mustKeys, d.Tenant)
	if err != nil {
		return err
	}
	if _, err := legacyWriter(set, mustKeys, legacy); err != nil {
		return err
	}
	if legacy == nil || d.Store == nil {
		return nil
	}
	prefixes, err := legacy.Prefixes(ctx)
	if err != nil {
		line(doctor.Warning, hintFor(err, ""), "the signer cannot be used, so the prefixes of agentKeys are not known: %v", plain(err))
		return nil
	}
	v, err := vault.New(d.Store, d.Tenant, nil, &vault.Options{Legacy: legacy})
	if err != nil {
		return err
	}
	denied, err := v.DeniedLegacy(ctx)
	if err != nil {
		line(doctor.Warning, hintFor(err, ""), "objects of agentKeys cannot be listed: %v", plain(err))
		return nil
	}
	for _, prefix := range prefixes {
		if slices.Contains(denied, prefix) {
			line(doctor.OK, "", "the cloud denies %s, so objects of agentKeys there count as missing", prefix)
			continue
		}
		line(doctor.OK, "", "objects of agentKeys below %s can be listed", prefix)
	}
	return nil
}
