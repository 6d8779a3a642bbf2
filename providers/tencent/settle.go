package tencent

import (
	"bytes"
	"context"
	"errors"
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
// is, which reads of COS, unlike lists, tell without delay.
func (s *store) settle(ctx context.Context, key string, o *opening, before *vault.Version) (id string, err error) {
	for n := 1; ; n++ {
		now, ours, err := s.compare(ctx, key, "", o)
		switch {
		case err != nil:
			return "", err
		case ours:
			return now, nil
		case now == "" && (before == nil || before.Deleted), before != nil && !before.Deleted && now == before.ID:
			return "", nil
		}
		// Somebody wrote or deleted since.
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
			if _, ours, err := s.compare(ctx, key, v.ID, o); err != nil || ours {
				return v.ID, err
			}
		}
		switch { // lists may lag behind
		case n == attempts:
			return "", errUnseen
		case !pause(ctx, n):
			return "", ctx.Err()
		}
	}
}

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
