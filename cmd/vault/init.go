package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/BurntSushi/toml"
	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vaulturl"
)

func initCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "init",
		Usage:     "create the root key, or enrol another key source",
		UsageText: s.prog + " init [--keys URL] [--import FILE|-] [--vault-id ID]",
		Description: "Creates the root key, which seals and opens all values, and prints its path and its\n" +
			"fingerprint. An existing key is kept, so a second init changes nothing. Back up the key:\n" +
			"without it your secrets are unrecoverable.\n\n" +
			"--keys selects another key source. init enrols it: it makes sure that the source works, and\n" +
			"writes a record, which contains no secret, into the directory of the root key. keyring:NAME\n" +
			"creates a root key in the keyring of the operating system. passphrase: generates a random\n" +
			"salt. For signer+https:, init makes sure that the signer returns the same signature twice. For\n" +
			"a key of a KMS, init encrypts and decrypts a test value. Without a record, a source can open\n" +
			"values but cannot seal new ones. local:///FILE, env:, fd: and exec: need no record.\n\n" +
			"--import copies the root key of another machine from a file or from standard input. Spaces,\n" +
			"line breaks, and the case of the hexadecimal digits do not matter. For another key source, it\n" +
			"copies the record of another machine. --vault-id creates a configuration file whose profile\n" +
			"contains this vault id. If the file exists, init prints the line that you must add to your profile.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " init\n" +
			"   " + s.prog + " init --import /media/usb/root.key\n" +
			"   " + s.prog + " init --keys keyring:work\n" +
			"   ssh old-machine cat .local/share/objectvault/root.key | " + s.prog + " init --import -",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "import", Usage: "copy the key, or the record of a key source, from `FILE`; - is standard input"},
		},
		Action: s.action(s.init),
	}
}

func (s *session) init(ctx context.Context) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	set, err := s.settings()
	if err != nil {
		return err
	}
	if _, err := vault.ParseVaultID(set.VaultID.Text); err != nil {
		return from(set.VaultID, err)
	}
	urls, _ := keyURLs(set)
	if len(urls) != 1 {
		return usagef("init creates or enrols one key, but %d keys are configured: select one with --keys", len(urls))
	}
	k, err := s.initKey(ctx, set, urls[0])
	if err != nil {
		return err
	}
	profile, err := s.initProfile(set.File, set.Found, set.VaultID.Text, set.VaultID.From)
	if err != nil {
		return err
	}
	if s.json {
		k.VaultID, k.Config = set.VaultID.Text, profile
		return s.print(k)
	}
	s.printKey(k)
	return nil
}

// initialised is a key that init has created or enrolled.
type initialised struct {
	Path        string `json:"path,omitempty"` // of the root key, or of the record
	Fingerprint string `json:"fingerprint,omitempty"`
	Created     bool   `json:"created"`
	VaultID     string `json:"vault_id,omitempty"`
	Config      string `json:"config,omitempty"` // the configuration file, if init created it
	Source      string `json:"source,omitempty"` // the URL of a source with a record
	*vaulturl.Enrolment

	none string // what the user should know about a source that needs no record
}

// initKey creates the root key file, or enrols another source.
func (s *session) initKey(ctx context.Context, set config.Settings, v config.Value) (initialised, error) {
	var copied io.Reader
	if s.c.IsSet("import") {
		in, err := s.input(ctx, s.c.String("import"))
		if err != nil {
			return initialised{}, cannotOpen("--import", err)
		}
		defer in.Close()
		copied = in
	}
	path, err := vaulturl.KeyFile(v.Text)
	if v.Text == defaultKey {
		if path, err = s.places().RootKey(); err != nil {
			return initialised{}, noHome(err)
		}
	}
	if err != nil {
		return s.enrol(ctx, set, v, copied)
	}
	print, created, err := makeKey(path, copied)
	if created {
		s.noteIfUnsynced(filepath.Dir(path))
	}
	return initialised{Path: path, Fingerprint: print, Created: created}, err
}

// enrol enrols a source that is not a file.
func (s *session) enrol(ctx context.Context, set config.Settings, v config.Value, copied io.Reader) (initialised, error) {
	o, err := s.keyOptions(ctx, set, v)
	if err != nil {
		return initialised{}, err
	}
	if o.Records == "" {
		return initialised{}, noHome(config.ErrNoHome)
	}
	how := new(vaulturl.EnrolOptions)
	if copied != nil {
		if how, err = importRecord(copied); err != nil {
			return initialised{}, hint(tagged{err, errKeyFile}, "copy the record again: on the other machine, {prog} keys list shows the path of the record")
		}
	}
	e, err := vaulturl.EnrolKeySource(ctx, v.Text, o, how)
	switch {
	case errors.Is(err, vaulturl.ErrNoEnrolment) && copied != nil:
		return initialised{}, usagef("--import: a key source like %s needs no record, and init cannot change its key", shownKey(v.Text))
	case errors.Is(err, vaulturl.ErrNoEnrolment):
		return s.initWithout(ctx, set, v)
	case errors.Is(err, fs.ErrExist):
		return initialised{}, hint(tagged{err, vault.ErrExist}, "keep the existing key, because your objects may need it")
	case errors.As(err, new(*fs.PathError)):
		return initialised{}, hint(keyError(v, "", err), "check the permissions and the free space of the directory %s", o.Records)
	case err != nil:
		return initialised{}, keyError(v, "", err)
	}
	if e.Keyring != nil {
		if info, err := vaulturl.InspectKeySource(ctx, v.Text, o); err == nil && info.Err != nil {
			return initialised{}, hint(info.Err, "%s has the record of this key source, but the root key cannot be used: unlock the keyring, or restore the root key from a copy with {prog} init --keys %s --import FILE", e.Path, shellWord(shownKey(v.Text)))
		}
	}
	if e.Created {
		s.noteIfUnsynced(filepath.Dir(e.Path))
	}
	return initialised{Path: e.Path, Fingerprint: e.Fingerprint, Created: e.Created, Source: shownKey(v.Text), Enrolment: &e.Enrolment}, nil
}

// initWithout tries a source that needs no record.
func (s *session) initWithout(ctx context.Context, set config.Settings, v config.Value) (initialised, error) {
	source, err := s.keySource(ctx, set, v)
	if err == nil {
		err = vaulturl.TryKeySource(ctx, source)
	}
	if err != nil {
		return initialised{}, err
	}
	k := initialised{Source: shownKey(v.Text), none: "the key source works, and needs no record"}
	if l, err := localOf(ctx, source); l != nil && err == nil {
		k.Fingerprint = l.Fingerprint()
	}
	return k, nil
}

// importRecord reads a root key or a record.
func importRecord(r io.Reader) (*vaulturl.EnrolOptions, error) {
	const longest = 64 << 10
	text, err := io.ReadAll(io.LimitReader(r, longest))
	defer clear(text)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		e, err := vaulturl.ParseEnrolment(text)
		return &vaulturl.EnrolOptions{Import: &e}, err
	}
	root, err := kek.ParseRoot(text)
	return &vaulturl.EnrolOptions{Root: root}, err
}

func (s *session) printKey(k initialised) {
	switch {
	case k.Source == "":
		fmt.Fprintf(s.out, "root key:    %s\nfingerprint: %s\n", visible(k.Path), k.Fingerprint)
	default:
		fmt.Fprintf(s.out, "key source:  %s\n", visible(k.Source))
		if k.Path != "" {
			fmt.Fprintf(s.out, "record:      %s\n", visible(k.Path))
		}
		if k.Fingerprint != "" {
			fmt.Fprintf(s.out, "fingerprint: %s\n", k.Fingerprint)
		}
	}
	switch {
	case k.none != "":
		s.note("%s", k.none)
	case !k.Created:
		s.note("the key already exists; nothing was changed")
	case k.Source == "":
		s.note("back up this file: without it your secrets are unrecoverable")
	case k.Keyring != nil && !s.c.IsSet("import"):
		s.note("back up the root key, which only this keyring has: without it your secrets are unrecoverable")
	}
}

// initProfile creates a profile with the vault id of the flag. A vault id belongs in a profile: if
// one put omits it, the other commands cannot open the object.
func (s *session) initProfile(file string, exists bool, id, from string) (created string, err error) {
	if id == "" || from != "--vault-id" {
		return "", nil
	}
	if exists || file == "" {
		s.note("add this line to your profile, because values that are sealed with this vault id can be opened only with it: vault_id = %q", id)
		return "", nil
	}
	var text bytes.Buffer
	if err := toml.NewEncoder(&text).Encode(map[string]any{
		"profile":  "default",
		"profiles": map[string]any{"default": map[string]any{"vault_id": id}},
	}); err != nil {
		return "", err
	}
	if err := s.writeNew(file, text.Bytes()); err != nil {
		return "", err
	}
	s.noteIfUnsynced(filepath.Dir(file))
	s.note("created %s; its profile has the vault id %s", file, id)
	return file, nil
}
