package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"

	"github.com/objectvault/objectvault/audit"
)

// A clientLog is what the logs of the command say about requests: vault audit reads the files of --log
// first, and then finds their requests in the logs of the store.
type clientLog struct {
	ops     map[string]string // the operation by the id of a request; nil: there are no such files
	stores  bool              // there are other logs, too
	matched int               // requests of the store's logs that are in ops
	full    bool              // ops has as many ids as may be
}

// maxClientIDs limits the memory.
const maxClientIDs = 2_000_000

// hides reports whether a record is one of the command, which is shown only if there are no other logs.
func (c *clientLog) hides(r audit.Record) bool { return r.Dialect == audit.Client && c.stores }

// match returns the operation that sent the request of a record, or "". known is false if no log of the
// command was read, so that nothing is known.
func (c *clientLog) match(r audit.Record) (op string, known bool) {
	if c.ops == nil || !c.stores || r.Dialect == audit.Client {
		return "", false
	}
	if op = c.ops[r.RequestID]; op != "" {
		c.matched++
	}
	return op, true
}

// readClientLogs reads the logs of the command among the local files.
func (a *auditing) readClientLogs(ctx context.Context) error {
	for _, source := range a.sources {
		if _, local := source.(localLogs); !local {
			a.client.stores = true
			continue
		}
		for f, err := range source.logs(ctx, a.dates()) {
			if err == nil {
				err = a.readClientLog(ctx, f)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// readClientLog reads one file, if it is a log of the command. Errors are reported when it is read again.
func (a *auditing) readClientLog(ctx context.Context, f logFile) error {
	r, err := f.open(ctx, 0)
	if err != nil {
		return ctx.Err()
	}
	defer r.Close()
	head := make([]byte, 4<<10)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return ctx.Err()
	}
	if audit.Detect(head[:n]) != audit.Client {
		a.client.stores = a.client.stores || n > 0
		return nil
	}
	if a.client.ops == nil {
		a.client.ops = make(map[string]string)
	}
	for rec, err := range recordsAfter(head[:n], r) {
		if err != nil {
			continue
		}
		for _, id := range rec.RequestIDs {
			if len(a.client.ops) == maxClientIDs {
				a.client.full = true
				return nil
			}
			a.client.ops[id] = rec.Operation
		}
	}
	return ctx.Err()
}

// recordsAfter returns the records of a log of the command, whose start was read.
func recordsAfter(start []byte, rest io.Reader) iter.Seq2[audit.Record, error] {
	return audit.Read(io.MultiReader(bytes.NewReader(start), rest), &audit.Options{Dialect: audit.Client})
}

// finishClient reports what the logs of the command showed.
func (a *auditing) finishClient() {
	if a.client.ops == nil || !a.client.stores {
		return
	}
	a.note("%s of the log of %s: those without the remark not-vault", count(a.client.matched, "record is", "records are"), a.prog)
	if a.client.full {
		a.note("the log of %s has more than %d requests; the others are not known", a.prog, maxClientIDs)
	}
}
