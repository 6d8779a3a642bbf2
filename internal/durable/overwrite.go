package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrOverwritten means that a file was being overwritten in place when it failed: what it
// held is lost, and it does not hold the new content either.
var ErrOverwritten = errors.New("the file is partly overwritten")

// Overwrite writes the content into the regular file that has the name, durably, and makes
// the mode of that file 0600. It is for a file whose name cannot be given to another one.
// A program that reads the file meanwhile sees a mixture. After [ErrOverwritten] the file
// holds a mixture. After any other error its content has not changed: a disk that is full is
// noticed before the old content is touched, except where the file system copies on write.
func (f *File) Overwrite() error { return f.end(overwrite) }

func overwrite(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|openPlain, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := overwriteFile(in, out); err != nil {
		return err
	}
	return out.Close()
}

func overwriteFile(in, out *os.File) error {
	content, err := in.Stat()
	if err != nil {
		return err
	}
	old, err := out.Stat()
	if err != nil {
		return err
	}
	if !old.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	if old.Mode().Perm()&0o077 != 0 {
		if err := out.Chmod(0o600); err != nil {
			return fmt.Errorf("others may use the file, and its mode cannot be changed: %w", cause(err))
		}
	}
	// First what goes behind the old content, for which there may be no room.
	both := min(old.Size(), content.Size())
	if err := copyAt(out, in, both, content.Size()); err != nil {
		return errors.Join(err, out.Truncate(old.Size()))
	}
	if err := out.Sync(); err != nil {
		return errors.Join(err, out.Truncate(old.Size()))
	}
	err = copyAt(out, in, 0, both)
	if err == nil {
		err = out.Truncate(content.Size())
	}
	if err == nil {
		err = out.Sync()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOverwritten, cause(err))
	}
	return nil
}

// copyAt copies the bytes from start to end of in to the same place in out.
func copyAt(out, in *os.File, start, end int64) error {
	_, err := io.Copy(io.NewOffsetWriter(out, start), io.NewSectionReader(in, start, end-start))
	return err
}

// cause is err without the name of the file, which the caller knows.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
