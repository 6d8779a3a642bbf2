// Package spool keeps sealed values on this machine until the store has them. It is a write-ahead
// journal: [vault.Vault.Put] writes an entry before it sends a request, and removes the entry when
// the store has the value. [Spool.Sync] sends the remaining entries later.
//
//	id := spool.StoreID("s3", "", "bucket", "")
//	sp, err := spool.Open(spool.Config{Dir: dir, Store: id})
//	v, err := vault.New(store, tenant, keys, &vault.Options{Spool: sp})
//	_, err = v.Put(ctx, "openrouter", strings.NewReader(key), nil)
//	if errors.Is(err, vault.ErrSpooled) {
//		// the value is saved on this machine; later:
//		result, err := sp.Sync(ctx, v, nil)
//	}
//
// An entry is a file. Put completes and syncs the file before it sends a request. FORMAT.md of this
// module specifies its format. Several processes may use a directory at once. A process locks an
// entry while it sends it, and the operating system releases the lock when the process ends. The
// entries of one name are sent in order.
//
// The package starts no goroutine, except while Sync runs.
package spool

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/durable"
	"github.com/objectvault/objectvault/internal/filelock"
	"github.com/objectvault/objectvault/vault"
)

const (
	// DefaultLimit is the default of [Config].Limit, in bytes.
	DefaultLimit = 64 << 20
	// DefaultTotal is the default of [Config].Total, in bytes.
	DefaultTotal = 256 << 20
)

// A Config configures a [Spool].
type Config struct {
	// Dir is the directory of the spools of all stores, and of their common key. It is created with
	// mode 0700 when the first entry is added.
	Dir string
	// Store is the [StoreID] of the store that receives the entries.
	Store string
	// Identity identifies the caller. [Spool.Keep] saves it with a value whose tenant is not known yet. A
	// Spool with the same Identity treats such a value as one of the tenant that it is asked for. Callers of
	// different tenants must use different identities. If it is empty, there are no such values.
	Identity string
	// Limit is the maximum length of a value in bytes; 0 means [DefaultLimit].
	Limit int64
	// Total limits the size of all entries of the store in bytes; 0 means [DefaultTotal]. When they
	// have reached it, Add fails with [vault.ErrNoSpace].
	Total int64
	// Now reports the time; nil means [time.Now].
	Now func() time.Time
	// Warn receives errors that do not make an operation fail: a value could not be saved, or a
	// damaged entry was set aside. Nil ignores them.
	Warn func(error)
}

// A Spool is the directory with the entries of one store. It implements [vault.Spool], and is safe
// for concurrent use.
type Spool struct {
	config Config
	dir    string
	sys    system

	mu    sync.Mutex
	ready bool // dir exists durably
	key   envelope.KeySource
}

var _ vault.Spool = (*Spool)(nil)

// A system contains the system calls that make entries durable. Tests replace them.
type system struct {
	makeDir func(dir string) error
	sync    func(*os.File) error
	rename  func(from, to string) error
	syncDir func(dir string) error
}

var thisSystem = system{durable.MakeDir, (*os.File).Sync, os.Rename, func(dir string) error {
	if err := durable.SyncDir(dir); err != nil && !durable.NoSync(err) {
		return err
	}
	return nil
}}

// Open returns the spool of a store. It creates no file. If the Config is incomplete, the error
// wraps [vault.ErrConfig].
func Open(c Config) (*Spool, error) {
	if c.Dir == "" || c.Store == "" || strings.ContainsAny(c.Store, `/\`) {
		return nil, fmt.Errorf("%w: the Config of a spool needs Dir and Store", vault.ErrConfig)
	}
	if c.Limit <= 0 {
		c.Limit = DefaultLimit
	}
	if c.Total <= 0 {
		c.Total = DefaultTotal
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Warn == nil {
		c.Warn = func(error) {}
	}
	return &Spool{config: c, dir: filepath.Join(c.Dir, c.Store), sys: thisSystem}, nil
}

// Dir returns the directory of the entries.
func (s *Spool) Dir() string { return s.dir }

// Limit implements [vault.Spool].
func (s *Spool) Limit() int64 { return s.config.Limit }

// KeySource implements [vault.Spool]. If the key of the spool does not exist and create is true,
// KeySource creates it, in a file of mode 0600 in [Config].Dir. The key seals entries only. Without it, the entries with
// [vault.SpoolEntry].Local are unrecoverable.
func (s *Spool) KeySource(create bool) (envelope.KeySource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil {
		return s.key, nil
	}
	if !create {
		key, err := kek.OpenFile(s.keyFile())
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: the key of the spool, %s, is missing", envelope.ErrUnknownKey, s.keyFile())
		}
		if err != nil {
			return nil, err
		}
		s.key = key
		return key, nil
	}
	if err := s.sys.makeDir(s.config.Dir); err != nil {
		return nil, err
	}
	key, _, err := kek.CreateFile(s.keyFile())
	if err != nil {
		return nil, err
	}
	s.key = key
	return key, nil
}

func (s *Spool) keyFile() string { return filepath.Join(s.config.Dir, "spool.key") }

// HasKey reports whether the key of the spool exists and can be read.
func (s *Spool) HasKey() bool {
	_, err := kek.OpenFile(s.keyFile())
	return err == nil
}

// An id has 16 hex digits that increase, 12 that depend on the object's full name, and 8 random
// ones.
const (
	idLen     = 16 + 1 + 12 + 1 + 8
	extension = ".entry"
	asideDir  = "aside"
)

// isID reports whether text has the form of an id.
func isID(text string) bool {
	return len(text) == idLen && text[16] == '-' && text[29] == '-' && strings.Trim(text, "0123456789abcdef-") == ""
}

// hashOf returns the part of an id that depends on the name of the object.
func hashOf(ref envelope.Ref) string {
	sum := ref.Context()
	return hex.EncodeToString(sum[:6])
}

// Add implements [vault.Spool].
func (s *Spool) Add(ctx context.Context, e vault.SpoolEntry, fill func(io.Writer) error) (_ vault.Spooled, err error) {
	added, err := s.add(ctx, e, fill, s.file)
	if err != nil {
		err = fmt.Errorf("the spool %s: %w", s.dir, explain(err))
		if ctx.Err() == nil { // otherwise nothing is wrong with the spool
			s.config.Warn(err)
		}
	}
	if added == nil {
		return nil, err
	}
	return added, err
}

// explain wraps an error of the file system in its sentinel.
func explain(err error) error {
	if isFull(err) {
		return fmt.Errorf("%w: %w", vault.ErrNoSpace, err)
	}
	return err
}

// add writes an entry and gives it the name that path returns for its id.
func (s *Spool) add(ctx context.Context, e vault.SpoolEntry, fill func(io.Writer) error, path func(id string) string) (*entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	names, total, err := s.scan()
	if err != nil {
		return nil, err
	}
	if total >= s.config.Total && e.Replaces == "" {
		return nil, fmt.Errorf("%w: its entries have %d bytes, and the limit is %d", vault.ErrNoSpace, total, s.config.Total)
	}
	added := &entry{spool: s, temp: true}
	for added.f == nil {
		e.ID = s.newID(names, e)
		added.e = e
		if added.f, err = s.createLocked(ctx, s.temp(e.ID)); err != nil {
			return nil, err
		}
	}
	f := added.f
	w, err := newWriter(f, headOf(s.config.Store, e))
	if err != nil {
		added.discard()
		return nil, err
	}
	final := ""
	err = fill(w)
	added.layout, added.e.Size = w.layout, w.envelope
	if err == nil {
		err = w.finish(s.sys.sync)
	}
	if err == nil {
		final = path(e.ID)
		err = s.sys.rename(s.temp(e.ID), final)
	}
	if err != nil {
		return added, err
	}
	added.temp = false
	if dir := filepath.Dir(final); dir != s.dir {
		if err := s.sys.syncDir(dir); err != nil {
			return added, err
		}
	}
	return added, s.sys.syncDir(s.dir)
}

// createLocked creates a file and locks it. It returns nil if the sweep of another process found the
// file before it was locked, and removed it.
func (s *Spool) createLocked(ctx context.Context, name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := filelock.Lock(ctx, f); err != nil {
		os.Remove(name)
		f.Close()
		return nil, err
	}
	if !isNamed(f, name) {
		f.Close()
		return nil, nil
	}
	return f, nil
}

// isNamed reports whether the open file f still has the name.
func isNamed(f *os.File, name string) bool {
	named, err := os.Stat(name)
	have, herr := f.Stat()
	return err == nil && herr == nil && os.SameFile(named, have)
}

// prepare creates the directory of the entries. The file "ready" marks a directory whose name and
// whose parents' names are durable, so that later processes need not sync them again.
func (s *Spool) prepare() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready {
		return nil
	}
	mark := filepath.Join(s.dir, "ready")
	if _, err := os.Stat(mark); err == nil {
		s.ready = true
		return nil
	}
	if err := s.sys.makeDir(s.dir); err != nil {
		return err
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return err
	}
	s.ready = true
	return nil
}

// scan returns the ids of all entries in order, including unfinished ones, and the size of all
// files.
func (s *Spool) scan() (ids []string, total int64, err error) {
	for _, dir := range []string{s.dir, filepath.Join(s.dir, asideDir)} {
		list, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		for _, d := range list {
			if fi, err := d.Info(); err == nil {
				total += fi.Size()
			}
			if id := strings.TrimPrefix(strings.TrimSuffix(strings.TrimSuffix(d.Name(), extension), ".tmp"), "."); isID(id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids, total, nil
}

// newID returns an id that is greater than the ids of all entries. Its first part is the time in
// microseconds. An entry that replaces another one keeps its place in the order: its id has the same
// first part.
func (s *Spool) newID(ids []string, e vault.SpoolEntry) string {
	sequence := uint64(max(1, s.config.Now().UnixMicro()))
	if len(ids) > 0 {
		if last, err := strconv.ParseUint(ids[len(ids)-1][:16], 16, 64); err == nil {
			sequence = max(sequence, last+1)
		}
	}
	if isID(e.Replaces) {
		if place, err := strconv.ParseUint(e.Replaces[:16], 16, 64); err == nil {
			sequence = place
		}
	}
	random := make([]byte, 4)
	rand.Read(random)
	return fmt.Sprintf("%016x-%s-%x", sequence, hashOf(e.Ref), random)
}

func (s *Spool) file(id string) string      { return filepath.Join(s.dir, id+extension) }
func (s *Spool) asideFile(id string) string { return filepath.Join(s.dir, asideDir, id+extension) }
func (s *Spool) temp(id string) string      { return filepath.Join(s.dir, "."+id+".tmp") }

// ids returns the ids of the complete entries, oldest first.
func (s *Spool) ids() ([]string, error) {
	list, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, d := range list {
		if id, ok := strings.CutSuffix(d.Name(), extension); ok && isID(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Entries implements [vault.Spool]. It sets damaged entries aside and omits them. It includes the values
// that [Spool.Keep] added for the same [Config].Identity.
func (s *Spool) Entries(ctx context.Context, ref envelope.Ref) ([]vault.Spooled, error) {
	withoutTenant := ref
	withoutTenant.Tenant = ""
	hashes := [2]string{hashOf(ref), hashOf(withoutTenant)}
	entries, err := s.entries(ctx, func(id string) bool {
		return ref.Name == "" || ref.Collection == "" || slices.Contains(hashes[:], id[17:29])
	}, func(e vault.SpoolEntry) bool {
		return e.Ref.Vault == ref.Vault && s.isOf(e, ref.Tenant) &&
			(ref.Collection == "" || e.Ref.Collection == ref.Collection) && (ref.Name == "" || e.Ref.Name == ref.Name)
	})
	return spooled(entries), err
}

// isOf reports whether an entry belongs to a tenant.
func (s *Spool) isOf(e vault.SpoolEntry, tenant string) bool {
	if e.Ref.Tenant == "" {
		return e.Identity == s.config.Identity && e.Identity != ""
	}
	return e.Ref.Tenant == tenant
}

// named returns the entries of all tenants with the vault, collection and name of ref.
func (s *Spool) named(ctx context.Context, ref envelope.Ref) ([]*entry, error) {
	return s.entries(ctx, func(string) bool { return true }, func(e vault.SpoolEntry) bool {
		return e.Ref.Vault == ref.Vault && e.Ref.Collection == ref.Collection && e.Ref.Name == ref.Name
	})
}

func spooled(entries []*entry) []vault.Spooled {
	list := make([]vault.Spooled, len(entries))
	for i, e := range entries {
		list[i] = e
	}
	return list
}

// All returns the entries of all tenants, oldest first. It sets damaged entries aside and omits
// them.
func (s *Spool) All(ctx context.Context) ([]vault.Spooled, error) {
	entries, err := s.list(ctx)
	return spooled(entries), err
}

// list returns all entries, after it has handled what killed processes left.
func (s *Spool) list(ctx context.Context) ([]*entry, error) {
	s.sweep(ctx)
	entries, err := s.entries(ctx, func(string) bool { return true }, func(vault.SpoolEntry) bool { return true })
	for _, e := range entries {
		s.removeReplaced(e.e) // Lock tries again
	}
	return entries, err
}

// removeReplaced removes the entry that e replaces, unless it is locked.
func (s *Spool) removeReplaced(e vault.SpoolEntry) error {
	if e.Replaces == "" {
		return nil
	}
	old := &entry{spool: s, e: vault.SpoolEntry{ID: e.Replaces}}
	if old.tryLock() != nil {
		return nil // it does not exist any more, or another process is about to remove it
	}
	defer old.Unlock()
	return old.Remove()
}

func (s *Spool) entries(ctx context.Context, wanted func(id string) bool, selected func(vault.SpoolEntry) bool) ([]*entry, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, fmt.Errorf("the spool: %w", err)
	}
	var entries []*entry
	replaced := make(map[string]bool)
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !wanted(id) {
			continue
		}
		e := &entry{spool: s, e: vault.SpoolEntry{ID: id}}
		switch err := e.read(); {
		case errors.Is(err, fs.ErrNotExist): // sent meanwhile
			continue
		case errors.Is(err, ErrDamaged):
			s.damaged(id, err)
			continue
		case err != nil:
			return nil, fmt.Errorf("the spool: %w", err)
		}
		if e.e.Replaces != "" {
			replaced[e.e.Replaces] = true
		}
		if selected(e.e) {
			entries = append(entries, e)
		}
	}
	return slices.DeleteFunc(entries, func(e *entry) bool { return replaced[e.e.ID] }), nil
}

// damaged sets a damaged entry aside.
func (s *Spool) damaged(id string, cause error) {
	if err := s.setAside(id, cause.Error()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		cause = fmt.Errorf("%w, and cannot be set aside: %w", cause, err)
	}
	s.config.Warn(fmt.Errorf("entry %s: %w", id, cause))
}

// setAside moves an entry to the directory of entries that are no longer sent.
func (s *Spool) setAside(id, reason string) error {
	aside := filepath.Join(s.dir, asideDir)
	if err := s.writeReason(id, reason); err != nil {
		return err
	}
	if err := os.Rename(s.file(id), s.asideFile(id)); err != nil {
		return err
	}
	if err := s.sys.syncDir(aside); err != nil {
		return err
	}
	return s.sys.syncDir(s.dir)
}

// writeReason creates the directory of the entries that are not sent any more, and writes why the
// entry id is one of them.
func (s *Spool) writeReason(id, reason string) error {
	aside := filepath.Join(s.dir, asideDir)
	if err := os.Mkdir(aside, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.WriteFile(s.reasonFile(id), []byte(reason+"\n"), 0o600)
}

// reason returns why an entry was set aside.
func (s *Spool) reason(id string) string {
	text, err := os.ReadFile(s.reasonFile(id))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func (s *Spool) reasonFile(id string) string { return filepath.Join(s.dir, asideDir, id+".reason") }

// StoreID returns a name for the spool of a store: the first 16 hex digits of a SHA-256 of scheme,
// endpointHost, bucket and prefix. It does not depend on other parameters of the store's URL, such
// as region or role. If they are corrected, the entries are still found.
func StoreID(scheme, endpointHost, bucket, prefix string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{scheme, strings.ToLower(endpointHost), bucket, prefix}, "\x00")))
	return hex.EncodeToString(sum[:8])
}
