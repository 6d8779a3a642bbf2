package memfs

import (
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/objectvault/objectvault/internal/durable"
)

// A write is durable after two kinds of sync: of the directory whose entries have changed, and
// of each directory above it whose own name may not be durable, because it is new or because
// the process that created it may have been killed before the sync. A store remembers the
// directories whose names it has made durable, and does not sync the directories above them
// again.
//
// Any process may remove an empty directory and create it again. Therefore the store remembers
// the directory, not its name: it keeps the directory open, so that no other one can get its
// inode number, and compares it with the directory that has the name now.

// topOf returns the directory above dir that is never removed and that has been durable since
// the store was opened.
func topOf(dir string) string {
	if dir == versions || strings.HasPrefix(dir, versions+"/") {
		return versions
	}
	return "."
}

// syncUp makes the entries of dir durable, and the names of dir and all directories above it.
// dir must not be empty, because only then none of them can be removed.
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

// sync makes the entries of d durable if the file system can. If it cannot, sync calls
// Config.Unsynced once.
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

// maxSynced is the number of remembered directories; each uses a file descriptor.
const maxSynced = 32

// syncedDirs are directories whose names, and those of all directories above them, are durable.
type syncedDirs struct {
	mu     sync.Mutex
	dirs   []syncedDir // most recently used last
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
	remembered, err := d.lstat(".")
	if err == nil {
		if current, err := disk.lstat(name); err == nil && os.SameFile(remembered, current) {
			m.dirs = append(m.dirs, d)
			return true
		}
	}
	d.close()
	return false
}

// add remembers a directory that is not empty, so that it cannot be removed now.
func (m *syncedDirs) add(disk disk, name string) {
	if !syncsDirs {
		return
	}
	d, err := disk.openDir(name)
	if err != nil {
		return // it is synced once more than necessary
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
