package sqlite_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Variables of a child process, which uses a database as another program.
const (
	childFile = "OBJECTVAULT_TEST_SQLITE_FILE"
	childSQL  = "OBJECTVAULT_TEST_SQLITE_SQL"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(childFile); file != "" {
		db, err := open(file)
		if err == nil {
			_, err = db.Exec(os.Getenv(childSQL))
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// open opens or creates a database with one connection.
func open(file string) (*sql.DB, error) {
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// another starts a process that executes SQL on a database and keeps its connection open. kill kills the
// process, which does not close the database.
func another(t *testing.T, file, sql string) (kill func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self) // not ended by t.Context, but by kill
	cmd.Env = append(os.Environ(), childFile+"="+file, childSQL+"="+sql)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // it ends when this process ends
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the other process: %q, %v", line, err)
	}
	kill = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	t.Cleanup(kill)
	return kill
}

// execute executes SQL on a database and closes it.
func execute(t *testing.T, file, sql string, args ...any) {
	t.Helper()
	db, err := open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
