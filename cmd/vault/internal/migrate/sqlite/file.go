package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
)

// existingFile returns the absolute path of a file, without symbolic links: SQLite keeps its journal
// next to the file that a link points to.
func existingFile(file string) (string, error) {
	switch info, err := os.Stat(file); {
	case os.IsNotExist(err):
		return "", fmt.Errorf("%w: %s does not exist: check the path", migrate.ErrSource, file)
	case err != nil:
		return "", fmt.Errorf("%w: %w", migrate.ErrSource, err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%w: %s is not a regular file: pass the database file of the old server", migrate.ErrSource, file)
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	return filepath.Abs(file)
}

// The two ways to open the file. Neither creates it.
const (
	readOnly  = "mode=ro"
	readWrite = "mode=rw&_pragma=secure_delete(1)&_pragma=temp_store(2)"
)

// uri returns the file as a URI, so that every character of its name is allowed.
func (s *Source) uri(mode string) string {
	path := filepath.ToSlash(s.file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	query := fmt.Sprintf("%s&_busy_timeout=%d&_defensive=1&_pragma=trusted_schema(0)", mode, milliseconds(s.busy))
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query}).String()
}

// connect returns a database with one connection, which is opened when it is used.
func connect(uri string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", uri)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// checkTable returns an error if the file is not a database with the table of the old server.
func (s *Source) checkTable(ctx context.Context) error {
	const hint = "pass the database file of the old server"
	var table string
	// A subquery without a row returns NULL.
	err := s.db.QueryRowContext(ctx, `SELECT coalesce((SELECT type FROM sqlite_schema WHERE lower(name) = 'credentials'), '')`).Scan(&table)
	if err != nil {
		return s.explain(ctx, err)
	}
	if table != "table" {
		return fmt.Errorf("%w: %s has no table credentials: %s", migrate.ErrSource, s.file, hint)
	}
	for _, column := range []string{"wallet_address", "service_name", "ciphertext", "updated_at"} {
		var n int
		if err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM pragma_table_info('credentials') WHERE lower(name) = ?`, column).Scan(&n); err != nil {
			return s.explain(ctx, err)
		}
		if n == 0 {
			return fmt.Errorf("%w: the table credentials in %s has no column %s: %s", migrate.ErrSource, s.file, column, hint)
		}
	}
	return nil
}
