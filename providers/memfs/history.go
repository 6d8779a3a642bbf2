package memfs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/vault"
)

const (
	deletedSuffix = ".deleted"
	attrsSuffix   = ".attrs"
)

// A past is the state of one key in the directory. It is accurate while the key is locked.
type past struct {
	name    string      // path of the object
	dir     string      // directory of the versions
	present bool        // dir exists
	current fs.FileInfo // nil if there is no object
	id      uint64      // id of current
	last    uint64      // the highest id of any version
	old     []state     // newest first; without current
	stale   []string    // names in dir that a killed process left
}

// past reads the past of key. A missing directory is an empty past.
func (s *files) past(key string) (*past, error) {
	name := objectPath(key)
	p := &past{name: name, dir: versionsPath(key)}
	// Read the object first: if it is replaced after this call, it is also among the versions.
	fi, err := s.disk.lstat(name)
	switch {
	case err == nil && fi.Mode().IsRegular():
		if other, err := s.clash(name); err != nil || other != "" {
			return nil, errors.Join(s.conflict(other), err)
		}
		if err := checkPrivate(s.abs(name), fi); err != nil {
			return nil, err
		}
		p.current, p.id = fi, idAt(fi.ModTime())
		p.last = p.id
	case err != nil && !isAbsent(err):
		return nil, err
	default:
		if other, err := s.clash(name); err != nil || other != "" {
			return nil, errors.Join(s.conflict(other), err)
		}
	}
	var withAttrs []uint64
	err = s.disk.list(p.dir, func(e fs.DirEntry) error {
		hex, suffix, _ := strings.Cut(e.Name(), ".")
		id, ok := parseID(hex)
		if !ok || e.IsDir() {
			return nil
		}
		switch {
		case suffix == "" && e.Name() == hex:
			// Skip the second name of current, which a killed writer left.
			if p.current == nil || id != p.id {
				p.old = append(p.old, state{id: id})
			}
		case "."+suffix == deletedSuffix:
			if p.current != nil && id > p.id {
				p.stale = append(p.stale, e.Name()) // the writer was killed before it removed the object
			} else {
				p.old = append(p.old, state{id: id, deleted: true})
			}
		case "."+suffix == attrsSuffix:
			withAttrs = append(withAttrs, id)
		default:
			return nil
		}
		p.last = max(p.last, id)
		return nil
	})
	if err != nil && !isAbsent(err) {
		return nil, err
	}
	p.present = err == nil
	for _, id := range withAttrs {
		if (p.current == nil || id != p.id) && !slices.Contains(p.old, state{id: id}) {
			p.stale = append(p.stale, formatID(id)+attrsSuffix)
		}
	}
	slices.SortFunc(p.old, func(a, b state) int { return cmp.Compare(b.id, a.id) })
	return p, nil
}

// sameBytes reports whether two files have the same contents.
func (s *files) sameBytes(a, b string) (bool, error) {
	var sums [2][sha256.Size]byte
	for i, name := range []string{a, b} {
		f, err := s.disk.open(name, os.O_RDONLY)
		if err != nil {
			return false, err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(f, 0, math.MaxInt64)); err != nil {
			return false, err
		}
		h.Sum(sums[i][:0])
	}
	return sums[0] == sums[1], nil
}

// versions returns the versions of key. It takes no lock.
func (s *files) versions(ctx context.Context, key string) (all []vault.Version, err error) {
	err = s.again(ctx, func() (err error) {
		all, err = s.readVersions(key)
		return err
	})
	return all, classify(err)
}

func (s *files) readVersions(key string) ([]vault.Version, error) {
	if other, err := s.clash(objectPath(key)); err != nil || other != "" {
		return nil, err
	}
	p, err := s.past(key)
	if err != nil {
		return nil, err
	}
	var all []vault.Version
	if p.current != nil {
		all = append(all, vault.Version{ID: formatID(p.id), Modified: timeOf(p.id), Size: p.current.Size(), Current: true})
	}
	for _, old := range p.old {
		v := vault.Version{ID: formatID(old.id), Modified: timeOf(old.id), Deleted: old.deleted}
		if old.deleted {
			v.Current = len(all) == 0
		} else {
			fi, err := s.disk.lstat(p.dir + "/" + v.ID)
			if isAbsent(err) {
				continue // it has just been removed
			}
			if err != nil {
				return nil, err
			}
			v.Size = fi.Size()
		}
		all = append(all, v)
	}
	current, err := s.disk.lstat(objectPath(key))
	switch {
	case err != nil && !isAbsent(err):
		return nil, err
	case p.current == nil && err == nil && current.Mode().IsRegular():
		return nil, errAgain
	case p.current != nil && (err != nil || !os.SameFile(current, p.current)):
		// Another process has replaced or deleted the object since. The list is that of the moment
		// when p.current was the object: it has no later versions. A new attempt could meet the next
		// change, and the one after it, because a long history takes long to read.
		return slices.DeleteFunc(all, func(v vault.Version) bool { return v.ID > all[0].ID && !v.Current }), nil
	}
	return all, nil
}

// openVersion opens one version of key, the current one included.
func (s *files) openVersion(key, id string) (*content, error) {
	n, ok := parseID(id)
	if !ok {
		return nil, vault.ErrNotFound
	}
	c, err := s.openCurrent(key)
	switch {
	case err == nil && c.id == n:
		return c, nil
	case err == nil:
		c.close()
	case !errors.Is(err, vault.ErrNotFound):
		return nil, err
	}
	c, err = s.openFile(versionsPath(key)+"/"+id, key, &n)
	if isAbsent(err) {
		return nil, vault.ErrNotFound
	}
	return c, err
}
