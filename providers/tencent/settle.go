package tencent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/vault"
)

// An opening is how the bytes of a write begin, and how many there are. An envelope starts
// with a commitment to a key that no other has.
type opening struct {
	w     io.Writer
	first []byte
	size  int64
}

// maxOpening is more than a header of an envelope has.
const maxOpening = 4 << 10

func (o *opening) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	o.first = append(o.first, p[:min(n, maxOpening-len(o.first))]...)
	o.size += int64(n)
	return n, err
}

var errUnseen = errors.New("another version is current, and no list of versions shows this one")

// settle finds out what became of a write whose answer was lost, in a bucket with
// versioning. It returns the id of its version; or "" if what was current before it still
// is, which reads of COS, unlike lists, tell without delay. Only that it was deleted since is
// left to a list.
func (s *store) settle(ctx context.Context, key string, o *opening, before *vault.Version) (id string, err error) {
	for n := 1; ; n++ {
		now, ours, err := s.compare(ctx, key, "", o)
		switch {
		case err != nil:
			return "", err
		case ours:
			return now, nil
		case before != nil && !before.Deleted && now == before.ID:
			return "", nil
		case now == "" && (before == nil || before.Deleted):
			newest, err := s.current(ctx, key)
			if err != nil || newest == nil || before != nil && newest.ID == before.ID {
				return "", err
			}
		}
		// Somebody wrote or deleted since.
		if id, err := s.find(ctx, key, o, before); err != nil || id != "" {
			return id, err
		}
		switch { // lists may lag behind
		case n == attempts:
			return "", errUnseen
		case !pause(ctx, n):
			return "", ctx.Err()
		}
	}
}

// find returns the id of the oldest version since before that is ours, or "". The same write
// may have been sent more than once.
func (s *store) find(ctx context.Context, key string, o *opening, before *vault.Version) (id string, err error) {
	for v, err := range s.Versions(ctx, key) {
		if err != nil {
			return "", err
		}
		if before != nil && v.ID == before.ID {
			break
		}
		if v.Deleted || v.Size != o.size {
			continue
		}
		_, ours, err := s.compare(ctx, key, v.ID, o)
		if err != nil {
			return "", err
		}
		if ours {
			id = v.ID
		}
	}
	return id, nil
}

// A lateWrite got no answer and is not there: it may be under way still, and would then
// come over whatever is there.
type lateWrite struct {
	err    error
	settle func(context.Context) (version string, err error)
}

func (e *lateWrite) Error() string { return e.err.Error() }
func (e *lateWrite) Unwrap() error { return e.err }

// Settle looks for the write once more, judges it if it is there, and is unsure otherwise.
func (e *lateWrite) Settle(ctx context.Context) (version string, err error) { return e.settle(ctx) }

// settleLate judges what came of a write, after all attempts at it. All that is ours came too
// late if the oldest did.
func (s *store) settleLate(ctx context.Context, key string, o *opening, before *vault.Version, may func(*vault.Version) bool, lost error) (version string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), judgeTime)
	defer cancel()
	for err = errLate; ; {
		id, ferr := s.find(ctx, key, o, before)
		switch {
		case ferr != nil:
			return "", fmt.Errorf("%w: %w", errLate, ferr)
		case id == "":
			return "", err
		}
		if version, err = s.judge(ctx, key, id, may, lost); !errors.Is(err, lost) {
			return version, err
		}
	}
}

var errLate = fmt.Errorf("%w: a request that got no answer may still arrive", vault.ErrUnsure)

// compare reads the opening of a version, or of the current one, and says which it is, ""
// if there is none, and whether it has the same bytes.
func (s *store) compare(ctx context.Context, key, id string, o *opening) (found string, same bool, err error) {
	r, err := s.open(ctx, key, id, 0, int64(len(o.first)))
	if gcerrors.Code(err) == gcerrors.NotFound || code(err) == "InvalidRange" { // absent, removed meanwhile; empty
		return id, false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer r.Close()
	first, err := io.ReadAll(io.LimitReader(r, maxOpening))
	return tag(r), r.Size() == o.size && bytes.Equal(first, o.first), err
}
