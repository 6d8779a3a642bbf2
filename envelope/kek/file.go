package kek

import (
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/objectvault/objectvault/internal/durable"
)

// ErrKeyFile means that a root key file exists but must not be used, because another user can
// access it or because it does not contain exactly one root. The error text describes how to repair
// the file.
var ErrKeyFile = errors.New("unusable root key file")

// fileSize is 64 lower-case hex characters and one newline.
const fileSize = 2*rootSize + 1

// OpenFile returns the key source whose root is in the file at path. The file must contain exactly
// 64 lower-case hexadecimal digits and a newline. OpenFile follows a symbolic link and checks its
// target.
//
// If the file does not exist, the error wraps [fs.ErrNotExist]. If the file has other content, is
// not a regular file, belongs to another user, or can be accessed by other users, the error wraps
// [ErrKeyFile].
func OpenFile(path string) (*Local, error) { return open(path, checkFile, readRoot) }

// OpenMounted returns the key source whose root is in a file that Kubernetes, Docker or another
// supervisor has mounted. Call it only for a file that the user has named. In contrast to
// [OpenFile], it accepts a file that belongs to root, and a file that its group can read. It
// accepts each form of [ParseRoot]. The errors are those of OpenFile. As with OpenFile, the error
// wraps [ErrKeyFile] if a user other than the owner has write permission.
func OpenMounted(path string) (*Local, error) { return open(path, checkMounted, importRoot) }

func open(path string, check func(string, fs.FileInfo) error, read func(io.Reader) (Root, error)) (*Local, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat() // of the open file, because path may be another file now
	if err != nil {
		return nil, err
	}
	if err := check(path, info); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	root, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return NewLocal(root), nil
}

// errEmpty means that a root key file is empty: a process is creating it, or was killed while
// creating it. This happens only on file systems without hard links.
var errEmpty = errors.New("it is empty; restore it from a copy, or remove it if no key was made yet")

// readRoot reads the text of a root, and checks that nothing follows.
func readRoot(r io.Reader) (Root, error) {
	text, err := io.ReadAll(io.LimitReader(r, fileSize+1))
	defer clear(text)
	if err != nil {
		return Root{}, err
	}
	const remedy = "restore it from a copy"
	switch {
	case len(text) == 0:
		return Root{}, fmt.Errorf("%w: %w", ErrKeyFile, errEmpty)
	case len(text) > fileSize:
		return Root{}, fmt.Errorf("%w: it is longer than 64 characters and a newline; %s", ErrKeyFile, remedy)
	case len(text) < fileSize:
		return Root{}, fmt.Errorf("%w: it is cut short, %d of %d bytes; %s", ErrKeyFile, len(text), fileSize, remedy)
	}
	malformed := fmt.Errorf("%w: it is not 64 characters 0-9 a-f and a newline; %s", ErrKeyFile, remedy)
	for _, c := range text[:fileSize-1] {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return Root{}, malformed
		}
	}
	if text[fileSize-1] != '\n' {
		return Root{}, malformed
	}
	b := make([]byte, rootSize)
	defer clear(b)
	if _, err := hex.Decode(b, text[:fileSize-1]); err != nil {
		return Root{}, malformed
	}
	return rootOf(b), nil
}

// CreateFile creates a random root and stores it in a new file of mode 0600 at path. If the
// directory of path does not exist, CreateFile creates it with mode 0700. If the file exists,
// CreateFile opens it unchanged, as [OpenFile] does, and created is false. If several processes
// call CreateFile at once, one of them creates the file, and all return a source with the same
// root.
//
// When err is nil, the file is on disk, unless its file system does not sync directories. If
// CreateFile is interrupted, the file is complete or does not exist. On a file system without hard
// links, it may also be empty.
func CreateFile(path string) (l *Local, created bool, err error) {
	if l, err = existing(path); !errors.Is(err, fs.ErrNotExist) {
		return l, false, err
	}
	return publish(path, RandomRoot())
}

// ImportFile reads a root from r and stores it in a new file at path, as [CreateFile] does. The
// input is 64 hexadecimal digits, in upper or lower case; blanks, line breaks and byte order marks
// are ignored. For other input the error wraps [ErrNotRoot], and its text describes the problem.
//
// If the file exists with the same root, ImportFile opens it, and created is false. If the file
// exists with another root, the error wraps [fs.ErrExist], and the file is not changed. If r is
// nil, the error wraps [envelope.ErrInvalid].
func ImportFile(path string, r io.Reader) (l *Local, created bool, err error) {
	if r == nil {
		return nil, false, invalid("the reader passed to ImportFile is nil")
	}
	root, err := importRoot(r)
	if err != nil {
		return nil, false, fmt.Errorf("import: %w", err)
	}
	if l, err = existing(path); errors.Is(err, fs.ErrNotExist) {
		l, created, err = publish(path, root)
	}
	if err != nil {
		return nil, false, err
	}
	if subtle.ConstantTimeCompare([]byte(*l.root.v), []byte(*root.v)) != 1 {
		return nil, false, fmt.Errorf("import: %s contains another root key, with fingerprint %s: %w", path, l.Fingerprint(), fs.ErrExist)
	}
	return l, created, nil
}

// existing opens the file at path and makes it durable, because the process that created it may
// have been stopped before the directory was on disk. It waits briefly for a process that is
// creating the file.
func existing(path string) (*Local, error) {
	l, err := OpenFile(path)
	for tries := 0; errors.Is(err, errEmpty) && tries < 100; tries++ {
		time.Sleep(10 * time.Millisecond)
		l, err = OpenFile(path)
	}
	if err != nil {
		return nil, err
	}
	if err := durable.SyncDir(filepath.Dir(path)); err != nil && !durable.NoSync(err) {
		return nil, err
	}
	return l, nil
}

// publish creates the file at path with root in it. If several processes create it at once, the
// first one wins.
func publish(path string, root Root) (*Local, bool, error) {
	if err := durable.MakeDir(filepath.Dir(path)); err != nil {
		return nil, false, err
	}
	text := append(hex.AppendEncode(nil, root.Reveal()), '\n')
	defer clear(text)
	switch err := durable.Create(path, text); {
	case errors.Is(err, fs.ErrExist):
		l, err := existing(path)
		return l, false, err
	case err != nil:
		return nil, false, err
	}
	return NewLocal(root), true, nil
}
