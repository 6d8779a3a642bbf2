package main

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"strings"
	"time"

	"github.com/objectvault/objectvault/audit"
)

// A clientLog is what the logs of the command say about requests: vault audit reads the files of --log
// first, and then finds their requests in the logs of the store.
type clientLog struct {
	ops            map[uint64]string // the operation by the hash of the id of a request; nil: there are no such files
	seed           maphash.Seed
	names          map[string]string // each name of an operation once
	oldest, newest time.Time         // of the records
	stores         bool              // there are other logs, too
	matched        int               // requests of the store's logs that are in ops
	unlisted       int               // requests of the records without an id
	most           int               // ids that ops may have
	full           bool              // there were more
}

const (
	maxClientIDs = 2_000_000 // limits the memory
	clientStart  = 64 << 10  // bytes of a file that show whether it is a log, and of which kind
)

// match returns the operation that sent the request of a record, or "". known is false if the logs of the
// command would not have the request: because there are none of its time, or not all of their ids are known.
func (c *clientLog) match(r audit.Record) (op string, known bool) {
	if c.ops == nil || !c.stores || r.Dialect == audit.Client {
		return "", false
	}
	if op = c.ops[maphash.String(c.seed, r.RequestID)]; op != "" {
		c.matched++
	}
	// The logs of most stores have no fractions of a second.
	return op, op != "" || !c.full && !r.Time.Before(c.oldest.Truncate(time.Second)) && !r.Time.After(c.newest)
}

// start prepares for the first file, and for at most most ids.
func (c *clientLog) start(most int) {
	c.ops, c.names, c.seed, c.most = make(map[uint64]string), make(map[string]string), maphash.MakeSeed(), most
}

// add remembers the requests of a record of the command, if they can be in the range.
func (c *clientLog) add(r audit.Record, in dateRange) {
	if c.oldest.IsZero() || r.Time.Before(c.oldest) {
		c.oldest = r.Time
	}
	c.newest = later(c.newest, r.Time)
	if r.Time.Before(in.since) || r.Time.After(in.until) {
		return
	}
	c.unlisted += r.RequestsWithoutID
	op, ok := c.names[r.Operation]
	if !ok {
		op = strings.Clone(r.Operation)
		c.names[op] = op
	}
	for _, id := range r.RequestIDs {
		if len(c.ops) == c.most {
			c.full = true
			return
		}
		c.ops[maphash.String(c.seed, id)] = op
	}
}

// started takes note of a file with the start of a log of d, or of no log.
func (c *clientLog) started(d audit.Dialect) {
	c.stores = c.stores || d != "" && d != audit.Client
}

// readAhead reads the files that are needed before the logs of the store: the logs of the command, and the numbers
// of RGW. They must be on this machine.
func (a *auditing) readAhead(ctx context.Context) error {
	var logs []logSource
	for _, source := range a.sources {
		switch s := source.(type) {
		case localLogs:
			for f, err := range s.logs(ctx, a.dates()) {
				if err == nil {
					err = a.readFileAhead(ctx, f)
				}
				if err != nil {
					return err
				}
			}
		case streamedLog: // it cannot be read twice, but it can be the only log
			head, _ := s.r.Peek(clientStart)
			if audit.IsUsage(head) {
				if err := a.readUsage(ctx, s.name, s.r); err != nil {
					return err
				}
				s.close()
				continue
			}
			a.client.started(audit.Detect(head))
		default:
			a.client.stores = true
		}
		logs = append(logs, source)
	}
	a.sources = logs
	return ctx.Err()
}

// readFileAhead reads one file, if it is needed before the others. If it is a log, its errors are reported when it
// is read again.
func (a *auditing) readFileAhead(ctx context.Context, f logFile) error {
	r, err := f.open(ctx, 0)
	if err != nil {
		return ctx.Err()
	}
	defer r.Close()
	head := make([]byte, clientStart)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return ctx.Err()
	}
	head = head[:n]
	whole := io.MultiReader(bytes.NewReader(head), r)
	if audit.IsUsage(head) {
		return a.readUsage(ctx, f.name, whole)
	}
	d := audit.Detect(head)
	if a.client.started(d); d != audit.Client {
		return nil
	}
	c := &a.client
	if c.ops == nil {
		c.start(maxClientIDs)
	}
	in := dateRange{a.since.Add(-time.Hour), a.until.Add(time.Hour)}
	for rec, err := range audit.Read(whole, &audit.Options{Dialect: audit.Client}) {
		if err == nil {
			c.add(rec, in)
		}
	}
	return ctx.Err()
}

// finishClient reports what the logs of the command showed.
func (a *auditing) finishClient() {
	if a.client.ops == nil || !a.client.stores {
		return
	}
	a.note("%s of the log of %s, which begins at %s and ends at %s: other requests between have the remark not-vault",
		plural(a.client.matched, "record is", "records are"), a.prog, timestamp(a.client.oldest), timestamp(a.client.newest))
	if a.client.unlisted > 0 {
		a.note("%s in the log of %s without an id, so that the remark not-vault can be wrong", plural(a.client.unlisted, "request is", "requests are"), a.prog)
	}
	if a.client.full {
		a.note("the log of %s has more than %d requests, so that no record has the remark not-vault", a.prog, maxClientIDs)
	}
}
