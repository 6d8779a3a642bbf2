package memfs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/objectvault/objectvault/vault"
)

// Memory contains the objects of a mem:// store. The zero value is empty and ready to use, by
// any number of stores at once.
type Memory struct {
	mu   sync.Mutex
	keys sortedSet            // of the current objects
	past map[string][]memento // by key, oldest first
}

// A memento is one version of a key in memory.
type memento struct {
	state
	content []byte // immutable
	attrs   attrs
}

// current returns the object at key, or nil. It does not depend on the delete marker, which may
// have been purged.
func (m *Memory) current(key string) *memento {
	if !m.keys.has(key) {
		return nil
	}
	all := m.past[key]
	return &all[len(all)-1]
}

// push makes next the current version of key, under a new id, and removes surplus versions.
func (m *Memory) push(key string, next memento, keep int) (id uint64) {
	all := m.past[key]
	if len(all) > 0 {
		next.id = max(next.id, all[len(all)-1].id+1)
	}
	all = append(all, next)

	var old []state
	for _, s := range slices.Backward(all) {
		if s.id != next.id || s.deleted {
			old = append(old, s.state)
		}
	}
	drop := surplus(old, keep, !next.deleted)
	all = slices.DeleteFunc(all, func(s memento) bool { return slices.Contains(drop, s.state) })

	if m.past == nil {
		m.past = map[string][]memento{}
	}
	m.past[key] = all
	if next.deleted {
		m.keys.remove(key)
	} else {
		m.keys.add(key)
	}
	return next.id
}

// memory is a shelf that uses a Memory.
type memory struct {
	*Memory
	config Config
}

func (m *memory) open(_ context.Context, key, id string) (*content, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.current(key)
	if id != "" {
		s = nil
		for i, old := range m.past[key] {
			if formatID(old.id) == id && !old.deleted {
				s = &m.past[key][i]
			}
		}
	}
	if s == nil {
		return nil, vault.ErrNotFound
	}
	return &content{
		ReaderAt: bytes.NewReader(s.content),
		size:     int64(len(s.content)),
		id:       s.id,
		attrs:    s.attrs,
		close:    func() error { return nil },
	}, nil
}

func (m *memory) draft(_ context.Context, key string) (draft, error) {
	return &memDraft{m: m, key: key}, nil
}

type memDraft struct {
	bytes.Buffer
	m   *memory
	key string
}

func (d *memDraft) copyFrom(ctx context.Context, c *content, offset, n int64) error {
	_, err := io.CopyN(d, io.NewSectionReader(c, offset, n), n)
	return errors.Join(err, ctx.Err())
}

func (d *memDraft) publish(_ context.Context, a attrs, c condition) (string, error) {
	m := d.m
	if _, err := a.encode(); err != nil { // the same limit as a file:// store
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var id uint64
	current := m.current(d.key)
	if current != nil {
		id = current.id
	}
	if err := c.check(current != nil, id); err != nil {
		return "", err
	}
	next := memento{state: state{id: m.config.now()}, content: d.Bytes(), attrs: a}
	return formatID(m.push(d.key, next, m.config.versions())), nil
}

func (d *memDraft) discard() {}

func (m *memory) remove(_ context.Context, key string, c condition) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	current := m.current(key)
	switch {
	case current != nil:
		if err := c.check(true, current.id); err != nil {
			return err
		}
	case c.tag != "":
		return c.check(false, 0)
	default:
		return vault.ErrNotFound
	}
	m.push(key, memento{state: state{id: m.config.now(), deleted: true}}, m.config.versions())
	return nil
}

func (m *memory) list(ctx context.Context, prefix string, from *string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		for {
			// Copy one page at a time, so that the caller may write during the iteration.
			page := m.page(prefix, *from)
			for _, o := range page {
				if err := ctx.Err(); err != nil {
					yield(object{}, err)
					return
				}
				if o.key >= *from && !yield(o, nil) {
					return
				}
			}
			if len(page) == 0 {
				return
			}
			*from = max(*from, page[len(page)-1].key+"\x00")
		}
	}
}

func (m *memory) page(prefix, from string) []object {
	m.mu.Lock()
	defer m.mu.Unlock()
	var page []object
	m.keys.from(max(prefix, from), func(key string) bool {
		if !strings.HasPrefix(key, prefix) || len(page) == maxPage {
			return false
		}
		all := m.past[key]
		s := &all[len(all)-1]
		page = append(page, object{key: key, size: int64(len(s.content)), modified: timeOf(s.id)})
		return true
	})
	return page
}

func (m *memory) versions(_ context.Context, key string) ([]vault.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []vault.Version
	exists := m.current(key) != nil
	for _, s := range slices.Backward(m.past[key]) {
		all = append(all, vault.Version{
			ID:       formatID(s.id),
			Modified: timeOf(s.id),
			Size:     int64(len(s.content)),
			Deleted:  s.deleted,
			Current:  len(all) == 0 && (exists || s.deleted),
		})
	}
	return all, nil
}

func (m *memory) close() error { return nil }
