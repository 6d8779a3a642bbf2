package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/audit"
	"github.com/objectvault/objectvault/internal/ordered"
	"github.com/objectvault/objectvault/vault"
)

// An auditGroup is a name and a caller.
type auditGroup struct {
	tenant     vault.Tenant
	collection vault.Collection
	name       vault.Name
	caller     string // without the session
}

// An auditUse is how a caller has used a name.
type auditUse struct {
	reads, writes, deletes, denied int
	lastRead, lastWrite            time.Time
	days                           map[string]int // reads of each day
}

// maxAuditGroups limits the memory of the summary.
const maxAuditGroups = 200_000

func (s *session) auditSummary(ctx context.Context) error {
	a, err := s.newAuditing(ctx)
	if err != nil {
		return err
	}
	defer a.closeSources()
	uses := make(map[auditGroup]*auditUse)
	if a.c.Bool("all-names") {
		if err := a.addNames(ctx, uses); err != nil {
			return err
		}
	}
	omitted := 0
	err = a.each(ctx, func(r audit.Record) error {
		if !r.Object || !a.selects(r) {
			return nil
		}
		a.Shown++
		g := auditGroup{r.Tenant, r.Collection, r.Name, r.Principal}
		u := uses[g]
		switch {
		case u == nil && len(uses) >= maxAuditGroups:
			omitted++
			return nil
		case u == nil:
			u = &auditUse{days: make(map[string]int)}
			uses[g] = u
		}
		u.add(r)
		return nil
	})
	if err != nil {
		return err
	}
	details := make(map[auditGroup]auditDetails)
	if a.c.Bool("details") {
		if err := a.addDetails(ctx, uses, details); err != nil {
			return err
		}
	}
	if err := a.printUses(uses, details); err != nil {
		return err
	}
	if err := a.finish(); err != nil {
		return err
	}
	if omitted > 0 {
		return fmt.Errorf("%w: %d requests of further names and callers are not in the summary, which has %d lines; select some names, or a shorter range", errPartial, omitted, len(uses))
	}
	return nil
}

// addNames adds the names of the tenant and the collection in the store.
func (a *auditing) addNames(ctx context.Context, uses map[auditGroup]*auditUse) error {
	v, err := a.open(ctx, noKeys)
	if err != nil {
		return err
	}
	for e, err := range v.List(ctx, nil) {
		if err != nil {
			return err
		}
		r := audit.Record{Tenant: v.Tenant(), Collection: v.Collection(), Name: e.Name}
		if e.Foreign || !a.selects(r) {
			continue
		}
		uses[auditGroup{r.Tenant, r.Collection, r.Name, ""}] = new(auditUse)
	}
	return nil
}

// auditDetails are sealed with a value.
type auditDetails struct {
	expires time.Time
	labels  map[string]string
}

// addDetails reads the sealed expiry and the labels of the names of the tenant and the collection. It sends
// a request for each name.
func (a *auditing) addDetails(ctx context.Context, uses map[auditGroup]*auditUse, details map[auditGroup]auditDetails) error {
	v, err := a.open(ctx, mustKeys)
	if err != nil {
		return err
	}
	names := make(map[auditGroup]bool)
	for g := range uses {
		if g.caller = ""; g.tenant == v.Tenant() && g.collection == v.Collection() {
			names[g] = true
		}
	}
	type result struct {
		g    auditGroup
		info vault.Info
		err  error
	}
	all := func(context.Context) iter.Seq2[auditGroup, error] {
		return func(yield func(auditGroup, error) bool) {
			for g := range names {
				if !yield(g, nil) {
					return
				}
			}
		}
	}
	for r, err := range ordered.Map(ctx, logsAtOnce, all, func(ctx context.Context, g auditGroup) result {
		info, err := v.Stat(ctx, g.name)
		return result{g, info, err}
	}) {
		switch {
		case err != nil:
			return err
		case errors.Is(r.err, vault.ErrNotFound): // it was deleted
		case r.err != nil:
			a.printError(explain("audit", about(r.g.name, r.err)))
			a.Failed++
		default:
			details[r.g] = auditDetails{r.info.Expires, r.info.Labels}
		}
	}
	return nil
}

func (u *auditUse) add(r audit.Record) {
	switch {
	case r.Denied:
		u.denied++
	case r.Failed():
	case r.Verb == audit.VerbRead:
		u.reads++
		if u.days == nil {
			u.days = make(map[string]int)
		}
		u.days[r.Time.Format(time.DateOnly)]++
		u.lastRead = later(u.lastRead, r.Time)
	case r.Verb == audit.VerbWrite:
		u.writes++
		u.lastWrite = later(u.lastWrite, r.Time)
	case r.Verb == audit.VerbDelete:
		u.deletes++
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// A useLine is a line of audit summary --json.
type useLine struct {
	Tenant     vault.Tenant     `json:"tenant"`
	Collection vault.Collection `json:"collection"`
	Name       vault.Name       `json:"name"`
	Principal  string           `json:"principal,omitempty"`
	Reads      int              `json:"reads"`
	Writes     int              `json:"writes"`
	Deletes    int              `json:"deletes"`
	Denied     int              `json:"denied"`
	LastRead   *time.Time       `json:"last_read,omitempty"`
	LastWrite  *time.Time       `json:"last_write,omitempty"`
	ReadsByDay map[string]int   `json:"reads_by_day,omitempty"`
	Unread     bool             `json:"unread"` // no caller read the name in the range

	Expires *time.Time        `json:"expires,omitempty"` // with --details
	Labels  map[string]string `json:"labels,omitempty"`
}

func (a *auditing) printUses(uses map[auditGroup]*auditUse, details map[auditGroup]auditDetails) error {
	read := make(map[auditGroup]bool) // without callers
	named := make(map[auditGroup]int)
	nameOf := func(g auditGroup) auditGroup { g.caller = ""; return g }
	for g, u := range uses {
		read[nameOf(g)] = read[nameOf(g)] || u.reads > 0
		named[nameOf(g)]++
	}
	groups := slices.SortedFunc(maps.Keys(uses), func(a, b auditGroup) int {
		return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.collection, b.collection), cmp.Compare(a.name, b.name), cmp.Compare(a.caller, b.caller))
	})
	columns, heads := "llllrrrrrlll", []string{"TENANT", "COLLECTION", "NAME", "CALLER", "READS", "PER DAY", "WRITES", "DELETIONS", "DENIED", "LAST READ", "LAST WRITE", "REMARK"}
	if a.c.Bool("details") {
		columns, heads = columns+"ll", append(heads, "EXPIRES", "LABELS")
	}
	table := a.columns(columns, heads...)
	for _, g := range groups {
		u := uses[g]
		if g.caller == "" && u.days == nil && named[g] > 1 {
			continue // a name of the store that the logs mention
		}
		unread, d := !read[nameOf(g)], details[nameOf(g)]
		if a.json {
			if err := a.print(useLine{g.tenant, g.collection, g.name, g.caller, u.reads, u.writes, u.deletes, u.denied, utc(u.lastRead), utc(u.lastWrite), u.days, unread, utc(d.expires), d.labels}); err != nil {
				return err
			}
			continue
		}
		remark := ""
		if unread {
			remark = "unread"
		}
		line := []string{
			string(g.tenant), string(g.collection), string(g.name), g.caller, fmt.Sprint(u.reads), u.perDay(a), fmt.Sprint(u.writes), fmt.Sprint(u.deletes),
			fmt.Sprint(u.denied), timestamp(u.lastRead), timestamp(u.lastWrite), remark,
		}
		if a.c.Bool("details") {
			var labels []string
			for _, key := range slices.Sorted(maps.Keys(d.labels)) {
				labels = append(labels, key+"="+d.labels[key])
			}
			line = append(line, timestamp(d.expires), strings.Join(labels, ","))
		}
		if err := table.add(line...); err != nil {
			return err
		}
	}
	return table.flush()
}

// perDay returns the reads per day of the range. With --since all, the range starts with the first read.
func (u *auditUse) perDay(a *auditing) string {
	since := a.since
	if since.IsZero() && len(u.days) > 0 {
		since, _ = time.Parse(time.DateOnly, slices.Min(slices.Collect(maps.Keys(u.days))))
	}
	days := max(1, a.until.Sub(since).Hours()/24)
	return fmt.Sprintf("%.1f", float64(u.reads)/days)
}
