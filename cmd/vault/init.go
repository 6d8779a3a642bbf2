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
			"--import copies the root key of another machine from a file or from standard input. Spaces,\n" +
			"line breaks, and the case of the hexadecimal digits do not matter. --vault-id creates a\n" +
			"configuration file whose profile contains this vault id. If the file exists, init prints the\n" +
			"line that you must add to your profile.\n\n" +
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
		return usagef("init creates one key, but %d keys are configured", len(files))
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
		s.noteIfUnsynced(filepath.Dir(path))
	}
	if s.json {
		return s.print(struct {
			Path        string `json:"path"`
			Fingerprint string `json:"fingerprint"`
			Created     bool   `json:"created"`
			VaultID     string `json:"vault_id,omitempty"`
			Config      string `json:"config,omitempty"` // the configuration file, if init created it
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
