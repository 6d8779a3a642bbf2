package memfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/vault"
)

// Leftovers implements [vault.Purger].
func (b *bucket) Leftovers(ctx context.Context, prefix string) iter.Seq2[vault.Leftover, error] {
	return func(yield func(vault.Leftover, error) bool) {
		for key, err := range b.shelf.keysWithPast(ctx, prefix) {
			var all []vault.Version
			if err == nil {
				all, err = b.shelf.versions(ctx, key)
			}
			if err != nil {
				yield(vault.Leftover{}, fmt.Errorf("leftovers of %s: %w", prefix, err))
				return
			}
			for _, v := range all {
				if (!v.Current || v.Deleted) && !yield(vault.Leftover{Key: key, ID: v.ID, Deleted: v.Deleted}, nil) {
					return
				}
			}
		}
	}
}

// Purge implements [vault.Purger].
func (b *bucket) Purge(ctx context.Context, leftovers []vault.Leftover) (failed map[vault.Leftover]error, err error) {
	failed = make(map[vault.Leftover]error)
	for _, l := range leftovers {
		id, ok := parseID(l.ID)
		if !ok {
			continue // the version does not exist
		}
		if err := errors.Join(checkKey(l.Key), ctx.Err()); err != nil {
			failed[l] = err
		} else if err := b.shelf.purge(ctx, l.Key, state{id: id, deleted: l.Deleted}); err != nil {
			failed[l] = fmt.Errorf("purge %s: %w", l.Key, err)
		}
	}
	return failed, nil
}

func (m *memory) keysWithPast(_ context.Context, prefix string) iter.Seq2[string, error] {
	m.mu.Lock()
	keys := slices.Sorted(maps.Keys(m.past))
	m.mu.Unlock()
	return func(yield func(string, error) bool) {
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && !yield(key, nil) {
				return
			}
		}
	}
}

func (m *memory) purge(_ context.Context, key string, old state) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	current := m.current(key)
	all := slices.DeleteFunc(m.past[key], func(s memento) bool {
		return s.state == old && (current == nil || s.id != current.id)
	})
	if len(all) == 0 {
		delete(m.past, key)
	} else {
		m.past[key] = all
	}
	return nil
}

// keysWithPast walks the directories of versions, in the order of their names. Like a listing, it keeps a
// limited number of names in memory, and reads a very large directory several times.
func (s *files) keysWithPast(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var walk func(dir string, most int) error
		walk = func(dir string, most int) error {
			for last, more := "", true; more; {
				if err := ctx.Err(); err != nil {
					return err
				}
				below := firstNames{most: max(most, leastHeld)}
				hasFiles := false
				err := s.disk.list(dir, func(e fs.DirEntry) error {
					if !e.IsDir() {
						hasFiles = true
					} else if e.Name() > last {
						below.add(e.Name())
					}
					return nil
				})
				if err != nil && !isAbsent(err) { // absent: it was just purged
					return err
				}
				below.cut()
				if key, ok := keyOf(dir); last == "" && hasFiles && ok && strings.HasPrefix(key, prefix) && !yield(key, nil) {
					return errStop
				}
				for _, name := range below.names {
					if err := walk(path.Join(dir, name), most-below.bytes); err != nil {
						return err
					}
					last = name
				}
				more = below.more
			}
			return nil
		}
		top := versions
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			top = versionsPath(prefix[:i])
		}
		if err := walk(top, s.maxHeld); err != nil && err != errStop {
			yield("", classify(err))
		}
	}
}

// errStop ends a walk that the caller has stopped.
var errStop = errors.New("stop")

// keyOf returns the key whose versionsPath is dir.
func keyOf(dir string) (key string, ok bool) {
	rest, ok := strings.CutPrefix(dir, versions+"/")
	if !ok {
		return "", false
	}
	var segments []string
	part := ""
	for name := range strings.SplitSeq(rest, "/") {
		if long, more := strings.CutSuffix(name, joint); more {
			part += long
			continue
		}
		segments = append(segments, unescape(part+name))
		part = ""
	}
	key = strings.Join(segments, "/")
	return key, versionsPath(key) == dir
}

// purge permanently removes one old version, under the lock of its key.
func (s *files) purge(ctx context.Context, key string, old state) error {
	if err := s.makeWorkDirs(); err != nil {
		return classify(err)
	}
	release, err := s.lock(ctx, key)
	if err != nil {
		return classify(err)
	}
	defer release()
	p, err := s.past(key)
	if err != nil || !slices.Contains(p.old, old) {
		return classify(err)
	}
	name := p.dir + "/" + formatID(old.id)
	if old.deleted {
		err = s.disk.remove(name + deletedSuffix)
	} else if err = s.disk.remove(name); err == nil {
		if err = s.disk.remove(name + attrsSuffix); isAbsent(err) {
			err = nil
		}
	}
	if err == nil {
		err = s.syncDir(p.dir)
	}
	if len(p.old) == 1 && err == nil {
		s.removeUp(p.dir)
	}
	return classify(err)
}
