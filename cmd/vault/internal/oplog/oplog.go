// Package oplog appends one JSON line for each operation of the command to a file. Several processes may
// append to the same file. A line never contains a value, a token or the text of an error.
package oplog

import (
	"cmp"
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
	// RequestsWithoutID are further requests that the cloud may have received. Logs of older versions have
	// no such member.
	RequestsWithoutID int `json:"requests_without_id"`
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
// the file has reached its size, it becomes FILE.1, and the older files FILE.2 and FILE.3. The processes lock
// FILE.lock, which stays. An error that wraps a [*RotateError] means that the line was appended.
func (l *Log) Append(ctx context.Context, line Line) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	unlock, err := lock(ctx, l.Path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	fi, err := l.stat()
	if err != nil {
		return err
	}
	var unrotated error
	if size := cmp.Or(max(l.Size, 0), DefaultSize); fi != nil && fi.Size() >= size {
		unrotated = l.rotate() // the line is more important than the size
	}
	f, err := openRegular(l.Path, os.O_APPEND)
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
	if err := f.Close(); err != nil {
		return err
	}
	if unrotated != nil {
		return &RotateError{unrotated}
	}
	return nil
}

// A RotateError means that the line was appended, and that the file is too large, because it could not be
// renamed.
type RotateError struct{ Err error }

func (e *RotateError) Error() string { return "the file cannot be rotated: " + e.Err.Error() }
func (e *RotateError) Unwrap() error { return e.Err }

// lock locks a file of its own, so that the log can be renamed meanwhile.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := openRegular(path, 0)
	if err != nil {
		return nil, err
	}
	if err := filelock.Lock(ctx, f); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the file: %w", err)
	}
	return func() { f.Close() }, nil
}

var errNotRegular = errors.New("it is not a regular file")

// openRegular opens a file, or creates it. In a directory that others can write, they may replace the file
// by a link or a pipe at any time, so the file that was opened is examined as well.
func openRegular(path string, flags int) (*os.File, error) {
	if fi, err := os.Lstat(path); err == nil && !fi.Mode().IsRegular() {
		return nil, errNotRegular
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|openPlain|flags, 0o600)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// stat examines the file. It returns nil if there is none.
func (l *Log) stat() (fs.FileInfo, error) {
	fi, err := os.Lstat(l.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular(): // opening a pipe could block
		return nil, errNotRegular
	case !isPrivate(fi):
		return nil, ErrNotPrivate
	}
	return fi, nil
}

// rotate renames the files. The caller holds the lock. The current file is moved away first, so that the
// old ones stay if that is not possible. If an earlier rotation did not finish, rotate finishes it before.
func (l *Log) rotate() error {
	moved := l.Path + ".rotating"
	if fi, err := os.Lstat(moved); err == nil && fi.Mode().IsRegular() {
		if err := l.shift(moved); err != nil {
			return err
		}
	}
	if err := os.Rename(l.Path, moved); err != nil {
		return err
	}
	return l.shift(moved)
}

// shift renames moved to FILE.1, and the older files up to the first number that is free, or the last one.
func (l *Log) shift(moved string) error {
	names := []string{moved}
	for n := range kept {
		name := fmt.Sprintf("%s.%d", l.Path, n+1)
		names = append(names, name)
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	for n := len(names) - 1; n > 0; n-- {
		if err := os.Rename(names[n-1], names[n]); err != nil {
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
