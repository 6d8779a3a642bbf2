// Package seen records, in files on this machine, the newest state of each object that was stored
// or read. So a new process also detects that a store returns an older object.
//
//	log, err := seen.Open(seen.Config{Dir: dir, Store: spool.StoreID("s3", "", "bucket", "")})
//	v, err := vault.New(store, tenant, keys, &vault.Options{Seen: log})
//	_, err = v.Get(ctx, "openrouter", nil)
//	if errors.Is(err, vault.ErrRollback) {
//		// The store returned an older object than before. If you know why:
//		_, err = v.AcceptOlder(ctx, "openrouter")
//	}
//
// The directory of a store has up to 256 files of at most 256 objects each. A file has one line for
// each change. When most lines are out of date, the file is written again with the newest line of each
// object. If a file would have more than 256 objects, it forgets deleted objects, and then the
// objects whose records are the oldest. An older object of a forgotten name is not detected. A line has a hash
// of the object's full name (vault id, tenant, collection and name), so the files do not contain
// names. Files have mode 0600, and directories 0700.
//
// The files are not synced: after a power failure the newest states may be missing. Several processes
// may use a directory at once. A damaged line is reported and removed.
package seen

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/filelock"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/vault"
)

// A Config configures a [Log].
type Config struct {
	// Dir is the directory of the logs of all stores. It is created with mode 0700 when the first
	// state is recorded.
	Dir string
	// Store is the id of the store: the result of the function StoreID of package spool.
	Store string
	// Warn receives errors, such as a state that could not be read or recorded, or a damaged line
	// that was removed. No operation of a Vault fails because of them. Warn receives only the first
	// error of each kind. Nil ignores them.
	Warn func(error)
}

// A Log contains the newest states of the objects of one store. It implements [vault.Seen], and is
// safe for concurrent use. It keeps nothing in memory.
type Log struct {
	dir   string
	store string
	warn  func(error)

	mu     sync.Mutex
	warned map[string]bool
}

var _ vault.Seen = (*Log)(nil)

// Open returns the log of a store. It creates no file. If the Config is incomplete, the error wraps
// [vault.ErrConfig].
func Open(c Config) (*Log, error) {
	if c.Dir == "" || c.Store == "" || strings.ContainsAny(c.Store, `/\`) {
		return nil, fmt.Errorf("%w: the Config of a log of seen objects needs Dir and Store", vault.ErrConfig)
	}
	if c.Warn == nil {
		c.Warn = func(error) {}
	}
	return &Log{dir: filepath.Join(c.Dir, c.Store), store: c.Store, warn: c.Warn, warned: make(map[string]bool)}, nil
}

// Dir returns the directory of the files.
func (l *Log) Dir() string { return l.dir }

// keyOf returns the key of an object: 64 hex digits that depend on its full name.
func keyOf(ref envelope.Ref) string {
	sum := ref.Context()
	return hex.EncodeToString(sum[:])
}

// Last implements [vault.Seen].
func (l *Log) Last(ctx context.Context, ref envelope.Ref) vault.SeenState {
	key := keyOf(ref)
	file := l.file(key)
	data, err := readFile(file)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.report("read", fmt.Errorf("older objects cannot be detected: %w", err))
		}
		return vault.SeenState{}
	}
	state, damaged := find(data, key)
	if damaged {
		l.repair(ctx, file)
	}
	return state
}

// Record implements [vault.Seen]. If the state cannot be recorded, it returns true, because another
// attempt would not help.
func (l *Log) Record(ctx context.Context, ref envelope.Ref, old, state vault.SeenState) bool {
	key, recorded := keyOf(ref), true
	err := l.change(ctx, l.file(key), func(s *shard) []string {
		if recorded = s.states[key].Same(old); !recorded {
			return nil
		}
		s.states[key] = state
		return []string{key}
	})
	if err != nil {
		l.report("write", fmt.Errorf("the revision that was seen cannot be recorded, so older objects may not be detected later: %w", err))
		return true
	}
	return recorded
}

// report calls Warn once for each kind of error.
func (l *Log) report(kind string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.warned[kind] {
		l.warned[kind] = true
		l.warn(err)
	}
}

// The bounds of a file.
const (
	maxObjects = 256       // objects in a file
	slack      = 32        // lines that a short file may have in excess
	maxFile    = 256 << 10 // bytes of a file; a longer one is not of this package
)

// file returns the file of an object. Objects are distributed over 256 files, so that each is short.
func (l *Log) file(key string) string { return filepath.Join(l.dir, key[:2]) }

// readFile reads a file, or its last bytes if it is too long.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}

func readAll(f *os.File) ([]byte, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := fi.Size()
	data := make([]byte, min(size, maxFile)+256) // another process may append a line meanwhile
	n, err := f.ReadAt(data, max(0, size-maxFile))
	if err == io.EOF {
		err = nil
	}
	return data[:n], err
}

// A shard is the content of a file.
type shard struct {
	states  map[string]vault.SeenState
	lines   int
	damaged int  // damaged lines, without a torn one
	torn    bool // the last line has no end: a process is writing it, or was killed
}

func parse(data []byte) *shard {
	s := &shard{states: make(map[string]vault.SeenState)}
	s.torn = eachLine(data, func(line []byte) {
		s.lines++
		if key, state, ok := parseLine(line); ok {
			s.states[key] = state
		} else {
			s.damaged++
		}
	})
	return s
}

// find returns the newest state of one key, and reports whether a line is damaged. It parses only the
// lines of that key.
func find(data []byte, key string) (state vault.SeenState, damaged bool) {
	start := []byte(version + " " + key + " ")
	eachLine(data, func(line []byte) {
		text, ok := checked(line)
		if ok && bytes.HasPrefix(text, start) {
			var s vault.SeenState
			if _, s, ok = parseLine(line); ok {
				state = s
			}
		}
		damaged = damaged || !ok
	})
	return state, damaged
}

// eachLine calls f with each complete line, and reports whether the last line is incomplete.
func eachLine(data []byte, f func(line []byte)) (torn bool) {
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			return true
		}
		f(data[:end])
		data = data[end+1:]
	}
	return false
}

// A line is: the version of the format, key, revision, rewrap, tag, time, state and checksum. Before the
// checksum there may be the time at which the value expires, and after that fields of later versions of
// this package. They are ignored, so that this version does not take such a line for a damaged one.
const (
	version = "1"
	live    = "live"
	deleted = "deleted"
)

func formatLine(key string, s vault.SeenState) []byte {
	state := live
	if s.Deleted {
		state = deleted
	}
	text := fmt.Sprintf("%s %s %d %d %s %d %s", version, key, s.Revision, s.Rewrap, s.Tag, s.Time.Unix(), state)
	if !s.Expires.IsZero() {
		text += fmt.Sprintf(" %d", s.Expires.Unix())
	}
	return fmt.Appendf(nil, "%s %08x\n", text, crc32.ChecksumIEEE([]byte(text)))
}

// checked returns a line without its checksum, and reports whether the checksum is right.
func checked(line []byte) (text []byte, ok bool) {
	const sumLen = 8
	end := len(line) - sumLen - 1
	if end < 0 || line[end] != ' ' {
		return nil, false
	}
	var sum [sumLen / 2]byte
	if _, err := hex.Decode(sum[:], line[end+1:]); err != nil {
		return nil, false
	}
	return line[:end], binary.BigEndian.Uint32(sum[:]) == crc32.ChecksumIEEE(line[:end])
}

func parseLine(line []byte) (key string, s vault.SeenState, ok bool) {
	text, ok := checked(line)
	fields := strings.Split(string(text), " ")
	if !ok || len(fields) < 7 || fields[0] != version {
		return "", s, false
	}
	var err [4]error
	var seconds int64
	if len(fields) > 7 {
		seconds, err[3] = strconv.ParseInt(fields[7], 10, 64)
		s.Expires = time.Unix(seconds, 0).UTC()
	}
	s.Revision, err[0] = strconv.ParseInt(fields[2], 10, 64)
	s.Rewrap, err[1] = strconv.Atoi(fields[3])
	seconds, err[2] = strconv.ParseInt(fields[5], 10, 64)
	s.Tag, s.Time, s.Deleted = fields[4], time.Unix(seconds, 0).UTC(), fields[6] == deleted
	ok = err == [4]error{} && (s.Deleted || fields[6] == live)
	return fields[1], s, ok && valid(fields[1], s)
}

// maxRevision is the largest revision of an envelope.
const maxRevision = 1<<53 - 1

// valid reports whether s may be a state of an object with this key.
func valid(key string, s vault.SeenState) bool {
	return isHash(key) && isHash(s.Tag) && 0 < s.Revision && s.Revision <= maxRevision && 0 <= s.Rewrap && s.Rewrap < 1<<16
}

// isHash reports whether text is 64 lower-case hex digits.
func isHash(text string) bool { return len(text) == 64 && strings.Trim(text, "0123456789abcdef") == "" }

// lockTime is the time to wait for other processes. They hold the lock for some microseconds.
const lockTime = 2 * time.Second

// change calls edit with the content of a file, while no other process changes the files of the store.
// edit returns the keys of the states that it changed; change appends them, or writes the file again.
func (l *Log) change(ctx context.Context, file string, edit func(*shard) []string) error {
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := readAll(f)
	if err != nil {
		return err
	}
	s := parse(data)
	changed := edit(s)
	if len(changed) == 0 && s.damaged == 0 {
		return nil
	}
	var failed error
	if s.damaged > 0 || s.lines+len(changed) > 2*min(len(s.states), maxObjects)+slack {
		if failed = l.compact(file, s); failed == nil {
			return nil
		}
	}
	if len(changed) == 0 || len(data) >= maxFile {
		return failed
	}
	return appendLines(f, s, changed)
}

// appendLines appends the states of keys to f. If that fails, f is as before.
func appendLines(f *os.File, s *shard, keys []string) error {
	var lines []byte
	if s.torn {
		lines = append(lines, '\n') // of a process that was killed
	}
	for _, key := range keys {
		lines = append(lines, formatLine(key, s.states[key])...)
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.Write(lines); err != nil {
		return errors.Join(err, f.Truncate(fi.Size()))
	}
	return nil
}

// lock waits for the lock of the store's files.
func (l *Log) lock(ctx context.Context) (unlock func(), err error) {
	name := filepath.Join(l.dir, "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(l.dir, 0o700); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	if err := filelock.Lock(ctx, f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return func() { f.Close() }, nil
}

// compact writes the file again, with one line for each object.
func (l *Log) compact(file string, s *shard) error {
	keys := s.order()
	keys = keys[max(0, len(keys)-maxObjects):]
	var b bytes.Buffer
	for _, key := range keys {
		b.Write(formatLine(key, s.states[key]))
	}
	temp := file + ".tmp"
	err := os.WriteFile(temp, b.Bytes(), 0o600) // a killed process may have left one
	if err == nil {
		err = os.Rename(temp, file)
	}
	if err != nil {
		os.Remove(temp)
		return err
	}
	if s.damaged > 0 {
		l.report(file, fmt.Errorf("%s: %s removed; for the names in damaged lines, older objects are detected only after the next read or write", file, text.Count(s.damaged, "damaged line was", "damaged lines were")))
	}
	return nil
}

// order returns the keys of all states, the most important one last: deleted objects come before
// others, and otherwise older states before newer ones.
func (s *shard) order() []string {
	keys := make([]string, 0, len(s.states))
	for key := range s.states {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		x, y := s.states[a], s.states[b]
		switch {
		case x.Deleted != y.Deleted && x.Deleted:
			return -1
		case x.Deleted != y.Deleted:
			return 1
		}
		return cmp.Or(x.Time.Compare(y.Time), strings.Compare(a, b))
	})
	return keys
}

// repair removes the damaged lines of a file.
func (l *Log) repair(ctx context.Context, file string) {
	err := l.change(ctx, file, func(*shard) []string { return nil })
	if err != nil {
		l.report(file, fmt.Errorf("%s: damaged lines are ignored, and cannot be removed: %w", file, err))
	}
}
