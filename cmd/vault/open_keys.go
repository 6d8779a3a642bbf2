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
	"strings"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/terminal"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/keyring"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vaulturl"
)

// This file opens the key sources that flags, environment and profile select.

// Errors of key sources, for the table of exit codes.
var (
	errNoRoot       = kek.ErrKeyFile
	errNoPassphrase = vaulturl.ErrNoPassphrase
	errNoKeyring    = keyring.ErrNone
)

// defaultKey is the URL of the default root key file.
const defaultKey = "local:"

// keyURLs returns the URLs of the key sources. byDefault reports that the user named none.
func keyURLs(set config.Settings) (urls []config.Value, byDefault bool) {
	if len(set.Keys) == 0 {
		return []config.Value{{Text: defaultKey}}, true
	}
	return set.Keys, false
}

// keys opens the key sources. A source that cannot be reached is opened nevertheless; its error
// appears when it is used.
func (s *session) keys(ctx context.Context, set config.Settings, need keyNeed, o *opened) (sources []envelope.KeySource, err error) {
	if need == noKeys {
		return nil, nil
	}
	urls, byDefault := keyURLs(set)
	for i, v := range urls {
		if slices.ContainsFunc(urls[:i], func(earlier config.Value) bool { return earlier.Text == v.Text }) {
			continue
		}
		source, err := s.keySource(ctx, set, v)
		switch {
		case errors.Is(err, fs.ErrNotExist) && byDefault && need == anyKeys:
			return nil, nil
		case err != nil:
			return nil, err
		}
		l, ok := source.(*kek.Local)
		if !ok {
			o.others = append(o.others, source.Name())
			sources = append(sources, source)
			continue
		}
		if print := l.Fingerprint(); !slices.Contains(o.prints, print) {
			o.prints = append(o.prints, print)
			sources = append(sources, source)
		}
	}
	o.keyed = true
	return sources, nil
}

// keySource opens the key source at a URL, once for each run of the command, because a descriptor can
// be read, and a passphrase should be typed, only once.
func (s *session) keySource(ctx context.Context, set config.Settings, v config.Value) (envelope.KeySource, error) {
	if source, ok := s.sources[v.Text]; ok {
		return source, nil
	}
	source, err := s.openKeySource(ctx, set, v)
	if err != nil {
		return nil, err
	}
	if l, ok := source.(*kek.Local); ok {
		source = l.Named(shownKey(v.Text)) // there may be several files
	}
	if s.sources == nil {
		s.sources = make(map[string]envelope.KeySource)
	}
	s.sources[v.Text] = source
	return source, nil
}

// hideDescriptor hides the descriptor of a key source fd:N from the programs that vault starts, such as
// COMMAND of exec, also if the key source is never opened.
func hideDescriptor(keyURL string) { vaulturl.CloseOnExec(keyURL) }

// localOf returns the root key of a source that has one, such as a file or a keyring. For other
// sources it returns nil.
func localOf(ctx context.Context, source envelope.KeySource) (*kek.Local, error) {
	switch source := source.(type) {
	case *kek.Local:
		return source, nil
	case interface {
		Local(context.Context) (*kek.Local, error)
	}:
		return source.Local(ctx)
	}
	return nil, nil
}

func (s *session) openKeySource(ctx context.Context, set config.Settings, v config.Value) (envelope.KeySource, error) {
	if v.Text == defaultKey {
		path, err := s.places().RootKey()
		if err != nil {
			return nil, noHome(err)
		}
		l, err := kek.OpenFile(path) // stricter than a file that the user has named
		if err != nil {
			return nil, keyError(v, path, err)
		}
		return l, nil
	}
	o, err := s.keyOptions(ctx, set, v)
	if err != nil {
		return nil, err
	}
	source, err := vaulturl.OpenKeySource(ctx, v.Text, o)
	if err != nil {
		path, _ := vaulturl.KeyFile(v.Text)
		return nil, keyError(v, path, err)
	}
	return source, nil
}

// keyFilePath returns the path of a local:///FILE URL.
func keyFilePath(v config.Value) (string, error) {
	path, err := vaulturl.KeyFile(v.Text)
	if err != nil {
		return "", atURL(v, err)
	}
	return path, nil
}

// closeKeys wipes the keys of the sources.
func (s *session) closeKeys() {
	for _, source := range s.sources {
		if c, ok := source.(io.Closer); ok {
			c.Close()
		}
	}
}

// keyOptions returns the options for the key source v.
func (s *session) keyOptions(ctx context.Context, set config.Settings, v config.Value) (*vaulturl.Options, error) {
	credentials, err := s.keyCredentials(ctx, set, v)
	if err != nil {
		return nil, err
	}
	records, err := s.places().Enrolments()
	if err != nil && !errors.Is(err, config.ErrNoHome) {
		return nil, err
	}
	tenant, err := vault.ParseTenant(set.Tenant.Text)
	if set.Tenant.Text == "" || err != nil {
		tenant = "" // a command that needs the tenant reports the error
	}
	return &vaulturl.Options{
		VaultID: set.VaultID.Text, Tenant: tenant, Credentials: credentials,
		Timeout: set.Timeout, Getenv: s.getenv, Now: s.now, Records: records, KeepKeys: s.keepKeys, Prompt: s.passphrase,
		Warn: func(err error) { s.note("%v", err) },
	}, nil
}

// keyCredentials returns the exchanged credentials of the store for a key of a cloud, or nil. They are
// exchanged when the key is used first.
func (s *session) keyCredentials(ctx context.Context, set config.Settings, v config.Value) (*federation.Provider, error) {
	scheme, _, _ := strings.Cut(v.Text, ":")
	if scheme != "awskms" && scheme != "tencentkms" || s.credentials != nil {
		return s.credentials, nil
	}
	p, err := s.planOffline(ctx, set)
	if err == nil && p.identity != nil {
		s.credentials = p.identity.provider
	}
	return s.credentials, err
}

// passphrase asks the user for a passphrase.
func (s *session) passphrase(ctx context.Context, question string) (string, error) {
	text, err := s.ask(ctx, question, true)
	defer clear(text)
	if errors.Is(err, terminal.ErrNone) || errors.Is(err, io.EOF) {
		err = errors.New("there is no terminal to ask for it")
	}
	return string(text), err
}

// keyError explains the error of opening the key source v. path is its file, or empty.
func keyError(v config.Value, path string, err error) error {
	var u *vaulturl.URLError
	switch {
	case errors.As(err, &u):
		return atURL(v, err)
	case errors.Is(err, fs.ErrNotExist) && path != "":
		return tagged{fmt.Errorf("%w at %s", errNotInitialised, path), fs.ErrNotExist}
	case errors.Is(err, fs.ErrNotExist):
		return hint(tagged{fmt.Errorf("%w: %w", errNotInitialised, err), fs.ErrNotExist}, "check %s: the program that starts {prog} must pass the root key", v.From)
	case errors.Is(err, vaulturl.ErrEnrolment):
		return hint(tagged{err, errKeyFile}, "restore the record from a copy, or remove it and run {prog} init --keys %s again", shellWord(shownKey(v.Text)))
	case errors.Is(err, kek.ErrKeyFile) && path == "":
		return hint(tagged{err, errKeyFile}, "pass the content of a root key file: 64 digits 0-9 a-f")
	case path == "":
		return err
	case v.Text == defaultKey:
		return keyFileError(path, err)
	}
	if errors.Is(err, kek.ErrKeyFile) {
		err = tagged{err, errKeyFile}
	}
	return hint(err, "check the key file: it must belong to you or to root, no other user may have write permission, and it must contain 64 digits 0-9 a-f")
}

// shownKey returns the URL of a key source without what may be secret: the arguments of a program,
// and the user info and parameters of a URL.
func shownKey(text string) string {
	if rest, ok := strings.CutPrefix(text, "exec:"); ok {
		program, arguments, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if arguments != "" {
			program += " …"
		}
		return "exec:" + program
	}
	if rest, ok := strings.CutPrefix(text, "signer+"); ok {
		address, query, found := strings.Cut("signer+"+shownURL(rest), "?")
		if !found {
			return address
		}
		parameters := strings.Split(query, "&")
		for i, p := range parameters {
			if plain, err := url.QueryUnescape(p); err == nil && strings.HasPrefix(plain, "token=exec:") {
				parameters[i] = "token=exec:…"
			}
		}
		return address + "?" + strings.Join(parameters, "&")
	}
	if scheme, _, _ := strings.Cut(text, ":"); scheme == "env" || scheme == "fd" || scheme == "keyring" || scheme == "local" || scheme == "passphrase" {
		return text
	}
	return shownURL(text)
}

// makeKey creates a root key, or imports the key that from contains.
func makeKey(path string, from io.Reader) (print string, created bool, err error) {
	var key *kek.Local
	if from == nil {
		key, created, err = kek.CreateFile(path)
	} else {
		key, created, err = kek.ImportFile(path, from)
	}
	switch {
	case from != nil && errors.Is(err, fs.ErrExist):
		return "", false, hint(tagged{err, vault.ErrExist}, "keep the existing key, because your objects may need it; use --keys local:///FILE to import into another file")
	case errors.Is(err, kek.ErrNotRoot):
		return "", false, hint(tagged{err, errKeyFile}, "copy root.key from the other machine again: the file must contain 64 digits 0-9 a-f")
	case err != nil && !errors.Is(err, kek.ErrKeyFile):
		return "", false, hint(err, "check the permissions and the free space of the directory %s", filepath.Dir(path))
	case err != nil:
		return "", false, keyFileError(path, err)
	}
	return key.Fingerprint(), created, nil
}

func keyFileError(path string, err error) error {
	if errors.Is(err, kek.ErrKeyFile) {
		err = tagged{err, errKeyFile}
	}
	return hint(err, "check the key file: it must belong to you, have mode 0600 (chmod 600 %s), and contain 64 characters 0-9 a-f and a newline", shellWord(path))
}
