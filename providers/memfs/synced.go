package memfs

import (
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/objectvault/objectvault/internal/durable"
)

// What has to be synced before a write is durable: the directory whose entries have
// changed, and each one above it whose own name may not be durable, because it is new or
// because the process that made it may have been killed before it came to that. A store
// remembers the directories whose names it has made durable, and does not sync those
// above them again.
//
// A directory may be removed when it is empty, and made again, by any process. So the
// memory is of a directory and not of a name: it is kept open, so that no other one can
// have its inode number, and it is compared with what has the name now.

// topOf is the directory above dir that is never removed, and durable since the store
// was opened.
func topOf(dir string) string {
	if dir == versions || strings.HasPrefix(dir, versions+"/") {
		return versions
	}
	return "."
}

// syncUp makes durable what has been put into dir, and the names of dir and all above
// it. It works only once there is something in dir, since then none of them can be removed.
func (s *files) syncUp(dir string) error {
	if err := s.syncDir(dir); err != nil {
		return err
	}
	var made []string
	for top := topOf(dir); dir != top && !s.synced.holds(s.disk, dir); dir = path.Dir(dir) {
		if err := s.syncDir(path.Dir(dir)); err != nil {
			return err
		}
		made = append(made, dir)
	}
	for _, dir := range slices.Backward(made) {
		s.synced.add(s.disk, dir)
	}
	return nil
}

// syncDir makes the entries of dir durable.
func (s *files) syncDir(dir string) error {
	d, err := s.disk.openDir(dir)
	if err != nil {
		return err
	}
	defer d.close()
	return s.sync(d)
}

// sync makes the entries of d durable, as far as the file system can. Where it cannot, the
// caller of [Open] is told so once.
func (s *files) sync(d directory) error {
	err := d.sync()
	if err == nil || !durable.NoSync(err) {
		return err
	}
	if s.config.Unsynced != nil {
		s.unsynced.Do(func() { s.config.Unsynced(s.dir) })
	}
	return nil
}

// maxSynced is how many directories are remembered; each takes a file descriptor.
const maxSynced = 32

// syncedDirs are directories whose names are durable, and those of all above them.
type syncedDirs struct {
	mu     sync.Mutex
	dirs   []syncedDir // the last used one last
	closed bool
}

type syncedDir struct {
	name string
	directory
}

// holds reports whether the directory that has the name now is remembered.
func (m *syncedDirs) holds(disk disk, name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.dirs, func(d syncedDir) bool { return d.name == name })
	if i < 0 {
		return false
	}
	d := m.dirs[i]
	m.dirs = slices.Delete(m.dirs, i, i+1)
	was, err := d.lstat(".")
	if err == nil {
		if is, err := disk.lstat(name); err == nil && os.SameFile(was, is) {
			m.dirs = append(m.dirs, d)
			return true
		}
	}
	d.close()
	return false
}

// add remembers a directory that cannot be removed just now.
func (m *syncedDirs) add(disk disk, name string) {
	if !syncsDirs {
		return
	}
	d, err := disk.openDir(name)
	if err != nil {
		return // it will be synced once more than it need be
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(func(old syncedDir) bool { return old.name == name || m.closed })
	if m.closed {
		d.close()
		return
	}
	if m.dirs = append(m.dirs, syncedDir{name, d}); len(m.dirs) > maxSynced {
		first := m.dirs[0].name
		m.drop(func(old syncedDir) bool { return old.name == first })
	}
}

func (m *syncedDirs) drop(which func(syncedDir) bool) {
	m.dirs = slices.DeleteFunc(m.dirs, func(d syncedDir) bool {
		if which(d) {
			d.close()
			return true
		}
		return false
	})
}

func (m *syncedDirs) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.drop(func(syncedDir) bool { return true })
}
