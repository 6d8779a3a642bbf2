package memfs

import (
	"context"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// A listing reads each directory once, even if it has many pages: names that were not used for
// a page are parked until the next page is requested. Only the names are kept. Each object is
// examined when its turn comes, so an object that was removed in the meantime is omitted, and
// an object that existed all the time is listed exactly once.
//
// A name that another process adds after its directory was read may be missing from pages that
// are requested within a minute. Objects that this store adds are never missing.
const (
	maxHeld   = 16 << 20 // bytes of names in memory for one listing
	leastHeld = 16 << 10 // minimum for one directory, whatever the directories above it need
	nameCost  = 24       // bytes of a name in addition to its text: the string, and what its allocation wastes
	maxParked = 32 << 20 // bytes of names in all parked listings
	parkedFor = time.Minute
)

// list walks the directories in the order of the keys. This is the order of the unescaped
// names, with a slash after those of directories: a-b comes before a/b, and so does a.
func (s *files) list(ctx context.Context, prefix string, from *string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		if !s.exact(ctx, prefix, from, yield) {
			return
		}
		w := s.listings.resume(prefix, *from, s.clock())
		if w == nil {
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
			w = &walk{s: s, prefix: prefix, levels: []level{{dir: dir, base: base, more: true}}}
			s.listings.begin(w)
		}
		stopped, err := w.run(ctx, from, yield)
		if err != nil {
			yield(object{}, classify(err))
		}
		s.listings.end(w, stopped, *from, s.clock())
	}
}

// exact yields the object whose key is prefix itself, which comes first, without reading its
// directory. It reports whether to continue.
func (s *files) exact(ctx context.Context, prefix string, from *string, yield func(object, error) bool) bool {
	if *from > prefix || strings.HasSuffix(prefix, "/") || checkKey(prefix) != nil {
		return true
	}
	err := ctx.Err()
	var fi fs.FileInfo
	var other string
	name := objectPath(prefix)
	if err == nil {
		other, err = s.clash(name)
	}
	if err == nil && other == "" {
		fi, err = s.disk.lstat(name)
	}
	switch {
	case err == nil && (other != "" || fi.IsDir()), isAbsent(err):
		return true
	case err != nil:
		yield(object{}, classify(err))
		return false
	}
	*from = prefix + "\x00"
	return yield(object{key: prefix, size: fi.Size(), modified: timeOf(idAt(fi.ModTime())), costly: true}, nil)
}

// A walk is one listing, in progress or parked.
type walk struct {
	s      *files
	prefix string
	levels []level // from the top directory to the current one

	dir directory // the open directory, during a run
	at  string    // its name

	// Used by listings, protected by its mutex:
	stale  bool      // an object was created among the names: they must be read again
	from   string    // the least key of the next page
	parked time.Time // time of parking; zero during a run
}

// A level is a directory that a walk is in.
type level struct {
	dir, base string   // its name, and the prefix of the keys in it
	names     []string // segments of keys, in order; a directory's ends with a slash
	held      int      // bytes of names when it was read
	more      bool     // there may be more names after last
	last      string
	begun     bool // last is valid
}

// run yields the remaining objects and reports whether the caller stopped it. In that case the
// next run starts with the object that the caller did not take.
func (w *walk) run(ctx context.Context, from *string, yield func(object, error) bool) (stopped bool, err error) {
	defer w.leave()
	for len(w.levels) > 0 {
		l := &w.levels[len(w.levels)-1]
		switch {
		case !w.wants(l.base, true, *from), len(l.names) == 0 && !l.more:
			w.levels = w.levels[:len(w.levels)-1]
			continue
		case len(l.names) == 0:
			if err := ctx.Err(); err != nil {
				return false, err
			}
			if err := w.read(l, *from); err != nil && !isAbsent(err) {
				return false, err
			}
			continue
		}
		segment, isDir := strings.CutSuffix(l.names[0], "/")
		key := l.base + l.names[0]
		if isDir || !w.wants(key, false, *from) {
			l.names = l.names[1:]
			if isDir && w.wants(key, true, *from) {
				w.levels = append(w.levels, level{dir: path.Join(l.dir, segmentPath(segment, false)), base: key, more: true})
			}
			continue
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		fi, err := w.lstat(l.dir, segment)
		switch {
		case isAbsent(err), err == nil && fi.IsDir(): // it was removed after its name was read
		case err != nil:
			return false, err
		case !yield(object{key: key, size: fi.Size(), modified: timeOf(idAt(fi.ModTime()))}, nil):
			return true, nil
		}
		l.names = l.names[1:]
	}
	return false, nil
}

// wants reports whether key, or an object below it if it is a directory, may be among the
// remaining objects.
func (w *walk) wants(key string, dir bool, from string) bool {
	return (strings.HasPrefix(key, w.prefix) || dir && strings.HasPrefix(w.prefix, key)) &&
		(key >= from || dir && strings.HasPrefix(from, key))
}

// lstat returns the file info of a segment's object in dir. It keeps dir open for the next
// call.
func (w *walk) lstat(dir, segment string) (fi fs.FileInfo, err error) {
	base := segmentPath(segment, false)
	name := path.Join(dir, base)
	if strings.Contains(base, "/") { // a long segment
		return w.s.disk.lstat(name)
	}
	if w.dir == nil || w.at != dir {
		w.leave()
		if w.dir, err = w.s.disk.openDir(dir); err != nil {
			w.dir = nil
			return nil, err
		}
		w.at = dir
	}
	if fi, err = w.dir.lstat(base); err == nil && !fi.Mode().IsRegular() && !fi.IsDir() {
		fi, err = w.s.disk.lstat(name) // returns the specific error
	}
	return fi, err
}

func (w *walk) leave() {
	if w.dir != nil {
		w.dir.close()
		w.dir = nil
	}
}

// read reads the names in the directory of l that come after last: all of them, or the first
// ones if they do not fit into memory.
func (w *walk) read(l *level, from string) error {
	l.names, l.held = nil, 0
	first := firstNames{most: w.s.maxHeld}
	for _, other := range w.levels {
		first.most -= other.held
	}
	first.most = max(first.most, leastHeld)

	// part is the path of the long segment read so far, with a slash after it.
	var read func(part string) error
	read = func(part string) error {
		return w.s.disk.list(path.Join(l.dir, part), func(e fs.DirEntry) error {
			rest := part + e.Name()
			if l.skips(rest, e.IsDir(), &first) {
				return nil
			}
			if e.IsDir() && strings.HasSuffix(rest, joint) {
				if err := read(rest + "/"); !isAbsent(err) {
					return err
				}
				return nil
			}
			segment, ok := segmentOf(rest)
			if !ok || l.base == "" && strings.EqualFold(segment, meta) {
				return nil // not an object
			}
			if e.IsDir() {
				segment += "/"
			}
			if (!l.begun || segment > l.last) && w.wants(l.base+segment, e.IsDir(), from) {
				first.add(segment)
			}
			return nil
		})
	}
	err := read("")
	first.cut()
	l.names, l.held, l.more = first.names, first.bytes, first.more
	if l.more {
		l.last, l.begun = l.names[len(l.names)-1], true
	}
	return err
}

// skips reports whether a name is certainly not among the first names after last. A directory that is
// read several times has many such names, so this is faster than decoding them. A name without an
// escape is its own segment.
func (l *level) skips(name string, dir bool, first *firstNames) bool {
	if !l.begun && !first.more || strings.IndexByte(name, '!') >= 0 {
		return false
	}
	if dir {
		name += "/"
	}
	return l.begun && name <= l.last || first.more && name > first.bound
}

// firstNames collects the first of the added names, as many as fit.
type firstNames struct {
	names []string
	bytes int
	most  int  // bytes
	more  bool // names after bound were omitted
	bound string
}

func (f *firstNames) add(name string) {
	if f.more && name > f.bound {
		return
	}
	f.names = append(f.names, name)
	if f.bytes += len(name) + nameCost; f.bytes > 2*f.most {
		f.cut()
	}
}

// cut sorts the names and omits those that do not fit.
func (f *firstNames) cut() {
	slices.Sort(f.names)
	f.bytes = 0
	for i, name := range f.names {
		cost := len(name) + nameCost
		if i > 0 && f.bytes+cost > f.most {
			clear(f.names[i:])
			f.names, f.more, f.bound = f.names[:i], true, f.names[i-1]
			return
		}
		f.bytes += cost
	}
}

// listings are the walks of a store, in progress or parked.
type listings struct {
	mu     sync.Mutex
	active map[*walk]bool
	parked []*walk // oldest first
}

func (l *listings) begin(w *walk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active == nil {
		l.active = map[*walk]bool{}
	}
	l.active[w] = true
}

// resume returns a parked walk that continues at from, or nil.
func (l *listings) resume(prefix, from string, now time.Time) *walk {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parked = slices.DeleteFunc(l.parked, func(w *walk) bool {
		age := now.Sub(w.parked)
		return w.stale || age < 0 || age >= parkedFor
	})
	i := slices.IndexFunc(l.parked, func(w *walk) bool { return w.prefix == prefix && w.from == from })
	if i < 0 {
		return nil
	}
	w := l.parked[i]
	l.parked = slices.Delete(l.parked, i, i+1)
	l.active[w] = true
	return w
}

// end ends a walk, or parks it for the page that starts at from.
func (l *listings) end(w *walk, park bool, from string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.active, w)
	if !park || w.stale {
		return
	}
	w.from, w.parked = from, now
	l.parked = append(l.parked, w)
	held := 0
	for i, w := range slices.Backward(l.parked) {
		for _, level := range w.levels {
			held += level.held + nameCost
		}
		if held > maxParked {
			l.parked = slices.Delete(l.parked, 0, i+1)
			break
		}
	}
}

// created marks the walks that may have passed key, so that they read their directories again.
func (l *listings) created(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := range l.active {
		w.stale = w.stale || strings.HasPrefix(key, w.prefix)
	}
	for _, w := range l.parked {
		w.stale = w.stale || strings.HasPrefix(key, w.prefix)
	}
}
