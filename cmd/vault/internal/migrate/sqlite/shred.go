package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
)

// Reasons to keep an item.
const (
	reasonReadOnly = "the source was opened read-only"
	reasonChanged  = "changed since it was verified"
	reasonInUse    = "the database is in use; stop the old server"
	reasonDenied   = "the database file cannot be written; check its permissions"
	reasonRefused  = "the database did not delete the row"
	reasonNotTried = "an error occurred before its turn"
)

// remarkCopies follows every removal.
const remarkCopies = "Backups, snapshots and deleted journal files may still contain the removed values, and so may blocks that an SSD or a file system has not yet overwritten. Where that matters, replace the credentials at their services."

// Shred implements [migrate.Source]. It deletes each item in a transaction of its own, if the row still
// has the verified value. Then it compacts the file, and searches the file and its journals for the
// removed values. A remark reports a value that was found; values of less than 8 bytes are not searched
// for. Without items, Shred only compacts the file, because rows that were deleted before may still be
// in it. An item that was gone already counts as removed. If another program locks the database, Shred
// keeps the remaining items.
func (s *Source) Shred(ctx context.Context, verified []migrate.Verified) (report migrate.ShredReport, err error) {
	if s.readOnly {
		keep(&report, verified, reasonReadOnly)
		return report, nil
	}
	// On Unix, a process loses its locks on a file when it closes any descriptor of the file. So the
	// search waits until this process has no connection.
	if err := s.db.Close(); err != nil {
		keep(&report, verified, reasonNotTried)
		return report, s.explain(ctx, err)
	}
	traces, err := s.shred(ctx, verified, &report)
	if len(report.Removed) > 0 || len(verified) == 0 {
		report.Remarks = append(report.Remarks, s.search(traces)...)
		report.Remarks = append(report.Remarks, remarkCopies)
	}
	for _, t := range traces {
		t.clear()
	}
	db, connectErr := connect(s.uri(readOnly))
	if connectErr == nil {
		s.db = db
	}
	return report, errors.Join(err, connectErr)
}

// keep adds items that are kept for the same reason.
func keep(report *migrate.ShredReport, verified []migrate.Verified, reason string) {
	for _, v := range verified {
		report.Kept = append(report.Kept, migrate.Kept{Item: v.Item, Reason: reason})
	}
}

// shred does the part of Shred that needs a connection. It returns the traces of the removed values
// that no row contains.
func (s *Source) shred(ctx context.Context, verified []migrate.Verified, report *migrate.ShredReport) ([]trace, error) {
	db, err := connect(s.uri(readWrite))
	if err != nil {
		keep(report, verified, reasonNotTried)
		return nil, err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		reason, err := s.whyNot(ctx, err)
		keep(report, verified, reason)
		return nil, err
	}
	defer conn.Close()
	traces, err := s.removeAll(ctx, conn, verified, report)
	if len(report.Removed) == 0 && len(verified) > 0 {
		return nil, err
	}
	traces = s.dropShared(ctx, conn, traces, report)
	return traces, errors.Join(err, s.compact(ctx, conn, report))
}

// removeAll removes the items one after the other, until an error of SQLite.
func (s *Source) removeAll(ctx context.Context, conn *sql.Conn, verified []migrate.Verified, report *migrate.ShredReport) (traces []trace, err error) {
	for i, v := range verified {
		t, reason, err := s.remove(ctx, conn, v)
		switch {
		case errors.Is(err, migrate.ErrGone):
			report.Removed = append(report.Removed, v.Item)
			report.Remarks = append(report.Remarks, fmt.Sprintf("%q was already gone from %s.", v.Service, s.file))
		case err != nil:
			reason, err := s.whyNot(ctx, err)
			keep(report, verified[i:i+1], reason)
			if reason != reasonInUse && reason != reasonDenied {
				reason = reasonNotTried
			}
			keep(report, verified[i+1:], reason)
			return traces, err
		case reason != "":
			keep(report, verified[i:i+1], reason)
		default:
			report.Removed = append(report.Removed, v.Item)
			traces = append(traces, t)
		}
	}
	return traces, nil
}

// whyNot returns the reason to keep an item after an error of SQLite, and the error of Shred: nil if
// the reason is all that the operator needs.
func (s *Source) whyNot(ctx context.Context, err error) (string, error) {
	switch {
	case ctx.Err() != nil:
		return reasonNotTried, context.Cause(ctx)
	case isBusy(err):
		return reasonInUse, nil
	case code(err) == codeReadOnly:
		return reasonDenied, nil
	}
	return reasonRefused, s.explain(ctx, err)
}

// remove deletes an item in a transaction. If it returns a reason or an error, it has deleted nothing.
// The error wraps [migrate.ErrGone] if the source does not have the item.
func (s *Source) remove(ctx context.Context, conn *sql.Conn, v migrate.Verified) (t trace, reason string, err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return trace{}, "", err
	}
	// The outcome of a transaction that was interrupted while it commits would be unknown.
	ctx = context.WithoutCancel(ctx)
	defer func() {
		if reason != "" || err != nil {
			conn.ExecContext(ctx, "ROLLBACK")
			t.clear()
		}
	}()
	found, err := s.read(ctx, conn, v.Item)
	defer found.clear()
	switch {
	case errors.Is(err, migrate.ErrSource) && code(err) == 0:
		return trace{}, reasonChanged, nil // it could not have been read and verified
	case err != nil:
		return trace{}, "", err
	case v.Same == nil || !v.Same(found.value):
		return trace{}, reasonChanged, nil
	}
	t = newTrace(v.Service, found.stored)
	result, err := conn.ExecContext(ctx, `DELETE FROM credentials WHERE `+thisItem, s.agent, v.Service)
	if err != nil {
		return t, "", err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return t, reasonRefused, nil
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return t, "", err
}
