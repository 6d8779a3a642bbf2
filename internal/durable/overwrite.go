package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrOverwritten means that overwriting a file in place failed. The old content is lost, and the
// new content is incomplete.
var ErrOverwritten = errors.New("the file is partly overwritten")

// Overwrite writes the content into the existing regular file, durably, and sets its mode to 0600.
// It is for a file that cannot be replaced. A program that reads the file in the meantime sees a
// mixture of the old and the new content. The same is true after [ErrOverwritten]. After any other
// error the content has not changed: Overwrite detects a full disk before it changes the old
// content, unless the file system copies on write.
func (f *File) Overwrite() error { return f.end(overwrite) }

func overwrite(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|openPlain, 0)
	if err != nil {
		return err
	}
	defer dst.Close()
	if err := overwriteFile(src, dst); err != nil {
		return err
	}
	return dst.Close()
}

func overwriteFile(src, dst *os.File) error {
	content, err := src.Stat()
	if err != nil {
		return err
	}
	old, err := dst.Stat()
	if err != nil {
		return err
	}
	if !old.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	if old.Mode().Perm()&0o077 != 0 {
		if err := dst.Chmod(0o600); err != nil {
			return fmt.Errorf("others may use the file, and its mode cannot be changed: %w", cause(err))
		}
	}
	// Write the bytes beyond the old content first, because the disk may be full.
	both := min(old.Size(), content.Size())
	if err := copyAt(dst, src, both, content.Size()); err != nil {
		return errors.Join(err, dst.Truncate(old.Size()))
	}
	if err := dst.Sync(); err != nil {
		return errors.Join(err, dst.Truncate(old.Size()))
	}
	err = copyAt(dst, src, 0, both)
	if err == nil {
		err = dst.Truncate(content.Size())
	}
	if err == nil {
		err = dst.Sync()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOverwritten, cause(err))
	}
	return nil
}

// copyAt copies the bytes from start to end of src to the same position in dst.
func copyAt(dst, src *os.File, start, end int64) error {
	_, err := io.Copy(io.NewOffsetWriter(dst, start), io.NewSectionReader(src, start, end-start))
	return err
}

// cause returns err without the name of the file, which the caller adds.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
