package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/vault"
)

func migrateCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "migrate",
		Usage:     "move the credentials of agentKeys into this vault, and verify each of them",
		UsageText: s.prog + " migrate --from SOURCE [--dry-run] [--shred-source]",
		Description: "Reads each credential of the source, stores it in the vault that the other flags and the profile\n" +
			"select, reads it back, and compares the two values. The source is one of these:\n\n" +
			"   agentkeys            objects that agentKeys stored in the same bucket; they become envelopes\n" +
			"   agentkeys:PROFILE    objects that agentKeys stored in the bucket of another profile\n" +
			"   http://HOST:PORT     the plaintext credential server of agentKeys, on this machine\n" +
			"   sqlite:FILE          the file of that server; the server may run\n\n" +
			"The first two need a signer as key source, and credentials that may read both prefixes of agentKeys.\n" +
			"The result of each credential is:\n\n" +
			"   found      with --dry-run: the vault does not have this value yet\n" +
			"   verified   the vault returned the value of the source; stored means that this run stored it\n" +
			"   skipped    the vault has a newer value\n" +
			"   failed     the reason follows; if any credential failed, the exit code is 3\n\n" +
			"You can interrupt migrate and run it again. If the vault has another value, the newer one is kept.\n" +
			"The plaintext server does not report times: there, a different value fails, and --overwrite replaces\n" +
			"the value of the vault.\n\n" +
			"--shred-source removes credentials from the source, but only those that were verified in the same\n" +
			"run and still have the same value. From a file it deletes the rows and compacts the file. The\n" +
			"server can only remove all credentials of the agent at once, so all of them must be verified. Make\n" +
			"sure that nothing else stores credentials in the source.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " migrate --from sqlite:/var/lib/agentkeys/credentials.db --dry-run\n" +
			"   " + s.prog + " migrate --from http://localhost:8090 --source-token env:SESSION\n" +
			"   " + s.prog + " migrate --from agentkeys --json\n" +
			"   " + s.prog + " migrate --from sqlite:/var/lib/agentkeys/credentials.db --shred-source",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "`SOURCE` of the credentials"},
			&cli.StringFlag{Name: "agent", Usage: "`ID` of the agent in the source, if it is not the tenant"},
			&cli.StringFlag{Name: "source-token", Usage: "`SOURCE` of the session token for http://: file:PATH, env:VAR or exec:COMMAND"},
			&cli.BoolFlag{Name: "dry-run", Usage: "only compare, and store nothing", DisableDefaultText: true},
			&cli.BoolFlag{Name: "overwrite", Usage: "replace values of the vault that differ, even if they are newer", DisableDefaultText: true},
			&cli.BoolFlag{Name: "no-other-writers", Usage: "allow this command at a store without compare-and-swap; make sure that no other program writes the objects meanwhile", DisableDefaultText: true},
			&cli.BoolFlag{Name: "ignore-denied", Usage: "with agentkeys: migrate one prefix of the tenant, although the cloud denies the other", DisableDefaultText: true},
			&cli.BoolFlag{Name: "shred-source", Usage: "remove the verified credentials from the source", DisableDefaultText: true},
		},
		Action: s.action(s.migrate),
	}
}

// A migration is one run of the command.
type migration struct {
	*session
	migrationSummary
	counts map[migrate.Status]int
}

// migrationSummary is the last line of migrate --json, in a member of its own.
type migrationSummary struct {
	Found    int `json:"found"`
	Verified int `json:"verified"`
	Stored   int `json:"stored"`
	Skipped  int `json:"skipped"`
	Failed   int `json:"failed"`
	Removed  int `json:"removed"` // from the source
	Kept     int `json:"kept"`    // in the source
	// Others is the number of credentials of other agents in the source, if it is known.
	Others  int      `json:"others,omitempty"`
	Remarks []string `json:"remarks,omitempty"`
}

func (s *session) migrate(ctx context.Context) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	from, err := s.migrationSource()
	if err != nil {
		return err
	}
	shreds := s.c.Bool("shred-source")
	switch {
	case shreds && s.c.Bool("dry-run"):
		return usagef("--dry-run and --shred-source exclude each other")
	case shreds:
		if err := s.canConfirm("--shred-source removes credentials from the source"); err != nil {
			return err
		}
	}
	set, err := s.settings()
	if err != nil {
		return err
	}
	if set.Write.Text != "" {
		return hint(usagef("%s: write = %q: migrate stores envelopes", set.Write.From, set.Write.Text), "remove write from the profile, or use another profile")
	}
	s.createsStore = !s.c.Bool("dry-run")
	v, err := s.open(ctx, mustKeys)
	if err != nil {
		return err
	}
	source, err := from.open(ctx, v)
	if err != nil {
		return err
	}
	defer source.Close()
	if shreds {
		if err := s.confirm(ctx, v, "Remove the verified credentials from "+visible(from.text)+" after the migration"); err != nil {
			return err
		}
	}
	m := &migration{session: s, counts: make(map[migrate.Status]int)}
	run := migrate.New(source, v.Vault, &migrate.Options{
		DryRun: s.c.Bool("dry-run"), Overwrite: s.c.Bool("overwrite"), NoOtherWriters: s.c.Bool("no-other-writers"),
		InPlace: from.text == "agentkeys", Now: s.now, Written: func(info vault.Info) { s.owe(v, info) },
	})
	others, err := run.Run(ctx, m.report)
	if err != nil && len(m.counts) == 0 {
		return err
	}
	if others > 0 {
		m.Others = others
	}
	if err == nil && shreds {
		err = m.shred(ctx, run)
	}
	if serr := m.summarize(); err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	return m.result(others, v)
}

// result returns the error of a complete run.
func (m *migration) result(others int, v *opened) error {
	var parts []string
	if m.Failed > 0 {
		parts = append(parts, plural(m.Failed, "credential was", "credentials were")+" not migrated")
	}
	if m.Kept > 0 {
		parts = append(parts, plural(m.Kept, "credential was", "credentials were")+" kept in the source")
	}
	switch {
	case len(parts) > 0:
		return fmt.Errorf("%w: %s", errPartial, strings.Join(parts, ", "))
	case len(m.counts) == 0 && others > 0:
		return hint(fmt.Errorf("%w: the source has no credentials of this agent, and %d of others", vault.ErrNotFound, others), "check --agent and --tenant")
	}
	return nil
}

// migrationLine is a line of migrate --json.
type migrationLine struct {
	Agent    string  `json:"agent"`
	Service  string  `json:"service"`
	Status   string  `json:"status"` // found, verified, skipped or failed; then removed or kept
	Stored   bool    `json:"stored,omitempty"`
	Replaces bool    `json:"replaces,omitempty"` // another value of the vault
	Size     int     `json:"size,omitempty"`
	Revision int64   `json:"revision,omitempty"`
	Reason   string  `json:"reason,omitempty"` // if the status is skipped or kept
	Error    *report `json:"error,omitempty"`  // if the status is failed
}

// report prints the result of one credential.
func (m *migration) report(r migrate.Result) error {
	m.counts[r.Status]++
	if r.Stored {
		m.Stored++
	}
	line := migrationLine{Agent: r.Agent, Service: r.Service, Status: string(r.Status), Stored: r.Stored, Replaces: r.Replaces, Size: r.Size, Revision: r.Info.Revision}
	switch r.Status {
	case migrate.StatusSkipped:
		line.Reason = r.Err.Error()
	case migrate.StatusFailed:
		failure := explain("migrate", m.opened.explainKey(migrateHint(r.Err)))
		if failure.Name = r.Service; r.Err == migrate.ErrPending {
			failure.Hint = "run {vault} sync first"
		}
		failure = m.filled(failure)
		line.Error = &failure
	}
	if m.json {
		return m.print(line)
	}
	if line.Error != nil {
		m.printError(*line.Error)
	}
	detail := line.Reason
	switch {
	case r.Stored && r.Replaces:
		detail = "stored, and replaced another value"
	case r.Replaces:
		detail = "would replace another value"
	case r.Stored:
		detail = "stored"
	case r.Status == migrate.StatusVerified:
		detail = "was in the vault"
	}
	return m.line(string(r.Status), r.Service, size(int64(r.Size)), detail)
}

// migrateHint adds a hint to the error of one credential.
func migrateHint(err error) error {
	switch {
	case errors.Is(err, vault.ErrUnsupported) && !errors.Is(err, vault.ErrLegacyLimit) && reasonHint(err) == "":
		return hint(err, "use --no-other-writers while no other program writes these objects")
	case errors.Is(err, migrate.ErrDiffers):
		return hint(err, "compare the values; --overwrite replaces the value of the vault")
	}
	return err
}

// line prints the columns of a line.
func (m *migration) line(columns ...string) error {
	text := ""
	for i, column := range columns {
		if i > 0 {
			text += "\t"
		}
		text += visible(column)
	}
	_, err := fmt.Fprintln(m.out, text)
	return err
}

// summarize prints the numbers of the run.
func (m *migration) summarize() error {
	m.Found, m.Verified = m.counts[migrate.StatusFound], m.counts[migrate.StatusVerified]
	m.Skipped, m.Failed = m.counts[migrate.StatusSkipped], m.counts[migrate.StatusFailed]
	if m.json {
		return m.print(map[string]migrationSummary{"summary": m.migrationSummary})
	}
	if m.Found > 0 {
		m.note("%s would be stored", plural(m.Found, "credential", "credentials"))
	}
	m.note("%d verified, %d of them stored by this run, %d skipped, %d failed", m.Verified, m.Stored, m.Skipped, m.Failed)
	if m.Removed+m.Kept > 0 {
		m.note("%d removed from the source, %d kept", m.Removed, m.Kept)
	}
	for _, remark := range m.Remarks {
		m.note("%s", remark)
	}
	if m.Others > 0 {
		m.note("the source also has %s of other agents: migrate them with --agent and --tenant", plural(m.Others, "credential", "credentials"))
	}
	return nil
}

// shred removes the verified credentials from the source, and prints the results.
func (m *migration) shred(ctx context.Context, run *migrate.Migration) error {
	result, err := run.Shred(ctx)
	show := func(status string, item migrate.Item, reason string) error {
		if m.json {
			return m.print(migrationLine{Agent: item.Agent, Service: item.Service, Status: status, Reason: reason})
		}
		return m.line(status, item.Service, "", reason)
	}
	for _, item := range result.Removed {
		if err := show("removed", item, ""); err != nil {
			return err
		}
	}
	for _, kept := range result.Kept {
		if err := show("kept", kept.Item, kept.Reason); err != nil {
			return err
		}
	}
	m.Removed, m.Kept, m.Remarks = len(result.Removed), len(result.Kept), result.Remarks
	return err
}
