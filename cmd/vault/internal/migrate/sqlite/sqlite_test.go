package sqlite_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate/sqlite"
	"github.com/objectvault/objectvault/internal/oldserver"
)

const (
	alice = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
	bob   = "0x00000000000000000000000000000000000000b0"

	// create creates the table of the old server.
	create = `CREATE TABLE credentials (wallet_address TEXT, service_name TEXT, ciphertext BLOB, created_at INTEGER, updated_at INTEGER, PRIMARY KEY (wallet_address, service_name));`
)

// stored is when the old server stores its values.
var stored = time.Unix(1700000000, 0)

// insert returns SQL that inserts a row with an SQL expression as its value.
func insert(agent, service, value string) string {
	return fmt.Sprintf("INSERT INTO credentials VALUES ('%s', '%s', %s, 1, 1700000000);", agent, service, value)
}

// server writes values of alice, and one of bob, through the old server, and stops it.
func server(t *testing.T, file string, wal bool, values map[string]string) {
	t.Helper()
	s, err := oldserver.Open(t.Context(), oldserver.Config{
		File: file, WAL: wal, Tokens: map[string]oldserver.Token{"alice": {Wallet: alice}, "bob": {Wallet: bob}},
		Now: func() time.Time { return stored },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	store := func(token, agent, service, value string) {
		body := fmt.Sprintf(`{"agent_id":%q,"service":%q,"ciphertext":%q}`, agent, service, base64.StdEncoding.EncodeToString([]byte(value)))
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/credential/store", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Fatalf("store %s: %d %s", service, w.Code, w.Body)
		}
	}
	for service, value := range values {
		store("alice", alice, service, value)
	}
	store("bob", bob, "openai", "the value of bob")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// source opens a file for alice.
func source(t *testing.T, file string) *sqlite.Source {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{File: file, Agent: alice, BusyTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// values lists and reads everything that a source has.
func values(t *testing.T, s migrate.Source) map[string]string {
	t.Helper()
	items, _, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(items, func(a, b migrate.Item) int { return strings.Compare(a.Service, b.Service) }) {
		t.Errorf("the items are not sorted: %+v", items)
	}
	all := make(map[string]string)
	for _, i := range items {
		value, err := s.Read(t.Context(), i)
		if err != nil {
			t.Errorf("read %s: %v", i.Service, err)
		}
		all[i.Service] = string(value)
	}
	return all
}

// The same credentials, in all the ways that a file may contain them.
func TestRead(t *testing.T) {
	want := map[string]string{"groq": "sk-2", "openai": "sk-1\x00\xff", "a name?#%41 &": strings.Repeat("long", 1<<17), "empty": ""}
	byHand := create + insert(alice, "groq", "x'736b2d32'") + insert(alice, "openai", "x'736b2d3100ff'") +
		insert(alice, "a name?#%41 &", "replace(hex(zeroblob(65536)), '0', 'long')") + insert(alice, "empty", "zeroblob(0)") + insert(bob, "openai", "x'01'")
	for name, setup := range map[string]func(t *testing.T, file string){
		"old server":             func(t *testing.T, file string) { server(t, file, false, want) },
		"old server in WAL mode": func(t *testing.T, file string) { server(t, file, true, want) },
		"WAL, a running server":  func(t *testing.T, file string) { another(t, file, "PRAGMA journal_mode=WAL;"+byHand) },
		"WAL, a killed server":   func(t *testing.T, file string) { another(t, file, "PRAGMA journal_mode=WAL;"+byHand)() },
		"an agent in upper case": func(t *testing.T, file string) {
			execute(t, file, strings.ReplaceAll(byHand, alice, strings.ToUpper(alice)))
		},
		"columns in upper case": func(t *testing.T, file string) {
			execute(t, file, strings.Replace(byHand, create, strings.ToUpper(create), 1))
		},
		"without rowid": func(t *testing.T, file string) {
			execute(t, file, strings.Replace(byHand, "));", ")) WITHOUT ROWID;", 1))
		},
		"another page size": func(t *testing.T, file string) { execute(t, file, "PRAGMA page_size=512;"+byHand) },
		"more columns, no created": func(t *testing.T, file string) {
			execute(t, file, strings.Replace(byHand, "created_at", "revision", 1))
		},
		"a server that reads": func(t *testing.T, file string) {
			execute(t, file, byHand)
			another(t, file, "BEGIN; SELECT * FROM credentials")
		},
		"a server about to write": func(t *testing.T, file string) { execute(t, file, byHand); another(t, file, "BEGIN IMMEDIATE") },
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "old ?#%41&.db")
			setup(t, file)
			s := source(t, file)
			items, others, err := s.List(t.Context())
			if err != nil || others != 1 {
				t.Errorf("%d others, %v", others, err)
			}
			var services []string
			for _, i := range items {
				services = append(services, i.Service)
				if i.Agent != alice || !i.Updated.Equal(stored) {
					t.Errorf("%+v", i)
				}
			}
			if sorted := []string{"a name?#%41 &", "empty", "groq", "openai"}; !reflect.DeepEqual(services, sorted) {
				t.Errorf("services %q, want %q", services, sorted)
			}
			if got := values(t, s); !reflect.DeepEqual(got, want) {
				t.Errorf("other values than were stored: %.200q", got)
			}
		})
	}
}

// TEXT is read as UTF-8, whatever the encoding of the database.
func TestText(t *testing.T) {
	for _, encoding := range []string{"UTF-8", "UTF-16le", "UTF-16be"} {
		file := filepath.Join(t.TempDir(), "credentials.db")
		execute(t, file, "PRAGMA encoding='"+encoding+"';"+create+insert(alice, "b", "'sk-é'")+insert(alice, "a", "''")+insert(alice, "Ā", "'x'"))
		s := source(t, file)
		if got, want := values(t, s), map[string]string{"a": "", "b": "sk-é", "Ā": "x"}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", encoding, got, want)
		}
	}
}

// A link to a database is used like the database, whose WAL is next to it.
func TestLink(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.db")
	another(t, file, "PRAGMA journal_mode=WAL;"+create+insert(alice, "openai", "'sk-1'"))
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(file, link); err != nil {
		t.Logf("the system creates no links: %v", err)
		return
	}
	if got := values(t, source(t, link)); got["openai"] != "sk-1" {
		t.Errorf("%q", got)
	}
}

func TestUpdated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.db")
	execute(t, file, create)
	for name, tc := range map[string]struct {
		sql  string
		want time.Time
	}{
		"seconds":            {"1700000000", time.Unix(1700000000, 0)},
		"early seconds":      {"1", time.Unix(1, 0)},
		"milliseconds":       {"1700000000123", time.Unix(1700000000, 123e6)},
		"microseconds":       {"1700000000123456", time.Unix(1700000000, 123456e3)},
		"nanoseconds":        {"1700000000123456789", time.Unix(1700000000, 123456789)},
		"zero":               {"0", time.Time{}},
		"NULL":               {"NULL", time.Time{}},
		"before 1970":        {"-5", time.Time{}},
		"text":               {"'yesterday'", time.Time{}},
		"a number with text": {"'1700000000'", time.Unix(1700000000, 0)}, // the column converts it
	} {
		execute(t, file, "INSERT INTO credentials VALUES (?, ?, 'v', 0, "+tc.sql+")", alice, name)
		items, _, err := source(t, file).List(t.Context())
		if err != nil || len(items) != 1 || !items[0].Updated.Equal(tc.want) {
			t.Errorf("%s: %+v, %v, want %v", name, items, err, tc.want)
		}
		execute(t, file, "DELETE FROM credentials")
	}
}

// A file that is not the database of an old server is reported, and is not changed.
func TestOpen(t *testing.T) {
	content := func(text string) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	do := func(sql string) func(*testing.T, string) {
		return func(t *testing.T, file string) { execute(t, file, sql) }
	}
	for name, tc := range map[string]struct {
		setup func(t *testing.T, file string)
		is    error
		text  string // of the error, after the file
	}{
		"no file":     {func(*testing.T, string) {}, migrate.ErrSource, " does not exist: check the path"},
		"directory":   {func(t *testing.T, file string) { os.Mkdir(file, 0o700) }, migrate.ErrSource, " is not a regular file: pass the database file"},
		"empty file":  {content(""), migrate.ErrSource, " has no table credentials: pass the database file"},
		"text file":   {content(strings.Repeat("this is text\n", 100)), migrate.ErrSource, " is not a SQLite database, or it is encrypted"},
		"short file":  {content("x"), migrate.ErrSource, " has no table credentials"},
		"other table": {do("CREATE TABLE other (a)"), migrate.ErrSource, " has no table credentials"},
		"view":        {do("CREATE VIEW credentials AS SELECT 1 AS wallet_address"), migrate.ErrSource, " has no table credentials"},
		"no service":  {do(strings.Replace(create, "service_name", "name", 2)), migrate.ErrSource, " has no column service_name"},
		"no value":    {do(strings.Replace(create, "ciphertext", "value", 1)), migrate.ErrSource, " has no column ciphertext"},
		"in use":      {func(t *testing.T, file string) { execute(t, file, create); another(t, file, "BEGIN EXCLUSIVE") }, migrate.ErrUnavailable, " is in use by another program: stop the old server"},
		"killed while it wrote": {func(t *testing.T, file string) {
			execute(t, file, create+insert(alice, "a", "hex(zeroblob(100000))"))
			another(t, file, "PRAGMA cache_size=1; BEGIN; UPDATE credentials SET ciphertext = zeroblob(100000);"+insert(alice, "b", "zeroblob(100000)"))()
		}, migrate.ErrSource, " contains an unfinished write of a server that was killed"},
		"damaged": {func(t *testing.T, file string) {
			execute(t, file, create+insert(alice, "a", "hex(zeroblob(1000))"))
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			clear(b[4096:])
			content(string(b))(t, file)
		}, migrate.ErrSource, " is damaged: restore a copy of it"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "credentials.db")
			tc.setup(t, file)
			before := snapshot(t, filepath.Dir(file))
			s, err := sqlite.Open(t.Context(), sqlite.Config{File: file, Agent: alice, BusyTimeout: time.Millisecond})
			if err == nil {
				_, _, err = s.List(t.Context()) // the damage is in a page that Open does not read
				s.Close()
			}
			if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), filepath.Base(file)+tc.text) {
				t.Errorf("error %v, want %v with the text %q", err, tc.is, tc.text)
			}
			if after := snapshot(t, filepath.Dir(file)); !reflect.DeepEqual(after, before) {
				t.Errorf("files %v, before %v", after, before)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "credentials.db")
	execute(t, file, create)
	for name, c := range map[string]sqlite.Config{"no agent": {File: file}, "negative timeout": {File: file, Agent: alice, BusyTimeout: -1}, "no file": {Agent: alice}} {
		if s, err := sqlite.Open(t.Context(), c); err == nil {
			s.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

// snapshot returns the content of the files in a directory.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil && !f.IsDir() {
			t.Fatal(err)
		}
		all[f.Name()] = string(b)
	}
	return all
}

// Rows that cannot be credentials are reported, and the error says which.
func TestMalformedRows(t *testing.T) {
	for name, tc := range map[string]struct {
		sql  string
		list string // text of the error of List
		read string // text of the error of Read of the service a
		is   error
	}{
		"NULL value":          {insert(alice, "a", "NULL"), "", `the value of "a"`, migrate.ErrSource},
		"a number as a value": {insert(alice, "a", "5"), "", `the value of "a"`, migrate.ErrSource},
		"a huge value":        {insert(alice, "a", "zeroblob(67108865)"), "", `the value of "a" in `, migrate.ErrSource},
		"two spellings of the agent": {insert(alice, "a", "'1'") + insert(strings.ToUpper(alice), "a", "'2'"),
			`the service "a" twice`, `the service "a" twice`, migrate.ErrSource},
		"NULL service":          {"INSERT INTO credentials VALUES ('" + alice + "', NULL, 'v', 1, 1)", "service_name is not text", "does not have this credential", migrate.ErrGone},
		"a blob as a service":   {"INSERT INTO credentials VALUES ('" + alice + "', x'61', 'v', 1, 1)", "service_name is not text", "does not have this credential", migrate.ErrGone},
		"such rows of others":   {insert(bob, "a", "NULL") + "INSERT INTO credentials VALUES (NULL, NULL, NULL, NULL, NULL)", "", "does not have this credential", migrate.ErrGone},
		"the service of others": {insert(bob, "a", "'v'"), "", "does not have this credential", migrate.ErrGone},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "credentials.db")
			execute(t, file, create+tc.sql)
			s := source(t, file)
			if _, _, err := s.List(t.Context()); (err == nil) != (tc.list == "") || err != nil && (!errors.Is(err, migrate.ErrSource) || !strings.Contains(err.Error(), tc.list)) {
				t.Errorf("List: %v", err)
			}
			value, err := s.Read(t.Context(), migrate.Item{Agent: alice, Service: "a"})
			if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.read) || len(value) > 0 {
				t.Errorf("Read: %q, %v", value, err)
			}
		})
	}
}

func TestGone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.db")
	execute(t, file, create+insert(alice, "a", "'v'"))
	s := source(t, file)
	items, _, err := s.List(t.Context())
	if err != nil || len(items) != 1 {
		t.Fatal(items, err)
	}
	for name, i := range map[string]migrate.Item{"another agent": {Agent: bob, Service: "a"}, "another service": {Agent: alice, Service: "A"}} {
		if _, err := s.Read(t.Context(), i); !errors.Is(err, migrate.ErrGone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	execute(t, file, "DELETE FROM credentials")
	if _, err := s.Read(t.Context(), items[0]); !errors.Is(err, migrate.ErrGone) {
		t.Errorf("deleted: %v", err)
	}
}

// A database that becomes locked is reported, and can be read afterwards.
func TestLocked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.db")
	execute(t, file, create+insert(alice, "a", "'v'"))
	s := source(t, file)
	kill := another(t, file, "BEGIN EXCLUSIVE")
	if _, _, err := s.List(t.Context()); !errors.Is(err, migrate.ErrUnavailable) {
		t.Errorf("List: %v", err)
	}
	if _, err := s.Read(t.Context(), migrate.Item{Agent: alice, Service: "a"}); !errors.Is(err, migrate.ErrUnavailable) {
		t.Errorf("Read: %v", err)
	}
	kill()
	if got := values(t, s); got["a"] != "v" {
		t.Errorf("%q", got)
	}
}

func TestInterrupted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.db")
	execute(t, file, create+insert(alice, "a", "'v'"))
	s := source(t, file)
	item := migrate.Item{Agent: alice, Service: "a"}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := s.List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("List: %v", err)
	}
	if _, err := s.Read(ctx, item); !errors.Is(err, context.Canceled) {
		t.Errorf("Read: %v", err)
	}
	report, err := s.Shred(ctx, []migrate.Verified{{Item: item, Same: func([]byte) bool { return true }}})
	if !errors.Is(err, context.Canceled) || len(report.Kept) != 1 || len(report.Removed) > 0 {
		t.Errorf("Shred: %+v, %v", report, err)
	}
	if _, err := sqlite.Open(ctx, sqlite.Config{File: file, Agent: alice}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	if got := values(t, s); got["a"] != "v" {
		t.Errorf("%q", got)
	}
}
