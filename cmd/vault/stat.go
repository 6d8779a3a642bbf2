package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/vault"
)

func statCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "stat",
		Usage:     "show revision, times, type and labels of a name, without its value",
		UsageText: s.prog + " stat NAME",
		Description: "Revision, times, type, expiry and labels are verified. The size is not verified, because only\n" +
			"reading the whole value can verify it.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " stat openai\n" +
			"   " + s.prog + " stat openai --json | jq .revision",
		Flags:  []cli.Flag{acceptOlderFlag(), expectSeenFlag()},
		Action: s.action(s.stat),
	}
}

func (s *session) stat(ctx context.Context) error {
	args, err := s.arguments(1, 1)
	if err != nil {
		return err
	}
	name, err := s.name(args[0])
	if err != nil {
		return err
	}
	v, err := s.open(ctx, mustKeys)
	if err != nil {
		return err
	}
	s.acceptOlder(ctx, v, name)
	return v.explainKey(s.suggest(ctx, v.Vault, stat(ctx, s.ui, v.Vault, name)))
}

func stat(ctx context.Context, u *ui, v *vault.Vault, name vault.Name) error {
	info, err := v.Stat(ctx, name)
	if err != nil {
		return err
	}
	if u.json {
		return u.print(toJSON(info))
	}
	t := tabwriter.NewWriter(u.out, 0, 0, 2, ' ', 0)
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s:\t%s\n", key, visible(value))
		}
	}
	line("name", string(info.Name))
	line("tenant", string(info.Tenant))
	line("collection", string(info.Collection))
	if info.Legacy == "" {
		line("revision", fmt.Sprint(info.Revision))
	} else {
		line("format", "agentKeys "+info.Legacy+", weaker than an envelope")
		line("key", info.LegacyKey)
	}
	line("version", info.Version)
	line("size", fmt.Sprint(info.Size))
	line("sealed size", fmt.Sprint(info.SealedSize))
	line("modified", timestamp(info.Modified))
	line("content type", info.ContentType)
	expires := timestamp(info.Expires)
	if info.Expired {
		expires += " (expired)"
	}
	line("expires", expires)
	if info.Pending {
		line("pending", "on this machine only, not yet in the store")
	}
	for _, key := range slices.Sorted(maps.Keys(info.Labels)) {
		line("label "+visible(key), info.Labels[key])
	}
	return t.Flush()
}
