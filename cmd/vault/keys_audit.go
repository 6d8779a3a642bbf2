package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// auditLine is a line of keys audit --json.
type auditLine struct {
	Name     vault.Name `json:"name,omitempty"`
	Key      string     `json:"key,omitempty"` // of a foreign object
	Version  string     `json:"version,omitempty"`
	Revision int64      `json:"revision,omitempty"`
	Rewrap   int        `json:"rewrap,omitempty"`
	Stanzas  []stanza   `json:"stanzas,omitempty"`
	Remarks  []string   `json:"remarks,omitempty"` // single, retired, unopened, agentkeys, foreign
	Error    *report    `json:"error,omitempty"`
}

type stanza struct {
	Type   byte   `json:"type"`
	KeyID  string `json:"key_id"`
	Source string `json:"source,omitempty"` // the source that opens it; empty: none of those configured
}

// A keyAudit shows the recipients of objects.
type keyAudit struct {
	*session
	v        *opened
	sources  []envelope.KeySource
	shown    []string // the URL of each source
	retired  int      // the sources from this index on are retired
	table    *columns
	failed   int
	unopened int
}

func (s *session) keysAudit(ctx context.Context) error {
	args, err := s.arguments(0, 1)
	if err != nil {
		return err
	}
	s.keepKeys = time.Minute
	v, err := s.open(ctx, mustKeys)
	if err != nil {
		return err
	}
	a := &keyAudit{session: s, v: v, table: s.columns("llrll", "NAME", "VERSION", "REVISION", "KEYS", "REMARKS")}
	for _, source := range v.sources {
		a.add(source)
	}
	a.retired = len(a.sources)
	for _, text := range s.c.StringSlice("retired") {
		source, err := s.keySource(ctx, v.settings, config.Value{Text: text, From: "--retired"})
		if err != nil {
			return err
		}
		a.add(source)
	}
	o := &vault.ListOptions{Prefix: strings.Join(args, ""), Removed: s.c.Bool("versions")}
	err = eachAtOnce(ctx, v.Vault, o, entriesAtOnce, a.entry, func(lines []auditLine) error {
		for _, line := range lines {
			if err := a.print(line); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, a.table.flush()); err != nil {
		return err
	}
	if n := a.failed + a.unopened; n > 0 {
		return hint(fmt.Errorf("%w: %s could not be opened", errPartial, plural(n, "object or version", "objects or versions")), "add the key sources of their writers with --keys")
	}
	return nil
}

func (a *keyAudit) add(source envelope.KeySource) {
	a.sources = append(a.sources, source)
	a.shown = append(a.shown, source.Name())
}

// entry returns the lines for an object and, with --versions, for its old versions.
func (a *keyAudit) entry(ctx context.Context, e vault.Entry) []auditLine {
	if e.Foreign {
		return []auditLine{{Key: e.Key, Remarks: []string{"foreign"}}}
	}
	if e.Legacy {
		return []auditLine{{Name: e.Name, Key: e.Key, Remarks: []string{"agentkeys"}}}
	}
	var lines []auditLine
	if !e.Removed {
		lines = append(lines, a.line(ctx, e.Name, ""))
	}
	if !a.c.Bool("versions") {
		return lines
	}
	for h, err := range a.v.History(ctx, e.Name) {
		switch {
		case err != nil:
			r := a.filled(explain("keys audit", err))
			return append(lines, auditLine{Name: e.Name, Error: &r})
		case h.Deleted || h.Current:
			continue
		}
		lines = append(lines, a.line(ctx, e.Name, h.Version))
	}
	return lines
}

func (a *keyAudit) line(ctx context.Context, name vault.Name, version string) auditLine {
	l := auditLine{Name: name, Version: version}
	info, recipients, err := a.v.Recipients(ctx, name, &vault.RecipientsOptions{Version: version, Sources: a.sources})
	l.Revision, l.Rewrap = info.Revision, info.Rewrap
	current, retired := 0, 0
	for _, r := range recipients {
		s := stanza{Type: r.Type, KeyID: r.ID}
		switch {
		case r.Source >= a.retired:
			retired++
		case r.Source >= 0:
			current++
		}
		if r.Source >= 0 {
			s.Source = a.shown[r.Source]
		}
		l.Stanzas = append(l.Stanzas, s)
	}
	switch {
	case errors.Is(err, vault.ErrLegacy):
		l.Remarks = append(l.Remarks, "agentkeys")
		return l
	case err != nil:
		r := a.filled(explain("keys audit", err))
		l.Error = &r
	}
	switch {
	case len(recipients) == 0:
	case current+retired == 0:
		l.Remarks = append(l.Remarks, "unopened")
	case current == 0:
		l.Remarks = append(l.Remarks, "retired")
	}
	if len(recipients) == 1 {
		l.Remarks = append(l.Remarks, "single")
	}
	return l
}

func (a *keyAudit) print(l auditLine) error {
	switch {
	case slices.Contains(l.Remarks, "unopened"):
		a.unopened++
	case l.Error != nil:
		a.failed++
	}
	if a.json {
		return a.ui.print(l)
	}
	if l.Error != nil {
		a.printError(*l.Error)
	}
	var keys []string
	for _, s := range l.Stanzas {
		if s.Source == "" {
			s.Source = fmt.Sprintf("?%d:%s", s.Type, s.KeyID[:8])
		}
		keys = append(keys, s.Source)
	}
	name := string(l.Name)
	if l.Key != "" {
		name = "(foreign) " + l.Key
	}
	revision := ""
	if l.Revision > 0 {
		revision = fmt.Sprint(l.Revision)
	}
	return a.table.add(name, l.Version, revision, strings.Join(keys, ", "), strings.Join(l.Remarks, ", "))
}
