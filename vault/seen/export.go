package seen

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// ErrImport means that the input of [Log.Import] is not the output of [Log.Export], or belongs to
// another store.
var ErrImport = errors.New("not an export of the revisions that were seen in this store")

// A row is a line of an export. Its JSON names are only added to.
type row struct {
	Store    string    `json:"store"`
	Object   string    `json:"object"` // hash of the object's full name
	Revision int64     `json:"revision"`
	Rewrap   int       `json:"rewrap,omitempty"`
	Tag      string    `json:"tag"`
	Deleted  bool      `json:"deleted,omitempty"`
	Time     time.Time `json:"time"`
	Expires  time.Time `json:"expires,omitzero"`
}

// Export writes all states as lines of JSON, for [Log.Import] on another machine. It returns their
// number.
func (l *Log) Export(ctx context.Context, w io.Writer) (n int, err error) {
	b := bufio.NewWriter(w)
	out := json.NewEncoder(b)
	for i := range 256 {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		file := l.file(fmt.Sprintf("%02x", i))
		data, err := readFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return n, err
		}
		s := parse(data)
		if s.damaged > 0 {
			l.repair(ctx, file)
		}
		keys := s.order()
		slices.Sort(keys)
		for _, key := range keys {
			state := s.states[key]
			n++
			if err := out.Encode(row{l.store, key, state.Revision, state.Rewrap, state.Tag, state.Deleted, state.Time, state.Expires}); err != nil {
				return n, err
			}
		}
	}
	return n, b.Flush()
}

// maxImport is the number of states that an import may have: more would not be kept.
const maxImport = 256 * maxObjects

// Import reads the lines that [Log.Export] wrote, and records each state that is newer than the one
// that is recorded here. It returns the number of states that it recorded. If r contains anything else
// or a state of another store, the error wraps [ErrImport], and nothing is recorded.
func (l *Log) Import(ctx context.Context, r io.Reader) (n int, err error) {
	files := make(map[string]map[string]vault.SeenState)
	total := 0
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
				return 0, err
			} else if err != nil {
				return 0, fmt.Errorf("%w: line %d is too long", ErrImport, total+1)
			}
			break
		}
		total++
		var in row
		state := func() vault.SeenState {
			return vault.SeenState{Revision: in.Revision, Rewrap: in.Rewrap, Tag: in.Tag, Deleted: in.Deleted, Time: in.Time.UTC(), Expires: in.Expires.UTC()}
		}
		switch err := json.Unmarshal(lines.Bytes(), &in); {
		case err != nil, !valid(in.Object, state()):
			return 0, fmt.Errorf("%w: line %d is invalid", ErrImport, total)
		case in.Store != l.store:
			return 0, fmt.Errorf("%w: line %d belongs to the store %q, but this store is %q", ErrImport, total, in.Store, l.store)
		case total > maxImport:
			return 0, fmt.Errorf("%w: it has more than %d lines", ErrImport, maxImport)
		}
		file := l.file(in.Object)
		if files[file] == nil {
			files[file] = make(map[string]vault.SeenState)
		}
		if old, ok := files[file][in.Object]; !ok || state().Compare(old) > 0 {
			files[file][in.Object] = state()
		}
	}
	for file, states := range files {
		err := l.change(ctx, file, func(s *shard) (changed []string) {
			for key, state := range states {
				if old, ok := s.states[key]; !ok || state.Compare(old) > 0 {
					s.states[key] = state
					changed = append(changed, key)
				}
			}
			n += len(changed)
			return changed
		})
		if err != nil {
			return n, fmt.Errorf("recording in %s: %w", filepath.Dir(file), err)
		}
	}
	return n, nil
}
