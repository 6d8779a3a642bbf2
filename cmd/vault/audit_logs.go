package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/objectvault/objectvault/audit"
	"github.com/objectvault/objectvault/internal/ordered"
	"github.com/objectvault/objectvault/internal/text"
)

// A logSource is a place with logs.
type logSource interface {
	// logs yields the logs that may have records of the range, in the order of their names.
	logs(ctx context.Context, in dateRange) iter.Seq2[logFile, error]
	close() error
}

// A logFile is one log. open returns its bytes, from an offset on if the log is in a bucket.
type logFile struct {
	name string
	open func(ctx context.Context, offset int64) (io.ReadCloser, error)
	// asked means that the user named this file, so that it must be a log.
	asked bool
	// client means that the file is on this machine, so that it may be a log of the command.
	client bool
	// held means that the reader stays open until the rest is read. A connection to a bucket would be idle for
	// too long.
	held bool
}

const (
	logsAtOnce = 8
	logStart   = 1 << 20 // bytes of a log that are read ahead
)

// A fetchedLog is a log with its first bytes. Most logs of a bucket are not longer.
type fetchedLog struct {
	logFile
	start []byte
	whole bool
	rest  io.ReadCloser // nil if it must be opened; closed with the heldLogs
	err   error
}

// heldLogs are the open readers of fetched logs, at most logsAtOnce.
type heldLogs struct {
	mu  sync.Mutex
	all map[io.Closer]bool
}

func (h *heldLogs) add(c io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = make(map[io.Closer]bool)
	}
	h.all[c] = true
}

func (h *heldLogs) close(c io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all[c] {
		delete(h.all, c)
		c.Close()
	}
}

func (h *heldLogs) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.all {
		c.Close()
	}
	clear(h.all)
}

// each reads the logs of all sources, several at once, and calls show for each record of the range.
func (a *auditing) each(ctx context.Context, show func(audit.Record) error) error {
	bar := a.progress("audit", -1)
	defer bar.done()
	var held heldLogs
	defer held.closeAll() // those that were fetched, and will not be read
	for _, source := range a.sources {
		files := func(ctx context.Context) iter.Seq2[logFile, error] { return source.logs(ctx, a.dates()) }
		fetch := func(ctx context.Context, f logFile) fetchedLog { return fetchLog(ctx, f, &held) }
		for log, err := range ordered.Map(ctx, logsAtOnce, files, fetch) {
			if err == nil {
				err = a.eachRecord(ctx, log, bar, show)
			}
			if log.rest != nil {
				held.close(log.rest)
			}
			if err != nil {
				return err
			}
		}
	}
	if a.Usage != nil {
		*a.Usage = a.usage.compare()
	}
	return nil
}

func fetchLog(ctx context.Context, f logFile, held *heldLogs) fetchedLog {
	l := fetchedLog{logFile: f}
	r, err := f.open(ctx, 0)
	if err != nil {
		l.err = err
		return l
	}
	l.start, l.err = io.ReadAll(io.LimitReader(r, logStart))
	l.whole = len(l.start) < logStart
	if l.err != nil || l.whole || !f.held {
		r.Close()
		return l
	}
	held.add(r)
	l.rest = r
	return l
}

// eachRecord calls show for each record of a log. Only the errors of show and the end of ctx end the command.
func (a *auditing) eachRecord(ctx context.Context, log fetchedLog, bar *progress, show func(audit.Record) error) error {
	if log.err != nil {
		return a.logFailed(ctx, log.name, log.err)
	}
	if audit.IsUsage(log.start) {
		if !log.client {
			return usagef("%s has numbers of RGW, which must be in a file on this machine", log.name)
		}
		return nil // readAhead has read it
	}
	var r io.Reader = bytes.NewReader(log.start)
	switch {
	case log.whole:
	case log.rest != nil:
		r = io.MultiReader(r, log.rest)
	default:
		rest, err := log.open(ctx, logStart)
		if err != nil {
			return a.logFailed(ctx, log.name, err)
		}
		defer rest.Close()
		r = io.MultiReader(r, rest)
	}
	for rec, err := range audit.Read(bar.reader(onlyReader{r}), nil) {
		var malformed *audit.ParseError
		switch {
		case errors.As(err, &malformed):
			a.unreadable(log.name, err)
			continue
		case errors.Is(err, audit.ErrDialect) && !log.asked:
			a.NotLogs++
			return nil
		case err != nil:
			return a.logFailed(ctx, log.name, err)
		case rec.Dialect == audit.Client && a.client.stores:
			if !log.client {
				return usagef("%s is a log of %s, which must be a file on this machine", log.name, a.prog)
			}
			continue // readAhead has read it
		}
		a.usage.add(rec) // also if it began before the range, and ended in it
		if !a.inRange(rec) {
			continue
		}
		if err := show(rec); err != nil {
			return err
		}
	}
	a.Logs++
	return nil
}

// onlyReader hides Seek, which reads no log twice.
type onlyReader struct{ io.Reader }

// logFailed counts a log that could not be read. The other logs are read anyway.
func (a *auditing) logFailed(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a.Failed++
	a.printError(explain("audit", fmt.Errorf("%s: %w", name, err)))
	return nil
}

// A dateRange selects logs by the dates in their names. A log has no record that is later than its name,
// and it may come a day late.
type dateRange struct{ since, until time.Time }

func (a *auditing) dates() dateRange {
	return dateRange{a.since.Add(-time.Hour), a.until.Add(24 * time.Hour)}
}

var (
	// The last elements of a path with a month, or with a day. COS may write a prefix directly before the
	// year. A year alone decides nothing, because a bucket or a folder can be named so.
	monthFolder = text.NewRegexp(`(?:^|/)(2\d{3}/\d\d)/$`)
	dayFolder   = text.NewRegexp(`(?:^|\D)(2\d{3}/\d\d/\d\d)/$`)
	// The name of a server access log of S3.
	datedLog = text.NewRegexp(`^.*?(2\d{3}-\d\d-\d\d)-\d\d-\d\d-\d\d-[^/]*$`)
)

// hasFolder reports whether a folder, whose path ends with a slash, may have logs of the range.
func (d dateRange) hasFolder(path string) bool {
	if strings.HasSuffix(path, "/CloudTrail-Digest/") || strings.HasSuffix(path, "/CloudTrail-Insight/") {
		return false // they have no requests
	}
	if m := dayFolder.FindStringSubmatch(path); m != nil {
		day, err := time.Parse("2006/01/02", m[1])
		return err != nil || d.overlaps(day, day.AddDate(0, 0, 1))
	}
	if m := monthFolder.FindStringSubmatch(path); m != nil {
		month, err := time.Parse("2006/01", m[1])
		return err != nil || d.overlaps(month, month.AddDate(0, 1, 0))
	}
	return true
}

func (d dateRange) overlaps(start, end time.Time) bool {
	return start.Before(d.until) && end.After(d.since)
}

// hasLog reports whether a log with a date in its name may have records of the range.
func (d dateRange) hasLog(name string) bool {
	m := datedLog.FindStringSubmatch(name)
	if m == nil {
		return true
	}
	day, err := time.Parse(time.DateOnly, m[1])
	return err != nil || d.overlaps(day, day.AddDate(0, 0, 1))
}

// A localLogs is a file or a directory on this machine.
type localLogs struct {
	*session
	path string
}

func (localLogs) close() error { return nil }

func (l localLogs) logs(_ context.Context, in dateRange) iter.Seq2[logFile, error] {
	return func(yield func(logFile, error) bool) {
		for path, err := range l.walk(l.path, func(dir string) bool { return !in.hasFolder(dir + "/") }) {
			if err != nil {
				yield(logFile{}, usagef("--from %s: %v", l.path, err))
				return
			}
			f := logFile{name: path, asked: path == l.path, client: true, held: true, open: func(ctx context.Context, _ int64) (io.ReadCloser, error) {
				r, _, err := l.openFile(ctx, path)
				return r, err
			}}
			if (in.hasLog(path) || f.asked) && !yield(f, nil) {
				return
			}
		}
	}
}

// A streamedLog is standard input or a pipe, which can be read once.
type streamedLog struct {
	name string
	r    *bufio.Reader
	c    io.Closer // nil for standard input
}

func (l streamedLog) close() error {
	if l.c == nil {
		return nil
	}
	return l.c.Close()
}

func (l streamedLog) logs(context.Context, dateRange) iter.Seq2[logFile, error] {
	return func(yield func(logFile, error) bool) {
		yield(logFile{name: l.name, asked: true, held: true, open: func(context.Context, int64) (io.ReadCloser, error) {
			return io.NopCloser(l.r), nil
		}}, nil)
	}
}
