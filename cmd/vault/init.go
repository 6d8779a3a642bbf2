package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/BurntSushi/toml"
	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/vault"
)

func initCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "init",
		Usage:     "create the root key",
		UsageText: s.prog + " init [--import FILE|-] [--vault-id ID]",
		Description: "Creates the root key, which seals and opens all values, and prints its path and its\n" +
			"fingerprint. An existing key is kept, so a second init changes nothing. Back up the key:\n" +
			"without it your secrets are unrecoverable.\n\n" +
			"--import copies the root key from a file of another machine, or from standard input. Blanks,\n" +
			"line breaks and the case of the digits do not matter. --vault-id creates a configuration file\n" +
			"with a profile that has this vault id; if the file exists, init prints the line to add.\n\n" +
			"Examples:\n" +
			"   " + s.prog + " init\n" +
			"   " + s.prog + " init --import /media/usb/root.key\n" +
			"   ssh old-machine cat .local/share/objectvault/root.key | " + s.prog + " init --import -",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "import", Usage: "copy the key from `FILE`; - is standard input"},
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
	files, _, err := s.keyFiles(set)
	if err != nil {
		return err
	}
	if len(files) != 1 {
		return usagef("init creates one key, but --keys names %d", len(files))
	}
	path := files[0]
	var copied io.Reader
	if s.c.IsSet("import") {
		in, err := s.input(ctx, s.c.String("import"))
		if err != nil {
			return cannotOpen("--import", err)
		}
		defer in.Close()
		copied = in
	}
	print, created, err := makeKey(path, copied)
	if err != nil {
		return err
	}
	profile, err := s.initProfile(set.File, set.Found, set.VaultID.Text, set.VaultID.From)
	if err != nil {
		return err
	}
	if created {
		s.wrote(filepath.Dir(path))
	}
	if s.json {
		return s.print(struct {
			Path        string `json:"path"`
			Fingerprint string `json:"fingerprint"`
			Created     bool   `json:"created"`
			VaultID     string `json:"vault_id,omitempty"`
			Config      string `json:"config,omitempty"` // was made
		}{path, print, created, set.VaultID.Text, profile})
	}
	fmt.Fprintf(s.out, "root key:    %s\nfingerprint: %s\n", visible(path), print)
	if !created {
		s.note("the key already exists; nothing was changed")
		return nil
	}
	s.note("back up this file: without it your secrets are unrecoverable")
	return nil
}

// initProfile keeps a vault id that was given as a flag: it belongs into a profile, and
// an id that is forgotten once makes objects that do not open.
func (s *session) initProfile(file string, there bool, id, from string) (made string, err error) {
	if id == "" || from != "--vault-id" {
		return "", nil
	}
	if there || file == "" {
		s.note("add this line to your profile, because values sealed with this vault id need it: vault_id = %q", id)
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
	s.wrote(filepath.Dir(file))
	s.note("created %s; its profile has the vault id %s", file, id)
	return file, nil
}
