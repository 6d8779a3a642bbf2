package seen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// A Report is the result of [Log.Check].
type Report struct {
	Objects int // objects with a recorded state, without those that were deleted
	Damaged int // damaged lines; they are removed when an object in the same file is read or written
}

// Check reads all files and changes none. The error is nil if states can be read and recorded. Check
// creates the directory if it does not exist.
func (l *Log) Check(ctx context.Context) (r Report, err error) {
	unlock, err := l.lock(ctx)
	if err != nil {
		return r, err
	}
	defer unlock()
	temp, err := os.CreateTemp(l.dir, "check.*.tmp")
	if err != nil {
		return r, err
	}
	temp.Close()
	if err := os.Remove(temp.Name()); err != nil {
		return r, err
	}
	for i := range 256 {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		f, err := os.OpenFile(l.file(fmt.Sprintf("%02x", i)), os.O_RDWR|os.O_APPEND, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return r, err
		}
		data, err := readAll(f)
		f.Close()
		if err != nil {
			return r, err
		}
		s := parse(data)
		r.Damaged += s.damaged
		for _, state := range s.states {
			if !state.Deleted {
				r.Objects++
			}
		}
	}
	return r, nil
}
