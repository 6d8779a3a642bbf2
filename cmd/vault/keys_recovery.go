package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/recovery"
	"github.com/objectvault/objectvault/internal/durable"
	"github.com/objectvault/objectvault/vault"
)

func (s *session) keysRecovery(ctx context.Context) error {
	args, err := s.arguments(1, -1)
	if err != nil {
		return err
	}
	set, err := s.settings()
	if err != nil {
		return err
	}
	files := args[1:]
	switch args[0] {
	case "create":
		if len(files) > 0 {
			return usagef("too many arguments: %s", s.c.Command.UsageText)
		}
		return s.recoveryCreate(ctx, set)
	case "combine", "test":
		if s.c.IsSet("shares") || s.c.IsSet("threshold") || s.c.Bool("new") || s.c.IsSet("output") {
			return usagef("--shares, --threshold, --new and --output are for keys recovery create")
		}
		if args[0] == "test" {
			return s.recoveryTest(ctx, set, files)
		}
		return s.recoveryCombine(ctx, set, files)
	}
	return usagef("the first argument must be create, combine or test: %s", s.c.Command.UsageText)
}

// recoveryCreate writes a root key as words or as shares.
func (s *session) recoveryCreate(ctx context.Context, set config.Settings) error {
	shares, threshold := s.c.Int("shares"), s.c.Int("threshold")
	if s.c.IsSet("shares") != s.c.IsSet("threshold") {
		return usagef("--shares and --threshold must be used together")
	}
	if s.c.IsSet("shares") && (threshold < 2 || shares < threshold || shares > recovery.MaxShares) {
		return usagef("--shares must be at most %d, and --threshold at least 2 and at most the number of shares", recovery.MaxShares)
	}
	output := s.c.String("output")
	if output == "" && s.outTTY && !s.c.Bool("reveal") {
		e := usagef("the root key is not written to a terminal")
		e.Hint = "use --reveal to show it, for example to write it on paper, or --output PREFIX to write files"
		return e
	}
	root := kek.RandomRoot()
	if !s.c.Bool("new") {
		var err error
		if root, err = s.rootOf(ctx, set); err != nil {
			return err
		}
	}
	var texts []string
	if shares == 0 {
		words, err := recovery.Words(root)
		if err != nil {
			return err
		}
		texts = []string{words}
	} else {
		list, err := recovery.Split(root, threshold, shares)
		if err != nil {
			return err
		}
		for _, share := range list {
			texts = append(texts, share.Text())
		}
	}
	print := kek.NewLocal(root).Fingerprint()
	if output != "" {
		return s.recoveryFiles(output, texts, print, threshold)
	}
	if s.json {
		return s.print(struct {
			Fingerprint string   `json:"fingerprint"`
			Threshold   int      `json:"threshold,omitempty"`
			Texts       []string `json:"texts"`
		}{print, threshold, texts})
	}
	for _, text := range texts {
		if _, err := fmt.Fprintln(s.out, text); err != nil {
			return err
		}
	}
	s.note("fingerprint %s; a person who has %s can open your objects", print, recoveryNeed(threshold))
	return nil
}

func recoveryNeed(threshold int) string {
	if threshold == 0 {
		return "these words"
	}
	return fmt.Sprintf("%d of these shares", threshold)
}

// recoveryFiles writes each text to a new file that only its owner can read.
func (s *session) recoveryFiles(prefix string, texts []string, print string, threshold int) error {
	var paths []string
	for i, text := range texts {
		path := prefix
		if len(texts) > 1 {
			path = fmt.Sprintf("%s-%d-of-%d", prefix, i+1, len(texts))
		}
		if err := durable.Create(path, []byte(text+"\n")); err != nil {
			for _, written := range paths { // shares of different calls do not belong together
				s.removeFile(written)
			}
			switch {
			case errors.Is(err, fs.ErrExist):
				return hint(tagged{fmt.Errorf("%s exists", path), vault.ErrExist}, "choose another name with --output")
			case noDir(filepath.Dir(path)):
				return hint(usagef("--output: there is no directory %s", filepath.Dir(path)), "create the directory, or choose another name with --output")
			}
			return fmt.Errorf("writing %s: %w", path, plain(err))
		}
		paths = append(paths, path)
	}
	if s.json {
		return s.print(struct {
			Fingerprint string   `json:"fingerprint"`
			Threshold   int      `json:"threshold,omitempty"`
			Files       []string `json:"files"`
		}{print, threshold, paths})
	}
	for _, path := range paths {
		fmt.Fprintln(s.out, visible(path))
	}
	s.note("fingerprint %s; a person who has %s can open your objects", print, recoveryNeed(threshold))
	return nil
}

// rootOf returns the root of the only key source.
func (s *session) rootOf(ctx context.Context, set config.Settings) (kek.Root, error) {
	urls, _ := keyURLs(set)
	if len(urls) != 1 {
		return kek.Root{}, usagef("keys recovery create is for one root key, but %d keys are configured: select one with --keys", len(urls))
	}
	source, err := s.keySource(ctx, set, urls[0])
	if err != nil {
		return kek.Root{}, err
	}
	l, err := localOf(ctx, source)
	switch {
	case err != nil:
		return kek.Root{}, err
	case l == nil:
		return kek.Root{}, hint(usagef("%s has no root key that could be written down", shownKey(urls[0].Text)), "add a root key that is kept offline: {prog} keys recovery create --new, then {vault} keys rewrap --add")
	}
	return l.Root(), nil
}

// recoveredRoot reads words or shares from files, or from standard input.
func (s *session) recoveredRoot(ctx context.Context, files []string) (kek.Root, error) {
	if len(files) == 0 {
		if s.inTTY {
			e := usagef("standard input is a terminal")
			e.Hint = "pass files as arguments, or the words or shares through a pipe"
			return kek.Root{}, e
		}
		files = []string{"-"}
	}
	var text bytes.Buffer
	defer func() { clear(text.Bytes()) }()
	for _, file := range files {
		in, err := s.input(ctx, file)
		if err != nil {
			return kek.Root{}, cannotOpen("FILE", err)
		}
		_, err = io.Copy(&text, io.LimitReader(in, maxRecovery))
		in.Close()
		if err != nil {
			return kek.Root{}, err
		}
		text.WriteByte('\n')
	}
	if !strings.Contains(strings.ToLower(text.String()), "objectvault-share-") {
		return recovery.ParseWords(text.String())
	}
	var shares []recovery.Share
	for line := range strings.Lines(text.String()) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		share, err := recovery.ParseShare(line)
		if err != nil {
			return kek.Root{}, fmt.Errorf("share %d: %w", len(shares)+1, err)
		}
		shares = append(shares, share)
	}
	return recovery.Combine(shares)
}

// maxRecovery is the maximum length of a file with words or shares.
const maxRecovery = 256 << 10

// recoveryCombine stores the root key of words or shares as the root key file.
func (s *session) recoveryCombine(ctx context.Context, set config.Settings, files []string) error {
	urls, _ := keyURLs(set)
	if len(urls) != 1 {
		return usagef("keys recovery combine creates one root key file, but %d keys are configured: select one with --keys", len(urls))
	}
	path, err := s.keyFile(urls[0])
	if err != nil {
		return err
	}
	root, err := s.recoveredRoot(ctx, files)
	if err != nil {
		return recoveryError(err)
	}
	secret := root.Reveal()
	defer clear(secret)
	print, created, err := makeKey(path, strings.NewReader(fmt.Sprintf("%x", secret)))
	if err != nil {
		return err
	}
	k := initialised{Path: path, Fingerprint: print, Created: created}
	if s.json {
		return s.print(k)
	}
	s.printKey(k)
	return nil
}

// recoveryTest compares the root key of words or shares with the configured one. It stores nothing.
func (s *session) recoveryTest(ctx context.Context, set config.Settings, files []string) error {
	root, err := s.recoveredRoot(ctx, files)
	if err != nil {
		return recoveryError(err)
	}
	print := kek.NewLocal(root).Fingerprint()
	current, err := s.rootOf(ctx, set)
	matches := err == nil && kek.NewLocal(current).Fingerprint() == print
	if s.json {
		if err := s.print(struct {
			Fingerprint string `json:"fingerprint"`
			Matches     bool   `json:"matches"` // the root key of --keys is the same
		}{print, matches}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(s.out, "fingerprint: %s\n", print)
	}
	switch {
	case matches:
		s.note("the words or shares are complete, and match the root key of this machine")
		return nil
	case err != nil && errors.Is(err, fs.ErrNotExist):
		s.note("the words or shares are complete; this machine has no root key to compare them with")
		return nil
	case err != nil:
		return err
	}
	return hint(tagged{fmt.Errorf("the words or shares are of another root key: the fingerprint of the configured key is %s", kek.NewLocal(current).Fingerprint()), envelope.ErrUnknownKey}, "select the root key with --keys, or create new words or shares")
}

func recoveryError(err error) error {
	switch {
	case errors.Is(err, recovery.ErrTooFew):
		return hint(tagged{err, errKeyFile}, "pass more shares, each as a file or as a line of standard input")
	case errors.Is(err, recovery.ErrMixed):
		return hint(tagged{err, errKeyFile}, "use shares with the same fingerprint that were created together")
	case errors.Is(err, recovery.ErrMalformed):
		return hint(tagged{err, errKeyFile}, "compare the text with the paper or the file that it was copied from")
	}
	return err
}

// keyFile returns the path of the root key file at a URL.
func (s *session) keyFile(v config.Value) (string, error) {
	if v.Text == defaultKey {
		path, err := s.places().RootKey()
		return path, noHome(err)
	}
	return keyFilePath(v)
}
