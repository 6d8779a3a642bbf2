package vaulturl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/keyring"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/command"
)

// maxKeyText is the maximum length of a root key as text, with generous space around it.
const maxKeyText = 4 << 10

// OpenKeySource opens the key source at a URL:
//
//	local:///FILE     a root key in a file: see [kek.OpenMounted]
//	env:VAR           a root key in an environment variable
//	fd:N              a root key that is read from file descriptor N, which the parent process passed
//	                  on; it is closed afterwards; N is at least 3
//	exec:COMMAND      a root key that a program prints when the source is first used
//	keyring:NAME      a root key in the keyring of the operating system: see package keyring
//	passphrase:       a passphrase: from OBJECTVAULT_PASSPHRASE, from the file whose path is in
//	                  OBJECTVAULT_PASSPHRASE_FILE, from the program in
//	                  OBJECTVAULT_PASSPHRASE_COMMAND, or from Options.Prompt: see package passphrase
//	signer+https://HOST?omni=HEX&epoch=N&token=SOURCE&keep=DURATION
//	                  the signatures of a wallet: see package signer. SOURCE is file:PATH, env:VAR
//	                  or exec:COMMAND with a bearer token, percent-encoded
//	awskms://ARN, tencentkms://REGION/ID, hashivault://KEY
//	                  a key of a key management service: see package kms. AWS and Tencent use
//	                  Options.Credentials. With credentials=default, AWS uses the default chain
//	                  of its SDK, and Tencent the variables of Tencent Cloud
//
// The caller closes a source that implements [io.Closer].
//
// [Options].Records must contain the directory of the enrolments. If a source must be enrolled but
// is not, it can open objects, but its Wrap fails with [envelope.ErrNotEnrolled]. [EnrolKeySource]
// enrols it.
//
// If the file or the variable does not exist, the error wraps [io/fs.ErrNotExist]. If its text is
// not a root key, or other users can access the file, the error wraps [kek.ErrKeyFile]. If the URL
// is invalid, the error is a [*URLError].
func OpenKeySource(ctx context.Context, keyURL string, o *Options) (envelope.KeySource, error) {
	k, err := parseKey(keyURL, o.orZero())
	if err != nil {
		return nil, err
	}
	return k.open(ctx)
}

// A keyURL is the parsed URL of a key source.
type keyURL struct {
	options *Options
	// id identifies the source in its enrolment: the URL without parameters that only concern
	// access.
	id string
	// general is the id of an enrolment that is used if there is none for id; it may be empty.
	general string
	open    func(ctx context.Context) (envelope.KeySource, error)
	// enrol creates the enrolment of the source. It is nil for a source that needs none. root is
	// the root key to import; it is zero if there is none.
	enrol func(ctx context.Context, root kek.Root) (Enrolment, error)
	// importsRoot means that enrol can store a given root.
	importsRoot bool
}

func parseKey(text string, o *Options) (*keyURL, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok {
		return nil, &URLError{"the URL of a key source has no scheme", "the known kinds are " + keyKinds}
	}
	k := &keyURL{options: o, id: text}
	switch scheme {
	case "local":
		path, err := KeyFile(text)
		k.open = func(context.Context) (envelope.KeySource, error) { return opened(kek.OpenMounted(path)) }
		return k, err
	case "env":
		if !isVariable(rest) || isRoot(rest) {
			return nil, &URLError{"env: must be followed by the name of an environment variable", "write env:OBJECTVAULT_ROOT_KEY, for example"}
		}
		k.open = func(context.Context) (envelope.KeySource, error) { return openEnv(rest, o) }
		return k, nil
	case "fd":
		n, err := parseDescriptor(rest)
		if err != nil {
			return nil, err
		}
		k.open = func(ctx context.Context) (envelope.KeySource, error) { return openFD(ctx, n) }
		return k, nil
	case "exec":
		argv, err := command.Parse(rest)
		if err != nil {
			return nil, &URLError{"exec: " + err.Error(), ""}
		}
		k.open = func(context.Context) (envelope.KeySource, error) {
			return kek.Defer("exec "+argv[0], func(ctx context.Context) (kek.Root, error) { return runForRoot(ctx, argv, o) }), nil
		}
		return k, nil
	case "keyring":
		return k, k.parseKeyring(rest)
	case "passphrase":
		return k, k.parsePassphrase(rest)
	case "signer+https", "signer+http":
		return k, k.parseSigner(text)
	}
	if slices.Contains(kmsSchemes, scheme) || scheme == "base64key" {
		return k, k.parseKMS(text)
	}
	return nil, &URLError{"unknown kind of key source", "the known kinds are " + keyKinds}
}

const keyKinds = "local:, env:, fd:, exec:, keyring:, passphrase:, signer+https:, awskms:, tencentkms: and hashivault:"

func isVariable(name string) bool {
	for i, c := range name {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// isRoot reports whether text is a root key instead of a name, as after env:$KEY in a shell.
func isRoot(text string) bool {
	_, err := kek.ParseRoot([]byte(text))
	return err == nil
}

// opened returns a source, or an untyped nil with an error.
func opened(l *kek.Local, err error) (envelope.KeySource, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}

func openEnv(name string, o *Options) (envelope.KeySource, error) {
	if o.Getenv == nil {
		return nil, &URLError{"env: requires environment variables, but Options.Getenv is nil", ""}
	}
	text := o.Getenv(name)
	if text == "" {
		return nil, absent("the variable " + name + " is empty or not set")
	}
	root, err := kek.ParseRoot([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("the variable %s: %w", name, err)
	}
	return kek.NewLocal(root).Named("env " + name), nil
}

// firstDescriptor is the first descriptor that is not standard input, output or error. If one of these
// were closed, another file would get its number.
const firstDescriptor = 3

func parseDescriptor(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || strconv.Itoa(n) != text {
		return 0, &URLError{"fd: must be followed by the number of an open file descriptor", "write fd:3, for example"}
	}
	if n < firstDescriptor {
		return 0, &URLError{"fd: must not be standard input, output or error, because these are for values and messages", "open the file for another descriptor, as a shell does with 3< FILE"}
	}
	return n, nil
}

// reserved contains the descriptors on which [CloseOnExec] has set FD_CLOEXEC.
var reserved sync.Map

// CloseOnExec hides the descriptor of a key source fd:N from the programs that this process starts.
// [OpenKeySource] still reads and closes the descriptor. Without CloseOnExec, a program that starts
// before OpenKeySource is called can read the key. CloseOnExec ignores other key sources, and invalid ones.
func CloseOnExec(keyURL string) {
	text, ok := strings.CutPrefix(keyURL, "fd:")
	if !ok {
		return
	}
	n, err := parseDescriptor(text)
	if err != nil || checkDescriptor(n) != nil {
		return
	}
	reserved.Store(n, true)
	closeOnExec(n)
}

// An absent is the error of a root key that was not passed. It wraps [fs.ErrNotExist].
type absent string

func (a absent) Error() string { return string(a) }
func (absent) Unwrap() error   { return fs.ErrNotExist }

// openFD reads a root from a file descriptor, to its end, and closes it.
func openFD(ctx context.Context, n int) (envelope.KeySource, error) {
	name := fmt.Sprintf("fd %d", n)
	// Check before NewFile, because the garbage collector closes the descriptor of a File.
	if err := checkDescriptor(n); err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	closeOnExec(n)
	reserved.Delete(n) // this process may open another file with the same number
	f := os.NewFile(uintptr(n), name)
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxKeyText+1))
		done <- result{text, err}
	}()
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %s is still open, so the end of the key was not reached: %w", envelope.ErrUnavailable, name, ctx.Err())
	case r := <-done:
		defer clear(r.text)
		if r.err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", name, errors.Unwrap(r.err))
		}
		root, err := kek.ParseRoot(r.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return kek.NewLocal(root).Named(name), nil
	}
}

func runForRoot(ctx context.Context, argv []string, o *Options) (kek.Root, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout())
	defer cancel()
	text, err := command.Output(ctx, argv, maxKeyText)
	defer clear(text)
	if err != nil {
		return kek.Root{}, fmt.Errorf("%w: exec %s: %w", envelope.ErrUnavailable, argv[0], err)
	}
	root, err := kek.ParseRoot(text)
	if err != nil {
		err = fmt.Errorf("exec %s: %w", argv[0], err)
	}
	return root, err
}

// parseKMS parses the URL of a key of a key management service.
func (k *keyURL) parseKMS(text string) error {
	u, err := parseKeyURL(text)
	if err != nil {
		return err
	}
	if _, err := keyAt(context.Background(), u, k.options, new(federation.Provider)); err != nil {
		return err
	}
	k.id, _, _ = strings.Cut(text, "?")
	if region := u.Query().Get("region"); region != "" {
		k.id += "?" + url.Values{"region": {region}}.Encode()
	}
	k.open = func(ctx context.Context) (envelope.KeySource, error) {
		e, err := k.enrolment()
		if err != nil {
			return nil, err
		}
		return openKMS(ctx, u, k.options, k.options.Credentials, e.KMS)
	}
	k.enrol = func(ctx context.Context, _ kek.Root) (Enrolment, error) {
		e, err := enrolKMS(ctx, u, k.options, k.options.Credentials)
		return Enrolment{KMS: &e}, err
	}
	return nil
}

func (k *keyURL) parseKeyring(name string) error {
	c := keyring.Config{Name: name}
	if _, err := keyring.New(c); err != nil {
		return &URLError{"keyring: must be followed by a name of 1 to 64 letters, digits, '.', '_' or '-'", "write keyring:objectvault, for example"}
	}
	k.open = func(context.Context) (envelope.KeySource, error) {
		e, err := k.enrolment()
		c.Enrolment = e.Keyring
		if err != nil {
			return nil, err
		}
		return keyring.New(c)
	}
	k.importsRoot = true
	k.enrol = func(ctx context.Context, root kek.Root) (Enrolment, error) {
		enrol := keyring.Enrol
		if root != (kek.Root{}) {
			enrol = func(ctx context.Context, c keyring.Config) (keyring.Enrolment, error) {
				return keyring.Import(ctx, c, root)
			}
		}
		ctx, cancel := context.WithTimeout(ctx, k.options.timeout())
		defer cancel()
		e, err := enrol(ctx, c)
		return Enrolment{Keyring: &e, Fingerprint: e.Fingerprint}, err
	}
	return nil
}

// KeyFile returns the path FILE of a local:///FILE URL. If keyURL has another form, the error is a
// [*URLError].
func KeyFile(keyURL string) (string, error) {
	u, err := url.Parse(keyURL)
	if err == nil && u.Scheme == "local" && u.Opaque == "" && u.Host == "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && len(u.Path) > 1 {
		if path, err := localPath(u.Path); err == nil {
			return path, nil
		}
	}
	return "", &URLError{"the URL of a root key file must be local: or local:///FILE with an absolute path", ""}
}
