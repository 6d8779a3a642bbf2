package memfs

import (
	"cmp"
	"context"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
)

// batch is how many names of a directory are in memory at once.
const batch = 1024

// list walks the directories in the order of the keys. That is the order of the
// names as they are before they are escaped, and with a slash after those of
// directories: a-b comes before a/b, and so does a.
func (s *files) list(ctx context.Context, prefix string, from *string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		w := &walk{s: s, ctx: ctx, prefix: prefix, from: from, yield: yield}
		dir, base := ".", ""
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			dir, base = objectPath(prefix[:i]), prefix[:i+1]
		}
		if first, _, _ := strings.Cut(base, "/"); base != "" && strings.EqualFold(first, meta) {
			return
		}
		if other, err := s.clash(dir); err != nil || other != "" {
			if err != nil {
				yield(object{}, classify(err))
			}
			return
		}
		w.dir(dir, base)
	}
}

// A walk is one listing under way.
type walk struct {
	s      *files
	ctx    context.Context
	prefix string
	from   *string
	yield  func(object, error) bool
}

// A name is one entry of a directory: a segment of a key, and where it lies.
type name struct {
	segment string // with a slash after it if it is a directory
	path    string
	entry   fs.DirEntry
}

// dir yields what lies in dir, whose keys begin with base, and reports whether to
// go on.
func (w *walk) dir(dir, base string) bool {
	var last *name
	for {
		names, more, err := w.names(dir, base, last)
		if err != nil && !isAbsent(err) {
			w.yield(object{}, classify(err))
			return false
		}
		for _, n := range names {
			dir, key := n.entry.IsDir(), base+n.segment
			if w.wants(key, dir) && !(dir && w.dir(n.path, key) || !dir && w.object(n, key)) {
				return false
			}
		}
		if !more || !w.wants(base, true) {
			return true
		}
		last = &names[len(names)-1]
	}
}

// wants reports whether key, or if it is a directory something below it, may be
// part of the answer.
func (w *walk) wants(key string, dir bool) bool {
	return (strings.HasPrefix(key, w.prefix) || dir && strings.HasPrefix(w.prefix, key)) &&
		(key >= *w.from || dir && strings.HasPrefix(*w.from, key))
}

func (w *walk) object(n name, key string) bool {
	if err := w.ctx.Err(); err != nil {
		w.yield(object{}, err)
		return false
	}
	fi, err := n.entry.Info()
	if err == nil && !fi.Mode().IsRegular() {
		fi, err = w.s.disk.lstat(n.path) // says what is wrong with it
	}
	switch {
	case isAbsent(err), err == nil && fi.IsDir():
		return true // it has gone since its name was read
	case err != nil:
		w.yield(object{}, classify(err))
		return false
	}
	return w.yield(object{key, fi.Size(), timeOf(idAt(fi.ModTime()))}, nil)
}

// names returns, in order, the first names in dir that come after last, and whether
// there are more.
func (w *walk) names(dir, base string, last *name) (names []name, more bool, err error) {
	shrink := func() {
		slices.SortFunc(names, func(a, b name) int { return cmp.Compare(a.segment, b.segment) })
		if len(names) > batch {
			names, more = names[:batch], true
		}
	}
	// part is the path of a long segment so far, with a slash after it.
	var read func(part string) error
	read = func(part string) error {
		return w.s.disk.list(path.Join(dir, part), func(e fs.DirEntry) error {
			rest := part + e.Name()
			if e.IsDir() && strings.HasSuffix(rest, joint) {
				if err := read(rest + "/"); !isAbsent(err) {
					return err
				}
				return nil
			}
			segment, ok := segmentOf(rest)
			if !ok || base == "" && strings.EqualFold(segment, meta) {
				return nil // nobody's object
			}
			if e.IsDir() {
				segment += "/"
			}
			if (last == nil || segment > last.segment) && w.wants(base+segment, e.IsDir()) {
				names = append(names, name{segment, path.Join(dir, rest), e})
			}
			if len(names) >= 2*batch {
				shrink()
			}
			return nil
		})
	}
	err = read("")
	shrink()
	return names, more, err
}
