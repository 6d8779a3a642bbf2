package vaulturl

import (
	"bytes"
	"context"
	"fmt"
	"net/url"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/passphrase"
	"github.com/objectvault/objectvault/internal/command"
)

// The variables with a passphrase, in the order in which they are used.
const (
	passphraseVariable = "OBJECTVAULT_PASSPHRASE"
	passphraseFile     = "OBJECTVAULT_PASSPHRASE_FILE"
	passphraseCommand  = "OBJECTVAULT_PASSPHRASE_COMMAND"
)

// ErrNoPassphrase means that there is no passphrase: no variable contains it, and there is no user
// to ask. The error also wraps [envelope.ErrUnauthenticated].
var ErrNoPassphrase = fmt.Errorf("%w: there is no passphrase", envelope.ErrUnauthenticated)

func (k *keyURL) parsePassphrase(rest string) error {
	if rest != "" {
		return &URLError{"passphrase: must not be followed by text, because a URL is not kept secret", "put the passphrase into a file, and its path into " + passphraseFile}
	}
	if o := k.options; o.VaultID != "" || o.Tenant != "" {
		k.general = k.id
		k.id += "?" + url.Values{"vault_id": {o.VaultID}, "tenant": {string(o.Tenant)}}.Encode()
	}
	k.open = func(context.Context) (envelope.KeySource, error) {
		e, err := k.enrolment()
		if err != nil {
			return nil, err
		}
		return passphrase.New(passphrase.Config{Passphrase: k.options.passphrase, Enrolment: e.Passphrase})
	}
	k.enrol = func(ctx context.Context, _ kek.Root) (Enrolment, error) {
		e, err := passphrase.Enrol(ctx, passphrase.Config{Passphrase: k.options.newPassphrase})
		return Enrolment{Passphrase: &e, Fingerprint: e.Fingerprint}, err
	}
	return nil
}

// passphrase returns the passphrase of a variable, a file, a program or the user.
func (o *Options) passphrase(ctx context.Context) ([]byte, error) {
	text, found, err := o.passphraseOfVariables(ctx)
	defer clear(text)
	switch {
	case err != nil:
		return nil, err
	case found:
		return passphrase.Clean(text, true)
	}
	return o.ask(ctx, "Passphrase: ")
}

// newPassphrase is passphrase, but asks the user twice.
func (o *Options) newPassphrase(ctx context.Context) ([]byte, error) {
	text, found, err := o.passphraseOfVariables(ctx)
	defer clear(text)
	switch {
	case err != nil:
		return nil, err
	case found:
		return passphrase.Clean(text, true)
	}
	first, err := o.ask(ctx, "New passphrase: ")
	if err != nil {
		return nil, err
	}
	again, err := o.ask(ctx, "The passphrase again: ")
	defer clear(again)
	if err == nil && !bytes.Equal(first, again) {
		err = fmt.Errorf("%w: the two passphrases differ", envelope.ErrInvalid)
	}
	return first, err
}

func (o *Options) ask(ctx context.Context, question string) ([]byte, error) {
	if o.Prompt == nil {
		return nil, ErrNoPassphrase
	}
	text, err := o.Prompt(ctx, question)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPassphrase, err)
	}
	return passphrase.Clean([]byte(text), false)
}

func (o *Options) passphraseOfVariables(ctx context.Context) (text []byte, found bool, err error) {
	if o.Getenv == nil {
		return nil, false, nil
	}
	if text := o.Getenv(passphraseVariable); text != "" {
		return []byte(text), true, nil
	}
	if path := o.Getenv(passphraseFile); path != "" {
		limited, cancel := context.WithTimeout(ctx, o.timeout())
		defer cancel()
		if text, err = readBounded(limited, path, maxKeyText); err != nil {
			err = fmt.Errorf("%w: the file of %s cannot be read: %w", ErrNoPassphrase, passphraseFile, cause(err))
		}
		return text, true, err
	}
	line := o.Getenv(passphraseCommand)
	if line == "" {
		return nil, false, nil
	}
	argv, err := command.Parse(line)
	if err == nil {
		limited, cancel := context.WithTimeout(ctx, o.timeout())
		defer cancel()
		text, err = command.Output(limited, argv, maxKeyText)
	}
	if err != nil {
		err = fmt.Errorf("%w: the command of %s: %w", ErrNoPassphrase, passphraseCommand, err)
	}
	return text, true, err
}
