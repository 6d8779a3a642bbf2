package sqlite_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate/sqlite"
)

// verified returns an item of alice that was verified with a value.
func verified(service, value string) migrate.Verified {
	return migrate.Verified{
		Item: migrate.Item{Agent: alice, Service: service},
		Same: func(b []byte) bool { return string(b) == value },
	}
}

// outcome returns the services of a report: those removed with "", and the others with the reason.
func outcome(t *testing.T, r migrate.ShredReport) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, i := range r.Removed {
		all[i.Service] = ""
	}
	for _, k := range r.Kept {
		all[k.Service] = k.Reason
	}
	if len(all) != len(r.Removed)+len(r.Kept) {
		t.Errorf("the report contains an item twice: %+v", r)
	}
	return all
}

// contains returns the names of the files in the directory of file that contain a text.
func contains(t *testing.T, file, text string) (names []string) {
	t.Helper()
	for name, content := range snapshot(t, filepath.Dir(file)) {
		if strings.Contains(content, text) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

const copies = "Backups, snapshots and deleted journal files may still contain the removed values"

// secret returns a value of n bytes that is nowhere else.
func secret(n int) string {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + r.IntN(26))
	}
	return string(b)
}

// Shred removes exactly the verified items. Their bytes are then in no file.
func TestShred(t *testing.T) {
	for _, wal := range []bool{false, true} {
		for name, running := range map[string]string{"stopped": "", "running": "PRAGMA user_version", "killed": "PRAGMA user_version"} {
			t.Run(fmt.Sprintf("WAL %t, %s", wal, name), func(t *testing.T) {
				dir := t.TempDir()
				file := filepath.Join(dir, "old ?#%41&.db")
				short, medium, long := secret(20), secret(900), secret(50000)
				old := "an old value that was overwritten"
				server(t, file, wal, map[string]string{"short": old, "kept": secret(700)})
				server(t, file, wal, map[string]string{"short": short, "medium": medium, "long": long, "changed": "another value", "tiny": "1"})
				if running != "" {
					// The rows are now also in the WAL.
					kill := another(t, file, "UPDATE credentials SET created_at = 5; "+running)
					if name == "killed" {
						kill()
					}
				}
				if got := contains(t, file, short); len(got) == 0 || wal && running != "" && len(got) != 2 {
					t.Fatalf("the value is in %q before the removal", got)
				}
				s := source(t, file)
				report, err := s.Shred(t.Context(), []migrate.Verified{
					verified("short", short), verified("medium", medium), verified("long", long), verified("tiny", "1"), verified("changed", "a value"),
				})
				if err != nil {
					t.Fatal(err)
				}
				want := map[string]string{"short": "", "medium": "", "long": "", "tiny": "", "changed": "changed since it was verified"}
				if got := outcome(t, report); !reflect.DeepEqual(got, want) {
					t.Errorf("%v, want %v", got, want)
				}
				if len(report.Remarks) != 1 || !strings.HasPrefix(report.Remarks[0], copies) {
					t.Errorf("remarks %q", report.Remarks)
				}
				if got, want := values(t, s), map[string]string{"kept": secret(700), "changed": "another value"}; !reflect.DeepEqual(got, want) {
					t.Errorf("%q remain, want %q", got, want)
				}
				if _, others, err := s.List(t.Context()); others != 1 || err != nil {
					t.Errorf("the value of another agent: %d, %v", others, err)
				}
				for name, text := range map[string]string{"short": short, "medium": medium[400:450], "long": long[20000:20050], "end of long": long[49950:], "old": old} {
					if got := contains(t, file, text); len(got) > 0 {
						t.Errorf("the value %s is still in %q", name, got)
					}
				}
				if got := contains(t, file, "the value of bob"); len(got) == 0 {
					t.Error("the value of bob is in no file")
				}
			})
		}
	}
}

// Without items, the file is compacted, because rows that another program deleted may still be in it.
func TestShredNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.db")
	execute(t, file, create+insert(bob, "a", "'the value of bob'")+insert(alice, "a", "'a deleted value'")+
		"PRAGMA secure_delete=OFF; DELETE FROM credentials WHERE ciphertext = 'a deleted value';")
	if got := contains(t, file, "a deleted value"); len(got) == 0 {
		t.Fatal("SQLite has overwritten the deleted value")
	}
	report, err := source(t, file).Shred(t.Context(), nil)
	if err != nil || len(report.Removed)+len(report.Kept) > 0 || len(report.Remarks) == 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if got := contains(t, file, "a deleted value"); len(got) > 0 {
		t.Errorf("the deleted value is still in %q", got)
	}
	if got := contains(t, file, "the value of bob"); len(got) == 0 {
		t.Error("the value of bob is in no file")
	}
}

// Items that must not be removed are kept, and the file is not changed.
func TestShredKeeps(t *testing.T) {
	const changed = "changed since it was verified"
	for name, tc := range map[string]struct {
		sql    string // of the row, besides that of bob
		items  []migrate.Verified
		reason string
	}{
		"changed value":     {insert(alice, "a", "'new value'"), []migrate.Verified{verified("a", "old value")}, changed},
		"not verified":      {insert(alice, "a", "'a value'"), []migrate.Verified{{Item: migrate.Item{Agent: alice, Service: "a"}}}, changed},
		"number as a value": {insert(alice, "a", "5"), []migrate.Verified{verified("a", "5")}, changed},
		"twice":             {insert(alice, "a", "'a value'") + insert(strings.ToUpper(alice), "a", "'a value'"), []migrate.Verified{verified("a", "a value")}, changed},
		"a trigger ignores it": {insert(alice, "a", "'a value'") + "CREATE TRIGGER ignore BEFORE DELETE ON credentials BEGIN SELECT RAISE(IGNORE); END",
			[]migrate.Verified{verified("a", "a value")}, "the database did not delete the row"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "credentials.db")
			execute(t, file, create+insert(bob, "a", "'a value'")+tc.sql)
			before := snapshot(t, filepath.Dir(file))
			report, err := source(t, file).Shred(t.Context(), tc.items)
			if err != nil || len(report.Removed) > 0 || len(report.Remarks) > 0 || len(report.Kept) != len(tc.items) {
				t.Errorf("%+v, %v", report, err)
			}
			for _, k := range report.Kept {
				if k.Reason != tc.reason {
					t.Errorf("%s: %s, want %s", k.Service, k.Reason, tc.reason)
				}
			}
			if after := snapshot(t, filepath.Dir(file)); !reflect.DeepEqual(after, before) {
				t.Error("the file has changed")
			}
		})
	}
}

func TestShredReadOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.db")
	execute(t, file, create+insert(alice, "a", "'a value'"))
	s, err := sqlite.Open(t.Context(), sqlite.Config{File: file, Agent: alice, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	report, err := s.Shred(t.Context(), []migrate.Verified{verified("a", "a value")})
	if got := outcome(t, report); err != nil || got["a"] != "the source was opened read-only" {
		t.Errorf("%v, %v", got, err)
	}
	if got := values(t, s); got["a"] != "a value" {
		t.Errorf("%q", got)
	}
}

// An item that is gone counts as removed, and a remark names it. Items of other agents count as gone.
func TestShredGone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.db")
	execute(t, file, create+insert(bob, "a", "'a value'"))
	s := source(t, file)
	report, err := s.Shred(t.Context(), []migrate.Verified{verified("a", "a value")})
	if got, want := outcome(t, report), map[string]string{"a": ""}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if len(report.Remarks) != 2 || !strings.Contains(report.Remarks[0], `"a" was already gone`) {
		t.Errorf("remarks %q", report.Remarks)
	}
	if _, others, err := s.List(t.Context()); others != 1 || err != nil {
		t.Errorf("%d others, %v", others, err)
	}
}

// While another program locks the database nothing is removed. Afterwards the same call succeeds.
func TestShredInUse(t *testing.T) {
	for name, lock := range map[string]string{
		"a server writes":             "BEGIN IMMEDIATE",
		"a server locks it":           "BEGIN EXCLUSIVE",
		"a server reads":              "BEGIN; SELECT * FROM credentials",
		"a server in WAL mode writes": "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "credentials.db")
			execute(t, file, create+insert(alice, "a", "'a value'")+insert(alice, "b", "'b value'")+insert(bob, "a", "'c value'"))
			items := []migrate.Verified{verified("a", "a value"), verified("b", "b value")}
			s := source(t, file)
			kill := another(t, file, lock)
			report, err := s.Shred(t.Context(), items)
			const reason = "the database is in use; stop the old server"
			if got, want := outcome(t, report), map[string]string{"a": reason, "b": reason}; err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("in use: %v, %v, want %v", got, err, want)
			}
			kill()
			if got, want := values(t, s), map[string]string{"a": "a value", "b": "b value"}; !reflect.DeepEqual(got, want) {
				t.Errorf("after: %q, want %q", got, want)
			}
			report, err = s.Shred(t.Context(), items)
			if got, want := outcome(t, report), map[string]string{"a": "", "b": ""}; err != nil || !reflect.DeepEqual(got, want) || len(report.Remarks) != 1 {
				t.Errorf("after: %v, %v, want %v, remarks %q", got, err, want, report.Remarks)
			}
		})
	}
}

// A reader of the WAL does not prevent the removal, but it keeps the old pages. The remarks say so.
func TestShredReader(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "credentials.db")
	execute(t, file, create+insert(alice, "a", "'the first value'")+insert(bob, "a", "'b value'"))
	kill := another(t, file, "PRAGMA journal_mode=WAL; UPDATE credentials SET created_at = 5; BEGIN; SELECT * FROM credentials")
	link := filepath.Join(t.TempDir(), "link.db") // the WAL is next to the file
	if err := os.Symlink(file, link); err != nil {
		t.Logf("the system creates no links: %v", err)
		link = file
	}
	s := source(t, link)
	report, err := s.Shred(t.Context(), []migrate.Verified{verified("a", "the first value")})
	if got := outcome(t, report); err != nil || !reflect.DeepEqual(got, map[string]string{"a": ""}) {
		t.Errorf("%v, %v", got, err)
	}
	remarks := strings.Join(report.Remarks, "\n")
	for _, want := range []string{
		"was not compacted, because another program uses it. It may still contain removed values. Stop the old server and run VACUUM",
		`The value of "a" is still in ` + file + ". Stop the old server and run VACUUM",
		`The value of "a" is still in ` + file + "-wal. Stop the old server and run VACUUM", copies,
	} {
		if !strings.Contains(remarks, want) {
			t.Errorf("no remark %q:\n%s", want, remarks)
		}
	}
	kill()
	execute(t, file, "VACUUM") // as the remark says
	if got := contains(t, file, "the first value"); len(got) > 0 {
		t.Errorf("the value is still in %q", got)
	}
}

// The same value in another row, or in another table, is reported.
func TestShredFindsCopies(t *testing.T) {
	const value = "a value in two places"
	const between = 1<<20 + 120 // where the search reads the next part of a file
	for name, tc := range map[string]struct{ sql, remark string }{
		"the row of another agent":     {insert(bob, "a", "'"+value+"'"), `The value of "a" is also part of another row`},
		"part of another row":          {insert(alice, "b", "'key="+value+"'"), `The value of "a" is also part of another row`},
		"a table that a trigger fills": {"CREATE TABLE old (v); CREATE TRIGGER t AFTER DELETE ON credentials BEGIN INSERT INTO old VALUES (old.ciphertext); END;", `The value of "a" is still in `},
		"an old journal":               {"", `The value of "a" is still in `},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "credentials.db")
			execute(t, file, create+insert(alice, "a", "'"+value+"'")+tc.sql)
			if tc.sql == "" {
				// SQLite does not use the file with this name in WAL mode.
				execute(t, file, "PRAGMA journal_mode=WAL")
				if err := os.WriteFile(file+"-journal", append(make([]byte, between), value...), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			report, err := source(t, file).Shred(t.Context(), []migrate.Verified{verified("a", value)})
			if err != nil || len(report.Removed) != 1 || len(report.Remarks) != 2 || !strings.HasPrefix(report.Remarks[0], tc.remark) {
				t.Errorf("%+v, %v, want the remark %q", report, err, tc.remark)
			}
		})
	}
}

// TEXT in UTF-16 is compared as UTF-8, and searched for as it is in the file.
func TestShredUTF16(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.db")
	execute(t, file, "PRAGMA encoding='UTF-16le';"+create+insert(alice, "a", "'secret-é'")+insert(bob, "a", "'a secret-é'"))
	report, err := source(t, file).Shred(t.Context(), []migrate.Verified{verified("a", "secret-é")})
	if err != nil || len(report.Removed) != 1 || !strings.HasPrefix(report.Remarks[0], `The value of "a" is also part of another row`) {
		t.Errorf("%+v, %v", report, err)
	}
}

// After an error of the database, the items that were not tried are kept, and the report is complete.
func TestShredFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.db")
	execute(t, file, create+insert(alice, "a", "'a value'")+insert(alice, "b", "'b value'")+insert(alice, "c", "'c value'")+
		"CREATE TRIGGER t BEFORE DELETE ON credentials WHEN old.service_name = 'b' BEGIN SELECT RAISE(ABORT, 'b value'); END")
	s := source(t, file)
	report, err := s.Shred(t.Context(), []migrate.Verified{verified("a", "a value"), verified("b", "b value"), verified("c", "c value")})
	if !errors.Is(err, migrate.ErrSource) || strings.Contains(err.Error(), "b value") {
		t.Errorf("error %v", err)
	}
	want := map[string]string{"a": "", "b": "the database did not delete the row", "c": "an error occurred before its turn"}
	if got := outcome(t, report); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got, want := values(t, s), map[string]string{"b": "b value", "c": "c value"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q remain, want %q", got, want)
	}
}

// A file that cannot be compacted is reported. The values are overwritten nevertheless.
func TestShredDamaged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials.db")
	execute(t, file, create+insert(alice, "a", "'"+secret(5000)+"'")+"CREATE TABLE other (v); INSERT INTO other VALUES ('in the damaged page')")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte("in the damaged page")) / 4096 * 4096
	clear(b[at : at+8]) // the header of the page
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := source(t, file).Shred(t.Context(), []migrate.Verified{verified("a", secret(5000))})
	if err != nil || len(report.Removed) != 1 || len(report.Remarks) != 2 || !strings.Contains(report.Remarks[0], file+" was not compacted, because SQLite reported an error") {
		t.Errorf("%+v, %v", report, err)
	}
	for _, text := range []string{secret(5000)[:50], secret(5000)[2000:2050], secret(5000)[4950:]} {
		if got := contains(t, file, text); len(got) > 0 {
			t.Errorf("the value is still in %q", got)
		}
	}
}
