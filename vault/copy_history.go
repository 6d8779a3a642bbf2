package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/text"
)

// With Versions, Copy writes the versions of a name in the order in which they were written. If the
// newest version of dst is one of src, only the later ones are written. So an interrupted copy continues,
// also if the oldest versions were dropped since. With Verify, a damaged version of dst is not one of src.

// history copies the versions of a name.
func (c *copier) history(ctx context.Context, p pair, done *Copied) error {
	ours, err := oldestFirst(c.src.backend.versions(ctx, p.Key))
	if err != nil {
		return c.atSource(err)
	}
	theirs, err := oldestFirst(c.dst.backend.versions(ctx, p.Key))
	if err != nil {
		return c.atDestination(err)
	}
	switch {
	case len(ours) == 0 && len(theirs) > 0 && c.o.Extra:
		done.Status = CopyExtra
		return nil
	case len(ours) == 0 && c.o.Names != nil:
		return c.atSource(ErrNotFound)
	case len(ours) == 0:
		done.Status = CopyGone
		return nil
	}
	next := 0 // the first version to write
	if len(theirs) > 0 {
		if next, err = c.following(ctx, p.Key, ours, theirs); err != nil {
			return err
		}
	}
	damaged := false
	if next > 0 && c.o.Verify {
		if damaged, err = c.damaged(ctx, p.Key, ours[:next], theirs); err != nil {
			return err
		}
	}
	if damaged {
		next = -1
	}
	switch {
	case next < 0 && c.o.Mode == CopyForce:
		next = 0
	case next < 0 && c.o.Mode == CopyNewer && !ours[len(ours)-1].Deleted:
		err := c.current(ctx, p, done) // only the current objects can be compared
		if damaged && done.Status == CopySame {
			done.Status = CopyExists // an old version is damaged
		}
		return err
	case next < 0:
		done.Status = CopyExists
		return nil
	case next == len(ours):
		done.Status = CopySame
		return nil
	}
	return c.append(ctx, p, ours[next:], len(theirs) == 0, done)
}

// append writes versions of a name in their order.
func (c *copier) append(ctx context.Context, p pair, versions []Version, first bool, done *Copied) error {
	damaged := 0
	done.Opened, done.Status = true, CopyGone // until a version was copied
	for _, version := range versions {
		if version.Deleted {
			if err := c.mark(ctx, p); err != nil {
				return c.atDestination(err)
			}
			done.Status, first = CopyCopied, false
			done.Versions++
			continue
		}
		t, err := c.read(ctx, p.Name, at(p.Key, version))
		switch {
		case errors.Is(err, envelope.ErrFormat), errors.Is(err, envelope.ErrDecrypt):
			damaged++
			continue
		case errors.Is(err, ErrNotFound): // dropped since it was listed
			continue
		case err != nil:
			return c.atSource(err)
		}
		how := condition{}
		if first {
			how.kind = create
		}
		opened := done.Opened && t.object != nil
		err = c.write(ctx, t, how, done)
		t.close()
		if err != nil {
			return err
		}
		done.Opened, first = opened, false
		done.Versions++
	}
	if damaged > 0 {
		return c.atSource(fmt.Errorf("%w: %s", envelope.ErrFormat, text.Count(damaged, "of its versions is damaged or no envelope, and was not copied", "of its versions are damaged or no envelopes, and were not copied")))
	}
	return nil
}

// mark deletes the object at dst, so that the history gets a delete marker.
func (c *copier) mark(ctx context.Context, p pair) error {
	if c.o.DryRun {
		return nil
	}
	ref := c.dst.ref(p.Name)
	last := c.dst.lastSeen(ctx, ref)
	err := c.dst.absent(ctx, p.Key, c.dst.remove(ctx, p.Key))
	if err = c.dst.deleted(ctx, ref, last, err); err == nil || errors.Is(err, ErrNotFound) {
		c.dst.mirrorDelete(ctx, p.Name, p.Key)
		return nil
	}
	return err
}

// following returns the index, in the versions of src, of the one that follows the newest version of dst. It
// returns -1 if src does not have that version.
func (c *copier) following(ctx context.Context, key string, ours, theirs []Version) (int, error) {
	newest, err := identity(ctx, c.dst, key, theirs, len(theirs)-1)
	if err != nil {
		return 0, c.atDestination(err)
	}
	for i := len(ours) - 1; i >= 0; i-- {
		id, err := identity(ctx, c.src, key, ours, i)
		if err != nil {
			return 0, c.atSource(err)
		}
		if id == newest {
			return i + 1, nil
		}
	}
	return -1, nil
}

// damaged reports whether dst has other bytes than src in a version that both have. If dst has several
// copies of a version, one must have the same bytes; of its newest version, the newest copy.
func (c *copier) damaged(ctx context.Context, key string, ours, theirs []Version) (bool, error) {
	copies := make(map[string][]Version) // newest first, by identity
	for i, version := range slices.Backward(theirs) {
		if version.Deleted {
			continue
		}
		id, err := identity(ctx, c.dst, key, theirs, i)
		if err != nil {
			return false, c.atDestination(err)
		}
		copies[id] = append(copies[id], version)
	}
	newest := true
	for i, version := range slices.Backward(ours) {
		if version.Deleted {
			continue
		}
		id, err := identity(ctx, c.src, key, ours, i)
		if err != nil {
			return false, c.atSource(err)
		}
		candidates := copies[id] // none: it was dropped from dst, or not copied
		if newest {
			candidates = candidates[:min(1, len(candidates))]
		}
		newest = false
		same := len(candidates) == 0
		for _, other := range candidates {
			if same, err = c.equal(ctx, at(key, version), at(key, other)); err != nil {
				return false, err
			}
			if same {
				break
			}
		}
		if !same {
			return true, nil
		}
	}
	return false, nil
}

// identity returns what no other write of a key shares with the i-th version. A delete marker has the
// identity of the version that it hides.
func identity(ctx context.Context, v *Vault, key string, versions []Version, i int) (string, error) {
	prefix := ""
	for ; i >= 0 && versions[i].Deleted; i-- {
		prefix += "deleted "
	}
	if i < 0 {
		return prefix, nil
	}
	h, err := v.readHead(ctx, at(key, versions[i]), 0, headSize)
	if errors.Is(err, ErrNotFound) { // dropped since it was listed
		return fmt.Sprintf("%p %d", v, i), nil // equal to no version of the other store
	}
	return fmt.Sprintf("%s%d %x", prefix, versions[i].Size, sha256.Sum256(startOf(h.data))), err
}

// oldestFirst returns the versions of a history, oldest first.
func oldestFirst(versions iter.Seq2[Version, error]) (all []Version, err error) {
	for version, err := range versions {
		if err != nil {
			return nil, err
		}
		all = append(all, version)
	}
	slices.Reverse(all)
	return all, nil
}

// deleted yields the names that have only old versions in src. A list of objects does not contain them.
func (c *copier) deleted(ctx context.Context, listed map[Name]bool) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		names := make(map[Name]bool)
		for l, err := range c.src.backend.leftovers(ctx, listPrefix(c.src.tenant, c.src.collection, c.o.Prefix)) {
			if err != nil {
				yield(pair{}, c.atSource(err))
				return
			}
			name, ours := nameOf(c.src.tenant, c.src.collection, l.Key)
			if ours && strings.HasPrefix(string(name), c.o.Prefix) && !listed[name] && c.src.scope.Check(name, false) == nil {
				names[name] = true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			p := pair{Entry: Entry{Name: name}, inSource: true}
			if p.Key, p.err = c.dst.writable(name); p.err != nil {
				p.err = c.atDestination(p.err)
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}
