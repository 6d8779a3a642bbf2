// Package oldserver contains the plaintext credential server of agentKeys, as a server for tests
// and demonstrations. It listens on this machine only. It stores credentials without encryption in a
// SQLite file, so do not use it for real credentials.
//
//	POST   /credential/store     {"agent_id":"…","service":"…","ciphertext":"<base64>"}  {"ok":true}
//	GET    /credential/read      ?agent_id=…&service=…                                   {"ciphertext":"<base64>"}
//	GET    /credential/list      ?agent_id=…                                             {"services":["…"]}
//	DELETE /credential/teardown  {"agent_id":"…"}                                        {"ok":true}
//	GET    /healthz                                                                      ok
//
// Two more paths stand for the rest of the old server. Their response is fixed and needs no token:
//
//	POST   /session/ping         {"ok":true}
//	GET    /session/info         {"server":"oldserver"}
//
// The other calls need a bearer token. An error is JSON with the members error and message, and one
// of these statuses:
//
//	400  the request is malformed
//	401  the token is missing or unknown
//	403  the agent is another one than that of the token, or the scope of the token excludes the call
//	404  the agent has no such credential
//	429  too many reads in a minute; the header Retry-After and the member retry_after_seconds contain the wait
//
// The value is what the base64 text decodes to. Agent ids are stored in lower case.
package oldserver

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/objectvault/objectvault/internal/loopback"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// A Config describes a server. File is required.
type Config struct {
	// File is the SQLite file. It is created if it does not exist.
	File string
	// WAL selects the journal mode WAL for the file; false leaves the mode as it is.
	WAL bool
	// Tokens maps a bearer token to what it permits.
	Tokens map[string]Token
	// ReadsPerMinute limits the reads of each token; 0 means 100.
	ReadsPerMinute int
	// Now reports the time; nil means [time.Now].
	Now func() time.Time
}

// A Token is what a bearer token permits. It permits everything for Wallet if the other fields are
// zero. Otherwise it is scoped, and teardown is denied.
type Token struct {
	Wallet   string   // the only agent id; the case does not matter
	Services []string // the only services; nil means all
	ReadOnly bool     // store is denied
}

// table is the table of agentKeys.
const table = `CREATE TABLE IF NOT EXISTS credentials (
	wallet_address TEXT,
	service_name TEXT,
	ciphertext BLOB,
	created_at INTEGER,
	updated_at INTEGER,
	PRIMARY KEY (wallet_address, service_name)
)`

// A Server is a credential server. It is safe for concurrent use. As an [http.Handler] it needs no
// listener.
type Server struct {
	db     *sql.DB
	tokens map[string]Token
	now    func() time.Time
	limit  *limit
	mux    *http.ServeMux
	http   *http.Server // nil if the server does not listen
	url    string
}

// Open returns a server that does not listen. The caller closes it.
func Open(ctx context.Context, c Config) (*Server, error) {
	if c.File == "" {
		return nil, errors.New("the server needs a database file")
	}
	name, err := dsn(c)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, table); err != nil {
		db.Close()
		return nil, err
	}
	s := &Server{db: db, tokens: c.Tokens, now: c.Now}
	if s.now == nil {
		s.now = time.Now
	}
	s.limit = newLimit(c.ReadsPerMinute)
	s.mux = s.routes()
	return s, nil
}

// dsn returns the file as a URI, so that every character of its name is allowed.
func dsn(c Config) (string, error) {
	file, err := filepath.Abs(c.File)
	if err != nil {
		return "", err
	}
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: "_busy_timeout=5000"}
	if c.WAL {
		u.RawQuery += "&_journal_mode=WAL"
	}
	return u.String(), nil
}

// Listen makes the server listen on a loopback address, such as 127.0.0.1:0.
func (s *Server) Listen(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if !loopback.Host(host) {
		return errors.New("the server listens only on this machine (localhost, 127.0.0.0/8, ::1)")
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s.url = "http://" + l.Addr().String()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go s.http.Serve(l) // until Close
	return nil
}

// URL returns the base URL of a server that listens.
func (s *Server) URL() string { return s.url }

// Close stops the server and closes the file.
func (s *Server) Close() error {
	var err error
	if s.http != nil {
		err = s.http.Close()
	}
	return errors.Join(err, s.db.Close())
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }
