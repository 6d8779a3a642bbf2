// Package sqlite takes credentials from the SQLite file of the old credential server of agentKeys:
//
//	credentials(wallet_address TEXT, service_name TEXT, ciphertext BLOB, created_at INTEGER, updated_at INTEGER)
//
// The values are the bytes of the column ciphertext, which may be BLOB or TEXT. The old server may
// run in the meantime, also in WAL mode. Only [Source.Shred] writes to the file. To read a database
// in WAL mode while no server uses it, SQLite creates the files FILE-wal and FILE-shm next to it, and
// leaves them there.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
)

// A Config describes a source. File and Agent are required.
type Config struct {
	// File is the database. It must exist.
	File string
	// Agent is the wallet whose credentials are taken. The case of ASCII letters does not matter.
	Agent string
	// ReadOnly makes [Source.Shred] keep everything.
	ReadOnly bool
	// BusyTimeout is how long each access waits while another program locks the database; 0 means 5
	// seconds.
	BusyTimeout time.Duration
}

// MaxValue is the size of the largest value that is read, in bytes.
const MaxValue = 64 << 20

// A Source is the credentials of one agent in a file. [Open] returns it.
type Source struct {
	file     string // without symbolic links
	agent    string // in lower case
	readOnly bool
	busy     time.Duration
	db       *sql.DB // cannot write
}

var _ migrate.Source = (*Source)(nil)

// Open opens the database and checks that it has the table of the old server. It never creates a
// file. If the file is not such a database, the error wraps [migrate.ErrSource]. If another program
// locks the database, the error wraps [migrate.ErrUnavailable]. The caller closes the source.
func Open(ctx context.Context, c Config) (*Source, error) {
	switch {
	case c.Agent == "":
		return nil, errors.New("the agent is missing")
	case c.BusyTimeout < 0:
		return nil, errors.New("the timeout is negative")
	}
	file, err := existingFile(c.File)
	if err != nil {
		return nil, err
	}
	s := &Source{file: file, agent: lower(c.Agent), readOnly: c.ReadOnly, busy: cmp.Or(c.BusyTimeout, 5*time.Second)}
	if s.db, err = connect(s.uri(readOnly)); err != nil {
		return nil, err
	}
	if err := s.checkTable(ctx); err != nil {
		s.db.Close()
		return nil, err
	}
	return s, nil
}

// lower returns a string with ASCII letters in lower case, like lower() in SQLite.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// Close closes the file.
func (s *Source) Close() error { return s.db.Close() }

// List implements [migrate.Source]. If the database has the same service twice, under spellings of
// the agent that differ in case, the error wraps [migrate.ErrSource].
func (s *Source) List(ctx context.Context) (items []migrate.Item, others int, err error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT lower(wallet_address) IS ?, typeof(service_name), service_name,
			CASE typeof(updated_at) WHEN 'integer' THEN updated_at ELSE 0 END
		FROM credentials ORDER BY service_name`, s.agent)
	if err != nil {
		return nil, 0, s.explain(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		var match bool
		var kind string
		var service sql.NullString
		var updated int64
		if err := rows.Scan(&match, &kind, &service, &updated); err != nil {
			return nil, 0, s.explain(ctx, err)
		}
		switch {
		case !match:
			others++
			continue
		case kind != "text":
			return nil, 0, fmt.Errorf("%w: %s has a row whose service_name is not text: correct or delete it", migrate.ErrSource, s.file)
		case len(items) > 0 && items[len(items)-1].Service == service.String:
			return nil, 0, s.errTwice(service.String)
		}
		items = append(items, migrate.Item{Agent: s.agent, Service: service.String, Updated: unix(updated)})
	}
	if err := rows.Err(); err != nil {
		return nil, 0, s.explain(ctx, err)
	}
	// SQLite sorts UTF-16 text in another order.
	slices.SortFunc(items, func(a, b migrate.Item) int { return strings.Compare(a.Service, b.Service) })
	return items, others, nil
}

func (s *Source) errTwice(service string) error {
	return fmt.Errorf("%w: %s has the service %q twice, and the spellings of the agent differ in case: delete one of the rows", migrate.ErrSource, s.file, service)
}

// unix returns the time of a number of seconds, milliseconds, microseconds or nanoseconds since 1970.
// The unit follows from the magnitude: as seconds, 100 billion would be the year 5138. 0 and negative
// numbers are the zero time.
func unix(n int64) time.Time {
	switch {
	case n <= 0:
		return time.Time{}
	case n < 1e11:
		return time.Unix(n, 0)
	case n < 1e14:
		return time.UnixMilli(n)
	case n < 1e17:
		return time.UnixMicro(n)
	}
	return time.Unix(0, n)
}

// Read implements [migrate.Source]. A value larger than [MaxValue] is not read, and the error wraps
// [migrate.ErrSource].
func (s *Source) Read(ctx context.Context, item migrate.Item) ([]byte, error) {
	found, err := s.read(ctx, s.db, item)
	clear(found.stored)
	return found.value, err
}

// A row contains the value of an item.
type row struct {
	value  []byte
	stored []byte // the bytes of value in the file; TEXT may be UTF-16
}

func (r row) clear() {
	clear(r.value)
	clear(r.stored)
}

// thisItem selects the rows of an item, with the parameters ?1 for the agent and ?2 for the service.
const thisItem = `lower(wallet_address) IS ?1 AND service_name = ?2`

// A querier is a [sql.DB] or a [sql.Conn].
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// read returns the only row of an item.
func (s *Source) read(ctx context.Context, q querier, item migrate.Item) (found row, err error) {
	if item.Agent != s.agent {
		return row{}, fmt.Errorf("%w: it belongs to another agent", migrate.ErrGone)
	}
	// CASE keeps SQLite from loading a value that is too large.
	rows, err := q.QueryContext(ctx, `
		SELECT typeof(ciphertext), octet_length(ciphertext),
			CASE WHEN octet_length(ciphertext) <= ?3 THEN ciphertext END,
			CASE WHEN octet_length(ciphertext) <= ?3 THEN CAST(ciphertext AS BLOB) END
		FROM credentials WHERE `+thisItem, s.agent, item.Service, MaxValue)
	if err != nil {
		return row{}, s.explain(ctx, err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var kind string
		var size sql.NullInt64
		switch err := rows.Scan(&kind, &size, &found.value, &found.stored); {
		case err != nil:
			return row{}, s.explain(ctx, err)
		case kind != "blob" && kind != "text":
			return row{}, fmt.Errorf("%w: the value of %q in %s is neither bytes nor text: correct or delete the row", migrate.ErrSource, item.Service, s.file)
		case size.Int64 > MaxValue:
			return row{}, fmt.Errorf("%w: the value of %q in %s is larger than %d MiB", migrate.ErrSource, item.Service, s.file, MaxValue>>20)
		}
	}
	switch err := rows.Err(); {
	case err != nil:
		return row{}, s.explain(ctx, err)
	case n == 0:
		return row{}, migrate.ErrGone
	case n > 1:
		return row{}, s.errTwice(item.Service)
	}
	if found.value == nil { // an empty value
		found.value = []byte{}
	}
	return found, nil
}

// milliseconds returns d rounded up to at least 1.
func milliseconds(d time.Duration) int64 {
	return min(max(1, int64((d+time.Millisecond-1)/time.Millisecond)), math.MaxInt32)
}
