package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// This file and those called open_*.go know which stores and key sources there are. No
// other one does.

// keyNeed says what a command wants of the keys.
type keyNeed int

const (
	noKeys   keyNeed = iota // they are not touched
	anyKeys                 // fine without, where none were asked for
	mustKeys                // without, the command cannot do its work
)

// opened is a vault and what it was opened with.
type opened struct {
	*vault.Vault
	store    *vault.Store
	cloud    *cloud // what its cloud tells; nil for a store without one
	settings config.Settings
	keyed    bool     // it has keys
	prints   []string // their fingerprints
}

func (o *opened) close() error { return o.store.Close() }

// open opens the vault that flags, environment and profile describe. What is wrong
// with those is found before anything is opened.
func (s *session) open(ctx context.Context, need keyNeed) (*opened, error) {
	set, err := s.settings()
	if err != nil {
		return nil, err
	}
	if _, err := vault.ParseTenant(set.Tenant.Text); err != nil {
		return nil, from(set.Tenant, err)
	}
	o := &vault.Options{VaultID: set.VaultID.Text, Now: s.now, Log: s.log()}
	if o.Collection, err = vault.ParseCollection(set.Collection.Text); err != nil {
		return nil, from(set.Collection, err)
	}
	if _, err := vault.ParseVaultID(set.VaultID.Text); err != nil {
		return nil, from(set.VaultID, err)
	}
	if o.Scope, err = scope(set); err != nil {
		return nil, err
	}
	plan, err := s.plan(ctx, set)
	if err != nil {
		return nil, err
	}
	opened := &opened{settings: set, cloud: plan.cloud}
	sources, err := s.keys(set, need, opened)
	if err != nil {
		return nil, err
	}
	tenant, err := plan.tenant(ctx)
	if err != nil {
		return nil, err
	}
	if opened.store, err = plan.open(ctx); err != nil {
		return nil, err
	}
	if opened.Vault, err = vault.New(opened.store, tenant, sources, o); err != nil {
		opened.close()
		return nil, err
	}
	s.opened = opened
	return opened, nil
}

// A plan is the store that the settings describe, before anything was opened.
type plan struct {
	// tenant is who was asked for, or else who the identity is.
	tenant func(ctx context.Context) (vault.Tenant, error)
	open   func(ctx context.Context) (*vault.Store, error)
	cloud  *cloud // nil for a store without one
}

// plan reads the URL of the store.
func (s *session) plan(ctx context.Context, set config.Settings) (*plan, error) {
	u, err := parseStore(set.Store)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "s3":
		return s.planS3(ctx, set, u)
	case "cos":
		return s.planCOS(ctx, set, u)
	}
	if set.Identity.Text != "" {
		return nil, hint(usagef("%s: this store takes no identity", set.Identity.From), "leave it out; identities are for stores in a cloud")
	}
	c, err := s.planFile(set, u)
	if err != nil {
		return nil, err
	}
	return &plan{
		tenant: func(context.Context) (vault.Tenant, error) { return vault.ParseTenant(set.Tenant.Text) },
		open: func(ctx context.Context) (*vault.Store, error) {
			store, err := openFileStore(ctx, c, set.Store.Text == "")
			if err == nil && c.Dir == "" && !s.quiet {
				s.note("mem:// is gone when this command ends")
			}
			return store, err
		},
	}, nil
}

// openFileStore opens a store that is there, unless c may make one. Where nobody named a
// store, none there is an empty one: nothing was put yet.
func openFileStore(ctx context.Context, c memfs.Config, byDefault bool) (*vault.Store, error) {
	store, err := memfs.Open(ctx, c)
	switch {
	case !errors.Is(err, memfs.ErrNoStore):
		return store, err
	case byDefault:
		return memfs.Open(ctx, memfs.Config{})
	}
	return nil, hint(err, "see whether the URL is right and the disk is mounted; {prog} put makes a new store")
}

// from says which setting err is about.
func from(v config.Value, err error) error {
	return fmt.Errorf("%s: %w", v.From, err)
}

func scope(set config.Settings) (vault.Scope, error) {
	s := vault.Scope{ReadOnly: set.ReadOnly}
	if set.Scope == nil {
		return s, nil
	}
	s.Names = []vault.Name{} // an empty scope allows nothing
	for _, text := range set.Scope {
		name, err := vault.ParseName(text)
		if err != nil {
			return s, fmt.Errorf("%s: scope of profile %s: %w", set.File, set.Profile, err)
		}
		s.Names = append(s.Names, name)
	}
	return s, nil
}

// A storeURL is the URL of a store, its parameters read. The zero value is the default.
type storeURL struct {
	url.URL
	from  config.Value
	query url.Values
}

// parseStore takes the URL of the store apart. No error repeats it: it may hold a
// password.
func parseStore(v config.Value) (storeURL, error) {
	u := storeURL{from: v}
	if v.Text == "" {
		return u, nil
	}
	parsed, err := url.Parse(v.Text)
	if err != nil {
		return u, u.bad("it is not a URL")
	}
	u.URL = *parsed
	if u.query, err = url.ParseQuery(u.RawQuery); err != nil {
		return u, u.bad("its parameters are malformed")
	}
	if u.Fragment != "" {
		return u, u.bad("a # is written %%23")
	}
	return u, nil
}

func (u storeURL) bad(format string, args ...any) error {
	return usagef("%s: %s", u.from.From, fmt.Sprintf(format, args...))
}

// only refuses parameters that are not known, or there twice.
func (u storeURL) only(known ...string) error {
	for name, values := range u.query {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return u.bad("unknown parameter %q; %s:// takes none", name, u.Scheme)
			}
			return u.bad("unknown parameter %q; %s:// takes %s", name, u.Scheme, strings.Join(known, ", "))
		}
		if len(values) > 1 {
			return u.bad("parameter %q is there twice", name)
		}
	}
	return nil
}

// planFile reads the URL of a store that is on this machine.
func (s *session) planFile(set config.Settings, u storeURL) (memfs.Config, error) {
	c := memfs.Config{Now: s.now, LockTimeout: set.Timeout, MustExist: !s.makes}
	if set.Store.Text == "" {
		dir, err := config.Places{GOOS: s.goos, Getenv: s.getenv}.Store()
		c.Dir = dir
		return c, hint(err, "name a store with --store file:///DIR")
	}
	var err error
	known := []string{}
	switch u.Scheme {
	case "mem":
		if u.Host != "" || strings.Trim(u.Path, "/") != "" || u.Opaque != "" {
			return c, u.bad("write mem:// and nothing after it")
		}
	case "file":
		known = []string{"versions"}
		if u.Host != "" || u.Opaque != "" || u.User != nil || u.Path == "" || u.Path == "/" {
			return c, u.bad("write file:///DIR with an absolute path")
		}
		if c.Dir, err = localPath(s.goos, u.Path); err != nil {
			return c, u.bad("write file:///DIR with an absolute path")
		}
	case "":
		return c, hint(u.bad("it is not a URL"), "write a directory as file:///DIR")
	default:
		return c, u.bad("unknown store %s://; this version knows s3://, cos://, file:// and mem://", u.Scheme)
	}
	if err := u.only(known...); err != nil {
		return c, err
	}
	if text := u.query.Get("versions"); u.query.Has("versions") {
		n, err := strconv.ParseUint(text, 10, 20)
		if err != nil {
			return c, u.bad("versions=%s is not a number from 0 to 1048575", text)
		}
		c.Versions = int(n)
		if n == 0 {
			c.Versions = -1 // none; 0 is the default
		}
	}
	return c, nil
}

// localPath is the path of a file:// or local:// URL.
func localPath(goos, path string) (string, error) {
	if goos == "windows" {
		path = strings.TrimPrefix(path, "/") // /C:/dir
	}
	path = filepath.FromSlash(path)
	if !filepath.IsAbs(path) {
		return "", errors.New("not an absolute path")
	}
	return filepath.Clean(path), nil
}

// keyFile is the path that a key URL stands for.
func (s *session) keyFile(v config.Value) (string, error) {
	u, err := url.Parse(v.Text)
	switch {
	case err != nil:
	case u.Scheme != "local":
		return "", usagef("%s: unknown key source; this version knows local: and local:///FILE", v.From)
	case v.Text == "local:":
		return config.Places{GOOS: s.goos, Getenv: s.getenv}.RootKey()
	case u.Opaque == "" && u.Host == "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && len(u.Path) > 1:
		if path, err := localPath(s.goos, u.Path); err == nil {
			return path, nil
		}
	}
	return "", usagef("%s: write local: or local:///FILE with an absolute path", v.From)
}

// keyFiles are the files of all keys; default says that nobody asked for them.
func (s *session) keyFiles(set config.Settings) (files []string, byDefault bool, err error) {
	asked := set.Keys
	if len(asked) == 0 {
		asked, byDefault = []config.Value{{Text: "local:"}}, true
	}
	for _, v := range asked {
		path, err := s.keyFile(v)
		if err != nil {
			return nil, false, err
		}
		if !slices.Contains(files, path) {
			files = append(files, path)
		}
	}
	return files, byDefault, nil
}

func (s *session) keys(set config.Settings, need keyNeed, o *opened) (sources []envelope.Source, err error) {
	if need == noKeys {
		return nil, nil
	}
	files, byDefault, err := s.keyFiles(set)
	if err != nil {
		return nil, err
	}
	for _, path := range files {
		l, err := kek.OpenFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && byDefault && need == anyKeys:
			return nil, nil
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%w at %s", errNotInitialised, path)
		case err != nil:
			return nil, keyFileError(path, err)
		}
		if print := l.Fingerprint(); !slices.Contains(o.prints, print) {
			o.prints = append(o.prints, print)
			sources = append(sources, l)
		}
	}
	o.keyed = true
	return sources, nil
}

// makeKey makes a root key, or takes the one that from holds.
func makeKey(path string, from io.Reader) (print string, created bool, err error) {
	var key *kek.Local
	if from == nil {
		key, created, err = kek.CreateFile(path)
	} else {
		key, created, err = kek.ImportFile(path, from)
	}
	switch {
	case from != nil && errors.Is(err, fs.ErrExist):
		return "", false, hint(tagged{err, vault.ErrExist}, "keep it, it may be all that opens your objects; --keys local:///FILE names another place")
	case err != nil:
		return "", false, keyFileError(path, err)
	}
	return key.Fingerprint(), created, nil
}

func keyFileError(path string, err error) error {
	if errors.Is(err, kek.ErrKeyFile) {
		err = tagged{err, errKeyFile}
	}
	return hint(err, "a root key is a file of your own of mode 0600 (chmod 600 %s): 64 characters 0-9 a-f and a newline", shellWord(path))
}

// explainKey adds to an object that no key of ours opens what it was tried with.
func (o *opened) explainKey(err error) error {
	if !errors.Is(err, envelope.ErrUnknownKey) {
		return err
	}
	id := o.settings.VaultID.Text
	if id != "" {
		id = ", vault id " + id
	}
	return hint(err, "it was tried with key %s as tenant %s, collection %s%s: another --keys, --tenant, --collection or vault_id sealed it, or it was moved here from another name",
		strings.Join(o.prints, " and "), o.Tenant(), o.Collection(), id)
}
