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
	succeeded                      bool
	reads, writes, deletes, denied int
	lastRead, lastWrite            time.Time
	days                           map[string]int // reads of each day
}

const (
	maxAuditGroups = 200_000 // limits the memory of the summary
	maxAuditDenied = 50_000  // groups without a successful request: a caller can invent names
)

// auditUses is what the summary prints.
type auditUses struct {
	groups   map[auditGroup]*auditUse
	denied   int                 // groups without a successful request
	read     map[auditGroup]bool // names that a caller has read, without the caller
	stored   map[auditGroup]bool // names of the store, with --all-names
	details  map[auditGroup]auditDetails
	complete bool // no read is missing
}

func (s *session) auditSummary(ctx context.Context) error {
	a, err := s.newAuditing(ctx)
	if err != nil {
		return err
	}
	defer a.closeSources()
	uses := &auditUses{
		groups: make(map[auditGroup]*auditUse), read: make(map[auditGroup]bool), stored: make(map[auditGroup]bool),
		details: make(map[auditGroup]auditDetails), complete: true,
	}
	if a.c.Bool("all-names") {
		if err := a.addNames(ctx, uses.stored); err != nil {
			return err
		}
	}
	err = a.each(ctx, func(r audit.Record) error {
		if r.Ambiguous && r.Key == "" && r.Verb == audit.VerbRead && !r.Failed() {
			uses.complete = false // it may be the read of any object
		}
		if !r.Object || !a.selects(r) {
			return nil
		}
		a.Shown++
		if start := a.starts[r.Bucket]; start != nil {
			start.objects = true
		}
		if !uses.add(r) {
			a.omitted++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a.c.Bool("details") {
		if err := a.addDetails(ctx, uses); err != nil {
			return err
		}
	}
	uses.complete = a.startInTime() && uses.complete && a.Failed == 0 && a.Unreadable == 0 && (a.Usage == nil || a.Usage.Missing == 0 && a.Usage.Surplus == 0)
	if err := a.printUses(uses); err != nil {
		return err
	}
	return a.finish()
}

// A bucketStart is where the logs of a bucket begin.
type bucketStart struct {
	oldest  time.Time // of its records
	objects bool      // the summary has objects of the bucket
}

// maxAuditBuckets limits the memory: the log of a server also has requests for buckets that do not exist.
const maxAuditBuckets = 10_000

// sawBucket remembers the time of the oldest record of each bucket.
func (a *auditing) sawBucket(r audit.Record) {
	start := a.starts[r.Bucket]
	switch {
	case start != nil && r.Time.Before(start.oldest):
		start.oldest = r.Time
	case start == nil && len(a.starts) < maxAuditBuckets:
		a.starts[strings.Clone(r.Bucket)] = &bucketStart{oldest: r.Time}
	}
}

// startInTime reports whether the logs of the buckets with objects begin before the range, or within its
// first day.
func (a *auditing) startInTime() bool {
	found := false
	for _, bucket := range slices.Sorted(maps.Keys(a.starts)) {
		start := a.starts[bucket]
		if !start.objects && a.bucket == "" {
			continue
		}
		found = true
		if !a.since.IsZero() && start.oldest.After(a.since.AddDate(0, 0, 1)) {
			a.note("the oldest record of the bucket %s has the time %s, which is later than --since: names can have been read before, so that none is marked as unread", bucket, timestamp(start.oldest))
			return false
		}
	}
	return found && len(a.starts) < maxAuditBuckets
}

// add counts a request, and reports whether there was room for its group.
func (u *auditUses) add(r audit.Record) bool {
	g := auditGroup{r.Tenant, r.Collection, r.Name, r.Principal}
	use, succeeded := u.groups[g], !r.Failed() && !r.Ambiguous
	if use == nil || !u.read[g.withoutCaller()] {
		g = g.clone() // the parts of a record keep its whole line
	}
	if r.Verb == audit.VerbRead && (succeeded || r.Ambiguous) && !u.read[g.withoutCaller()] {
		if len(u.read) < maxAuditGroups {
			u.read[g.withoutCaller()] = true
		} else {
			u.complete = false
		}
	}
	if use == nil {
		if succeeded && len(u.groups)-u.denied >= maxAuditGroups || !succeeded && u.denied >= maxAuditDenied {
			return false
		}
		use = new(auditUse)
		u.groups[g] = use
		if !succeeded {
			u.denied++
		}
	} else if succeeded && !use.succeeded {
		u.denied--
	}
	use.succeeded = use.succeeded || succeeded
	use.add(r)
	return true
}

func (g auditGroup) withoutCaller() auditGroup {
	g.caller = ""
	return g
}

func (g auditGroup) clone() auditGroup {
	return auditGroup{
		vault.Tenant(strings.Clone(string(g.tenant))), vault.Collection(strings.Clone(string(g.collection))),
		vault.Name(strings.Clone(string(g.name))), strings.Clone(g.caller),
	}
}

// addNames adds the names of the tenant and the collection in the store.
func (a *auditing) addNames(ctx context.Context, names map[auditGroup]bool) error {
	v, err := a.open(ctx, noKeys)
	if err != nil {
		return err
	}
	for e, err := range v.List(ctx, nil) {
		if err != nil {
			return err
		}
		r := audit.Record{Tenant: v.Tenant(), Collection: v.Collection(), Name: e.Name, Object: true}
		if e.Foreign || !a.selects(r) {
			continue
		}
		names[auditGroup{r.Tenant, r.Collection, r.Name, ""}] = true
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
func (a *auditing) addDetails(ctx context.Context, uses *auditUses) error {
	v, err := a.open(ctx, mustKeys)
	if err != nil {
		return err
	}
	names := maps.Clone(uses.stored)
	for g := range uses.groups {
		if g.tenant == v.Tenant() && g.collection == v.Collection() {
			names[g.withoutCaller()] = true
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
			uses.details[r.g] = auditDetails{r.info.Expires, r.info.Labels}
		}
	}
	return nil
}

func (u *auditUse) add(r audit.Record) {
	switch {
	case r.Denied:
		u.denied++
	case r.Failed(), r.Ambiguous:
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

func (a *auditing) printUses(uses *auditUses) error {
	for g := range uses.groups {
		delete(uses.stored, g.withoutCaller())
	}
	for g := range uses.stored { // no log mentions the name
		uses.groups[g] = new(auditUse)
	}
	groups := slices.SortedFunc(maps.Keys(uses.groups), func(a, b auditGroup) int {
		return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.collection, b.collection), cmp.Compare(a.name, b.name), cmp.Compare(a.caller, b.caller))
	})
	columns, heads := "llllrrrrRlll", []string{"TENANT", "COLLECTION", "NAME", "CALLER", "READS", "PER DAY", "WRITES", "DELETIONS", "DENIED", "LAST READ", "LAST WRITE", "REMARK"}
	if a.c.Bool("details") {
		columns, heads = columns+"ll", append(heads, "EXPIRES", "LABELS")
	}
	table := a.columns(columns, heads...)
	for _, g := range groups {
		u, name := uses.groups[g], g.withoutCaller()
		unread, d := uses.complete && !uses.read[name], uses.details[name]
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
		denied := noEmphasis
		if u.denied > 0 {
			denied = alarming
		}
		if err := table.addEmphasized(denied, line...); err != nil {
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
