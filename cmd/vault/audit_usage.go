package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/audit"
)

// A usageCheck compares the numbers of requests that RGW has counted with its logs. vault audit reads the numbers
// first.
//
// RGW counts a request in the hour in which it ends, and logs when it began and how long it took. A request that
// ended near the border of two hours is accepted for both of them, so that a difference between two clocks
// is no missing request.
//
// radosgw-admin adds up the hours of a bucket, and prints the first one. So the numbers of a bucket are those of
// the time up to its next numbers, or up to --until. Newer requests of the logs are of no importance without
// --until: RGW may not have stored their numbers yet, or the numbers were printed before.
type usageCheck struct {
	buckets map[string]*usageBucket // by the name in the log
	counts  int                     // requests by bucket, hour and operation
	names   int                     // bytes of the names of these
	full    bool                    // there are more than maxUsageCounts, or maxUsageNames
	outside int64                   // requests that RGW counted from a time on that is not in the range
	last    string                  // id of the last request of the logs
}

// A usageBucket is the numbers of a bucket.
type usageBucket struct {
	starts map[usageStart]map[string]int64 // by operation
	twice  bool                            // the same number was given twice
	parts  []*usagePart                    // made of starts, in the order of time
}

// A usageStart is the user that radosgw-admin sorts by, and the first hour.
type usageStart struct {
	user  string
	epoch int64
}

// A usagePart is how many requests RGW has counted in a range of time, and how many the logs have.
type usagePart struct {
	from, to time.Time // to is zero if there is no end
	last     bool      // of the bucket
	counts   map[string]*usageCount
}

type usageCount struct {
	counted, logged int64
	later           int64 // requests in the logs after --until
	certain         int64 // of logged, those that no other range can have
}

const (
	maxUsageCounts = 200_000         // limits the memory
	maxUsageNames  = 32 << 20        // bytes; also limits the memory
	usageBorder    = 5 * time.Second // by which RGW can be wrong about the hour
	usageMissing   = "-"             // the bucket of requests with status 404
)

// usageCounts is a member of the summary of --json.
type usageCounts struct {
	Counted     int64      `json:"counted"`           // requests that RGW counted, and that were compared
	Missing     int64      `json:"missing"`           // of these, the ones that the logs do not have
	Surplus     int64      `json:"surplus,omitempty"` // requests of the logs that RGW did not count
	NotCompared int64      `json:"not_compared"`      // requests that RGW counted, of other times than the range
	Gaps        []usageGap `json:"gaps,omitempty"`
}

// A usageGap is a range of time in which requests are missing.
type usageGap struct {
	Bucket     string           `json:"bucket"` // "-" is the requests with status 404 of all buckets
	From       time.Time        `json:"from"`
	To         *time.Time       `json:"to,omitempty"`
	Counted    int64            `json:"counted"`
	Logged     int64            `json:"logged"`
	Operations map[string]int64 `json:"operations"` // missing requests

	after bool // there may be fewer, because the logs have enough after --until
}

// maxUsageGaps limits the length of the summary.
const maxUsageGaps = 100

// readUsage reads the numbers that RGW has counted.
func (a *auditing) readUsage(ctx context.Context, name string, r io.Reader) error {
	if a.Usage == nil {
		a.Usage = new(usageCounts)
	}
	for u, err := range audit.ReadUsage(r) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return a.logFailed(ctx, name, err)
		}
		a.usage.read(u, a.bucket, a.since, a.until)
	}
	return ctx.Err()
}

// read remembers a number, if the logs can have its requests.
func (c *usageCheck) read(u audit.Usage, bucket string, since, until time.Time) {
	name := u.Bucket
	// The bucket of a tenant of RGW is TENANT/BUCKET in the log.
	if tenant, _, ok := strings.Cut(u.Owner, "$"); ok && tenant != "" && name != usageMissing {
		name = tenant + "/" + name
	}
	user := cmp.Or(u.Payer, u.Owner)
	length := len(name) + len(user) + len(u.Operation)
	switch {
	case u.Bucket == "", u.Owner == "", u.Requests == 0, bucket != "" && bucket != name:
		return // the log has no requests without a bucket, or for one that does not exist
	case u.Hour.Before(since), !u.Hour.Before(until):
		c.outside += u.Requests
		return
	case c.full, c.counts == maxUsageCounts, c.names+length > maxUsageNames:
		c.full = true
		return
	}
	c.counts++
	c.names += length
	if c.buckets == nil {
		c.buckets = make(map[string]*usageBucket)
	}
	b := c.buckets[name]
	if b == nil {
		b = &usageBucket{starts: make(map[usageStart]map[string]int64)}
		c.buckets[name] = b
	}
	start := usageStart{user, u.Hour.Unix()}
	if b.starts[start] == nil {
		b.starts[start] = make(map[string]int64)
	}
	if _, ok := b.starts[start][u.Operation]; ok {
		b.twice = true
	}
	b.starts[start][u.Operation] += u.Requests
}

// split divides the time of each bucket into parts. until is zero if the user gave no end.
func (c *usageCheck) split(until time.Time) {
	for _, b := range c.buckets {
		starts := slices.SortedFunc(maps.Keys(b.starts), func(a, b usageStart) int {
			return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.user, b.user))
		})
		// The numbers of another user can reach beyond the next hour. Then only their sum can be compared.
		several := slices.ContainsFunc(starts, func(s usageStart) bool { return s.user != starts[0].user })
		for _, s := range starts {
			if len(b.parts) == 0 || !several {
				at := time.Unix(s.epoch, 0).UTC()
				if len(b.parts) > 0 {
					b.parts[len(b.parts)-1].to = at
				}
				b.parts = append(b.parts, &usagePart{from: at, counts: make(map[string]*usageCount)})
			}
			part := b.parts[len(b.parts)-1]
			for operation, n := range b.starts[s] {
				if part.counts[operation] == nil {
					part.counts[operation] = new(usageCount)
				}
				part.counts[operation].counted += n
			}
		}
		if len(b.parts) > 0 {
			part := b.parts[len(b.parts)-1]
			part.to, part.last = until, true
		}
		b.starts = nil
	}
}

// add counts a request of the logs. A request can have several records, one after the other: for each object, and
// for the source of a copy, which may be in another bucket.
func (c *usageCheck) add(r audit.Record) {
	if c.buckets == nil || r.Dialect != audit.RGW || r.Verb == audit.VerbRead && r.Operation != "get_obj" {
		return
	}
	if r.RequestID != "" && r.RequestID == c.last {
		return
	}
	c.last = r.RequestID
	bucket := r.Bucket
	if ofObject := r.Operation == "multi_object_delete" && r.Key != ""; r.Status == http.StatusNotFound && !ofObject {
		bucket = usageMissing
	}
	b := c.buckets[bucket]
	if b == nil {
		return
	}
	end := r.Time.Add(r.Duration)
	i, _ := slices.BinarySearchFunc(b.parts, end.Add(usageBorder), func(p *usagePart, at time.Time) int {
		if p.from.After(at) {
			return 1
		}
		return -1
	})
	for i--; i >= 0; i-- {
		p := b.parts[i]
		inside := p.to.IsZero() || end.Before(p.to.Add(usageBorder))
		if !inside && !p.last {
			return
		}
		if n := p.counts[r.Operation]; n != nil && inside {
			n.logged++
			if !end.Before(p.from.Add(usageBorder)) && end.Before(p.to.Add(-usageBorder)) {
				n.certain++ // not in a part without an end, whose newer requests RGW may not have stored yet
			}
		} else if n != nil {
			n.later++
		}
	}
}

// compare returns how many of the requests that RGW counted are in the logs.
func (c *usageCheck) compare() (all usageCounts) {
	all.NotCompared = c.outside
	for _, name := range slices.Sorted(maps.Keys(c.buckets)) {
		for _, p := range c.buckets[name].parts {
			surplus := int64(0)
			g := usageGap{Bucket: name, From: p.from, To: utc(p.to), Operations: make(map[string]int64), after: true}
			for operation, n := range p.counts {
				g.Counted += n.counted
				g.Logged += min(n.logged, n.counted)
				surplus += max(0, n.certain-n.counted)
				if missing := n.counted - n.logged; missing > 0 {
					g.Operations[operation] = missing
					g.after = g.after && n.later >= missing
				}
			}
			// The numbers of an hour that --until divides cannot be printed without the rest of the hour.
			if c.buckets[name].twice || p.last && !p.to.IsZero() && p.to.Sub(p.from)%time.Hour != 0 {
				all.NotCompared += g.Counted
				continue
			}
			all.Counted += g.Counted
			all.Surplus += surplus
			if all.Missing += g.Counted - g.Logged; g.Counted > g.Logged && len(all.Gaps) < maxUsageGaps {
				all.Gaps = append(all.Gaps, g)
			}
		}
	}
	return all
}

// finishUsage reports what the numbers of RGW showed.
func (a *auditing) finishUsage() {
	u := a.Usage
	if u == nil {
		return
	}
	for _, g := range u.Gaps {
		bucket, end, missing := "for the bucket "+g.Bucket, " on", []string(nil)
		if g.Bucket == usageMissing {
			bucket = "with status 404"
		}
		if g.To != nil {
			end = " to " + timestamp(*g.To)
		}
		for _, operation := range slices.Sorted(maps.Keys(g.Operations)) {
			missing = append(missing, fmt.Sprintf("%d %s", g.Operations[operation], operation))
		}
		text := fmt.Sprintf("the logs have %d of %s that RGW counted %s from %s%s; missing: %s",
			g.Logged, plural(int(g.Counted), "request", "requests"), bucket, timestamp(g.From), end, strings.Join(missing, ", "))
		if g.after {
			text += "; this can be an error if the numbers of RGW do not end at --until (usage show --end-date)"
		}
		a.note("%s", text)
	}
	if u.Surplus > 0 {
		a.note("the logs have %s more than RGW counted, which can hide missing ones: a log may have been given twice, the numbers may end before --until, or RGW has lost some of them",
			plural(int(u.Surplus), "request", "requests"))
	}
	if u.Missing == 0 && u.Surplus == 0 && u.Counted > 0 {
		a.note("RGW counted %s, and none is missing in the logs", plural(int(u.Counted), "request", "requests"))
	}
	if u.NotCompared > 0 {
		a.note("%s not compared, because the hours begin before --since, do not end at --until, or were given twice: run radosgw-admin usage show with the same times as --start-date and --end-date",
			plural(int(u.NotCompared), "request that RGW counted was", "requests that RGW counted were"))
	}
	if a.usage.full {
		a.note("RGW has too many numbers of this range; only the first %d were compared", a.usage.counts)
	}
}
