// Package oplog appends one JSON line for each operation of the command to a file. Several processes may
// append to the same file. A line never contains a value, a token or the text of an error.
package oplog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/objectvault/objectvault/internal/filelock"
)

// A Line is one operation.
type Line struct {
	Time       time.Time `json:"time"` // of the start
	Op         string    `json:"op"`
	Tenant     string    `json:"tenant"`
	Collection string    `json:"collection"`
	Name       string    `json:"name,omitempty"` // empty for list and teardown
	Store      string    `json:"store"`
	Revision   int64     `json:"revision,omitempty"`
	Tag        string    `json:"tag,omitempty"`
	Version    string    `json:"version,omitempty"`
	Names      int       `json:"names,omitempty"` // that a list yielded, or a teardown removed
	Result     string    `json:"result"`          // ok, or the kind of the error, such as not_found
	Duration   float64   `json:"duration_ms"`
	Requests   int       `json:"requests"`
	Retries    int       `json:"retries,omitempty"`
	RequestIDs []string  `json:"request_ids,omitempty"` // of the responses, as in the logs of the cloud
}

const (
	// DefaultSize is the size in bytes from which a file is rotated.
	DefaultSize = 16 << 20
	// kept is the number of old files that stay: FILE.1 is the newest.
	kept = 3
	// lockTime limits the wait for other processes.
	lockTime = 2 * time.Second
)

// A Log is a file of lines. Its Size may be changed before the first Append.
type Log struct {
	Path string
	Size int64 // 0: DefaultSize
}

// ErrNotPrivate means that others can read or write the file.
var ErrNotPrivate = errors.New("other users can access the file")

// Append appends a line. A file that does not exist is created with mode 0600; its directory must exist. If
// the file has reached its size, it becomes FILE.1, and the older files FILE.2 and FILE.3.
func (l *Log) Append(ctx context.Context, line Line) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	f, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	text = append(text, '\n')
	if fi, err := f.Stat(); err == nil && fi.Size() > 0 && !endsLine(f, fi.Size()) {
		text = append([]byte{'\n'}, text...) // after a process that was killed, or a full disk
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Close()
}

// open opens and locks the file. It rotates a full file.
func (l *Log) open(ctx context.Context) (*os.File, error) {
	size := l.Size
	if size <= 0 {
		size = DefaultSize
	}
	for {
		if fi, err := os.Lstat(l.Path); err == nil && !fi.Mode().IsRegular() {
			return nil, errNotRegular // opening a pipe could block
		}
		f, err := os.OpenFile(l.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		full, err := l.examine(ctx, f, size)
		switch {
		case err == nil && !full:
			return f, nil
		case err == nil:
			err = l.rotate()
		case errors.Is(err, errRotated): // by another process
			err = nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

var (
	errRotated    = errors.New("the file was rotated")
	errNotRegular = errors.New("it is not a regular file")
)

// examine locks f. It reports whether f is full.
func (l *Log) examine(ctx context.Context, f *os.File, size int64) (full bool, err error) {
	if err := filelock.Lock(ctx, f); err != nil {
		return false, fmt.Errorf("locking the file: %w", err)
	}
	fi, err := f.Stat()
	if err != nil {
		return false, err
	}
	switch current, err := os.Lstat(l.Path); {
	case errors.Is(err, fs.ErrNotExist):
		return false, errRotated
	case err != nil:
		return false, err
	case !current.Mode().IsRegular():
		return false, errNotRegular
	case !os.SameFile(fi, current):
		return false, errRotated
	case !isPrivate(fi):
		return false, ErrNotPrivate
	}
	return fi.Size() >= size, nil
}

// rotate renames the files. The caller has locked the current one.
func (l *Log) rotate() error {
	name := func(n int) string {
		if n == 0 {
			return l.Path
		}
		return fmt.Sprintf("%s.%d", l.Path, n)
	}
	for n := kept - 1; n >= 0; n-- {
		if err := os.Rename(name(n), name(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// endsLine reports whether the last byte of f is a newline.
func endsLine(f *os.File, size int64) bool {
	var last [1]byte
	_, err := f.ReadAt(last[:], size-1)
	return err != nil || last[0] == '\n'
}
