package memfs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/objectvault/objectvault/vault"
)

// A write first makes a plan: a list of steps that depends on the history of the key. Making a
// plan changes nothing. Then the steps are executed in order, under the lock of the key. If a step
// fails, the steps before it are undone, the last one first. If the process is killed or the
// power fails between two steps, either the old object or the new one is current, and any other
// remaining files are ignored.

// A step is one change of the directory, or one sync.
type step struct {
	do   action
	name string // the name that the step creates, syncs or removes
	from string // keep, create, replace: the file that gets the name
	kept string // replace, erase: the second name of the old object
	data []byte // write: contents
}

// An action is the effect of a step on its name.
type action string

const (
	doMakeDirs action = "make directories" // creates the directory and missing ones above it
	doWrite    action = "write"            // creates a file and syncs it, but not its name
	doKeep     action = "keep"             // gives the object a second name
	doCreate   action = "create"           // gives the draft its name if the name is free
	doReplace  action = "replace"          // gives the draft the name of the object
	doErase    action = "erase"            // removes the object
	doSyncUp   action = "sync up"          // makes the directory's entries durable, and its own name
	doSync     action = "sync"             // makes the directory's entries durable
	doClean    action = "clean"            // removes a leftover file; may fail without harm
	doCleanUp  action = "clean up"         // removes the directory and those above it while they are empty
)

// planPut plans to make the draft, which has the given id, the object of the key. attrs is nil
// if the object has none; most is the number of old versions to keep.
func planPut(p *past, draft string, id uint64, attrs []byte, most int) (steps []step) {
	steps = append(steps, p.cleanStale()...)
	steps = append(steps, step{do: doMakeDirs, name: path.Dir(p.name)})
	if p.current != nil || attrs != nil {
		steps = append(steps, step{do: doMakeDirs, name: p.dir})
		if attrs != nil {
			steps = append(steps, step{do: doWrite, name: p.version(id) + attrsSuffix, data: attrs})
		}
		if p.current != nil {
			steps = append(steps, step{do: doKeep, name: p.version(p.id), from: p.name})
		}
		// Sync before the object is replaced: otherwise a power failure could remove both
		// copies of the old object.
		steps = append(steps, step{do: doSyncUp, name: p.dir})
	}
	old := p.old
	if p.current != nil {
		steps = append(steps, step{do: doReplace, name: p.name, from: draft, kept: p.version(p.id)})
		old = append([]state{{id: p.id}}, old...)
	} else {
		steps = append(steps, step{do: doCreate, name: p.name, from: draft})
	}
	steps = append(steps, step{do: doSyncUp, name: path.Dir(p.name)})
	return append(steps, p.prune(old, most, true)...)
}

// planRemove plans to remove the object of the key and to leave a delete marker with the given
// id.
func planRemove(p *past, id uint64, most int) (steps []step) {
	steps = append(steps, p.cleanStale()...)
	steps = append(steps,
		step{do: doMakeDirs, name: p.dir},
		step{do: doKeep, name: p.version(p.id), from: p.name},
		step{do: doWrite, name: p.version(id) + deletedSuffix},
		step{do: doSyncUp, name: p.dir},
		step{do: doErase, name: p.name, kept: p.version(p.id)},
		step{do: doSync, name: path.Dir(p.name)},
	)
	old := append([]state{{id: id, deleted: true}, {id: p.id}}, p.old...)
	steps = append(steps, p.prune(old, most, false)...)
	return append(steps, step{do: doCleanUp, name: path.Dir(p.name)})
}

// cleanStale plans to remove the files that a killed writer left. Later they could be misread:
// as a deletion that never happened, or as attributes of another object.
func (p *past) cleanStale() (steps []step) {
	for _, name := range p.stale {
		steps = append(steps, step{do: doClean, name: p.dir + "/" + name})
	}
	return steps
}

// prune plans to remove the surplus of the old versions. present reports whether the key will
// have a current object.
func (p *past) prune(old []state, most int, present bool) (steps []step) {
	old = slices.SortedFunc(slices.Values(old), func(a, b state) int { return cmp.Compare(b.id, a.id) })
	drop := surplus(old, most, present)
	for _, s := range slices.Backward(drop) { // oldest first, so that a kill leaves no gap
		if s.deleted {
			steps = append(steps, step{do: doClean, name: p.version(s.id) + deletedSuffix})
			continue
		}
		steps = append(steps, step{do: doClean, name: p.version(s.id)}, step{do: doClean, name: p.version(s.id) + attrsSuffix})
	}
	if len(drop) == len(old) && (p.present || len(old) > 0) {
		steps = append(steps, step{do: doCleanUp, name: p.dir})
	}
	return steps
}

// version returns the path of a version's content.
func (p *past) version(id uint64) string { return p.dir + "/" + formatID(id) }

// An execution executes the steps of a plan.
type execution struct {
	s         *files
	completed []completedStep
	dir       directory // directory of the erased object
}

// A completedStep is a step with the names that it created.
type completedStep struct {
	step
	made []string
}

// execute executes the steps in order. If one fails, nothing has changed, unless the error is
// [vault.ErrUnsure].
func (s *files) execute(steps []step) error {
	e := &execution{s: s}
	defer func() {
		if e.dir != nil {
			e.dir.close()
		}
	}()
	for _, st := range steps {
		made, err := e.executeStep(st)
		e.completed = append(e.completed, completedStep{st, made}) // also after a failure, so that its names are removed
		if err != nil {
			return e.undo(err)
		}
	}
	return nil
}

// executeStep executes one step. made contains the names to remove if a later step fails, including the
// name of an object that was published or erased.
func (e *execution) executeStep(st step) (made []string, err error) {
	s := e.s
	switch st.do {
	case doMakeDirs:
		err = s.makeDirs(st.name, &made)
	case doWrite:
		return s.writeFile(st.name, st.data)
	case doKeep:
		return s.keep(st.from, st.name)
	case doCreate: // not a rename, which would replace an existing object
		err = s.nameError(s.disk.link(st.from, st.name), st.name)
	case doReplace:
		err = s.nameError(s.disk.rename(st.from, st.name), st.name)
	case doErase:
		if e.dir, err = s.disk.openDir(path.Dir(st.name)); err == nil {
			err = s.disk.remove(st.name)
		}
	case doSyncUp:
		err = s.syncUp(st.name)
	case doSync:
		// Use the open directory, not its name: another process may remove it when it is empty.
		err = errors.Join(s.sync(e.dir), e.dir.close())
		e.dir = nil
	case doClean:
		s.disk.remove(st.name)
	case doCleanUp:
		s.removeUp(st.name)
	}
	if err == nil && (st.do == doCreate || st.do == doReplace || st.do == doErase) {
		made = []string{st.name}
	}
	return made, err
}

// undo undoes the steps before err. A name that cannot be removed is ignored like that of a
// killed process, unless it is the object itself.
func (e *execution) undo(err error) error {
	s := e.s
	for _, t := range slices.Backward(e.completed) {
		for _, name := range slices.Backward(t.made) {
			var undone error
			switch t.do {
			case doReplace, doErase:
				undone = s.disk.rename(t.kept, name)
			default:
				undone = s.disk.remove(name)
			}
			if t.do != doCreate && t.do != doReplace && t.do != doErase {
				continue
			}
			if undone != nil { // the second name may be the only one left: keep it
				return fmt.Errorf("%w: %w; undoing the change failed: %w", vault.ErrUnsure, err, undone)
			}
			s.syncDir(path.Dir(name))
		}
	}
	return err
}

// makeDirs creates dir and missing directories above it. A concurrent deletion may remove an
// empty one at any time.
func (s *files) makeDirs(dir string, made *[]string) error {
	if dir == "." {
		return nil
	}
	err := s.disk.mkdir(dir)
	if isAbsent(err) {
		if err := s.makeDirs(path.Dir(dir), made); err != nil {
			return err
		}
		err = s.disk.mkdir(dir)
	}
	switch {
	case err == nil:
		*made = append(*made, dir)
	case errors.Is(err, fs.ErrExist):
		fi, err := s.disk.lstat(dir)
		switch {
		case isAbsent(err):
			return errAgain // a delete has just removed the empty directory
		case err != nil:
			return err
		case !fi.IsDir():
			return fmt.Errorf("%w: %s is an object, so it cannot be a directory of other objects", vault.ErrConflict, s.abs(dir))
		}
		if other, err := s.clash(dir); err != nil || other != "" {
			return errors.Join(s.conflict(other), err) // created concurrently
		}
	case isAbsent(err):
		return errAgain
	default:
		return err
	}
	return nil
}

// writeFile creates a file and syncs its contents, but not its name.
func (s *files) writeFile(name string, b []byte) (made []string, err error) {
	f, err := s.disk.open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if isAbsent(err) {
		err = errAgain // the empty directory was removed
	}
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	return []string{name}, errors.Join(err, f.Close())
}

// keep gives the current object, at name, a second name among the versions.
func (s *files) keep(name, kept string) (made []string, err error) {
	err = s.disk.link(name, kept)
	switch {
	case err == nil:
		return []string{kept}, nil
	case isAbsent(err):
		return nil, errAgain
	case !errors.Is(err, fs.ErrExist):
		return nil, err
	}
	current, err := s.disk.lstat(name)
	if err != nil {
		return nil, err
	}
	version, err := s.disk.lstat(kept)
	if err != nil {
		return nil, err
	}
	same := os.SameFile(version, current) // left by a killed process
	if !same && version.Size() == current.Size() {
		same, err = s.sameBytes(name, kept) // an old version was copied back with its mtime
	}
	if err == nil && !same {
		err = fmt.Errorf("%w: %s and %s differ, but have the same modification time: run touch on the first file",
			vault.ErrConflict, s.abs(name), s.abs(kept))
	}
	return nil, err
}

// nameError returns the reason why the name of an object is not available, or errAgain.
func (s *files) nameError(err error, name string) error {
	switch {
	case isAbsent(err):
		return errAgain // a delete has just removed the empty directory
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	if fi, err := s.disk.lstat(name); err == nil && fi.IsDir() {
		err := s.removeEmpty(name)
		switch {
		case errors.Is(err, fs.ErrExist):
			return fmt.Errorf("%w: %s is a directory with objects, so it cannot be an object", vault.ErrConflict, s.abs(name))
		case err != nil && !isAbsent(err):
			return err
		}
	}
	return errAgain
}

// removeEmpty removes dir if it contains no files, only directories, as a killed writer leaves
// them.
func (s *files) removeEmpty(dir string) error {
	err := s.disk.list(dir, func(e fs.DirEntry) error {
		if !e.IsDir() {
			return fs.ErrExist
		}
		return s.removeEmpty(dir + "/" + e.Name())
	})
	if err != nil {
		return err
	}
	return s.disk.remove(dir)
}

// removeUp removes dir and the directories above it while they are empty. A process that is
// about to create a file there starts again.
func (s *files) removeUp(dir string) {
	for dir != topOf(dir) && s.disk.remove(dir) == nil {
		dir = path.Dir(dir)
	}
}
