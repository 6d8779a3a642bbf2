package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
)

// hintVacuum is what the operator does about values that remain in a file.
const hintVacuum = `Stop the old server and run VACUUM on the database, for example with the command sqlite3.`

// errCheckpoint means that another program uses the WAL.
var errCheckpoint = errors.New("the WAL is in use")

// compact writes the database again, without the free space that may contain old values, and empties
// the WAL. A remark reports a failure. The error is that of ctx.
func (s *Source) compact(ctx context.Context, conn *sql.Conn, report *migrate.ShredReport) error {
	err := checkpoint(ctx, conn)
	if err == nil {
		_, err = conn.ExecContext(ctx, "VACUUM") // in WAL mode, it writes to the WAL
	}
	if err == nil {
		err = checkpoint(ctx, conn)
	}
	if err == nil {
		return nil
	}
	why := "SQLite reported an error"
	switch {
	case ctx.Err() != nil:
		why = "the removal was interrupted"
	case errors.Is(err, errCheckpoint), isBusy(err):
		why = "another program uses it"
	case code(err) == codeFull:
		why = "the disk is full"
	}
	report.Remarks = append(report.Remarks, fmt.Sprintf("%s was not compacted, because %s. It may still contain removed values. %s", s.file, why, hintVacuum))
	return context.Cause(ctx)
}

// checkpoint copies the WAL into the file and truncates it. It does nothing in other journal modes.
func checkpoint(ctx context.Context, conn *sql.Conn) error {
	var busy, pages, copied int
	if err := conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &copied); err != nil {
		return err
	}
	if busy != 0 {
		return errCheckpoint
	}
	return nil
}
