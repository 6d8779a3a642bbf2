package vaulturl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/signer"
	"github.com/objectvault/objectvault/internal/command"
)

// parseSigner parses signer+https://HOST?omni=HEX&epoch=N&token=SOURCE&keep=DURATION.
func (k *keyURL) parseSigner(text string) error {
	u, err := url.Parse(strings.TrimPrefix(text, "signer+"))
	if err != nil {
		return &URLError{"it is not a URL", ""}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return &URLError{"its parameters are malformed", ""}
	}
	for name, values := range query {
		if !slices.Contains([]string{"omni", "epoch", "token", "keep"}, name) {
			return &URLError{"unknown parameter of a signer", "the known parameters are omni, epoch, token and keep"}
		}
		if len(values) > 1 {
			return &URLError{fmt.Sprintf("the parameter %s is repeated", name), ""}
		}
	}
	o := k.options
	c := signer.Config{Omni: query.Get("omni"), Timeout: o.timeout(), KeepFor: o.KeepKeys}
	if text := query.Get("epoch"); text != "" {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || n == 0 {
			return &URLError{"epoch= must be a number above 0", ""}
		}
		c.Epoch = uint32(n)
	}
	if text := query.Get("keep"); text != "" {
		if c.KeepFor, err = time.ParseDuration(text); err != nil || c.KeepFor < 0 || c.KeepFor > maxKeep {
			return &URLError{"keep= must be a duration of at most an hour, such as 5m", ""}
		}
	}
	if spec := query.Get("token"); spec != "" {
		if c.Token, err = OpenBearer(spec, o); err != nil {
			return err
		}
	}
	u.RawQuery = ""
	c.URL = strings.TrimSuffix(u.String(), "?")
	if c.KeyVersionChanged = nil; o.Warn != nil {
		c.KeyVersionChanged = func(enrolled, current int) {
			o.Warn(fmt.Errorf("the signer reports key version %d; it was %d when it was enrolled", current, enrolled))
		}
	}
	if _, err := signer.New(c); err != nil {
		return &URLError{strings.TrimPrefix(err.Error(), "signer: "), "write signer+https://HOST?omni=HEX with 64 hexadecimal digits"}
	}
	k.id = fmt.Sprintf("signer+%s?omni=%s", c.URL, c.Omni)
	if c.Epoch > 1 {
		k.id += fmt.Sprintf("&epoch=%d", c.Epoch)
	}
	k.open = func(context.Context) (envelope.KeySource, error) {
		e, err := k.enrolment()
		if err != nil {
			return nil, err
		}
		c.Enrolment = e.Signer
		return signer.New(c)
	}
	k.enrol = func(ctx context.Context, _ kek.Root) (Enrolment, error) {
		e, err := signer.Enrol(ctx, c)
		return Enrolment{Signer: &e}, err
	}
	return nil
}

// maxKeep is the longest time for which keep= keeps a key in memory.
const maxKeep = time.Hour

// maxBearer is the maximum length of a bearer token.
const maxBearer = 64 << 10

// OpenBearer parses the source of a bearer token: file:PATH with an absolute path, env:VAR or
// exec:COMMAND. It reads nothing. The function that it returns reads the token. A client should call it
// for each request, because the token may be replaced. Its error wraps [envelope.ErrUnauthenticated] if
// the token cannot be read, is empty or is not a single word. The error of OpenBearer is a [*URLError].
func OpenBearer(spec string, o *Options) (func(context.Context) (string, error), error) {
	if o == nil {
		o = &Options{}
	}
	scheme, rest, _ := strings.Cut(spec, ":")
	var read func(context.Context) ([]byte, error)
	switch {
	case scheme == "file" && filepath.IsAbs(rest):
		read = func(ctx context.Context) ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, o.timeout())
			defer cancel()
			return readBounded(ctx, rest, maxBearer)
		}
	case scheme == "env" && isVariable(rest) && o.Getenv != nil:
		read = func(context.Context) ([]byte, error) { return []byte(o.Getenv(rest)), nil }
	case scheme == "exec":
		argv, err := command.Parse(rest)
		if err != nil {
			return nil, &URLError{"exec: " + err.Error(), ""}
		}
		read = func(ctx context.Context) ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, o.timeout())
			defer cancel()
			return command.Output(ctx, argv, maxBearer)
		}
	default:
		return nil, &URLError{"the source of a bearer token must be file:PATH with an absolute path, env:VAR or exec:COMMAND", ""}
	}
	return func(ctx context.Context) (string, error) {
		text, err := read(ctx)
		defer clear(text)
		if err != nil {
			return "", fmt.Errorf("%w: the token %s: cannot be read: %w", envelope.ErrUnauthenticated, scheme, cause(err))
		}
		token := string(bytes.TrimSpace(text))
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return "", fmt.Errorf("%w: the token %s: is empty, or is not a single word", envelope.ErrUnauthenticated, scheme)
		}
		return token, nil
	}, nil
}

// cause returns err without the name of a file, which the URL contains.
func cause(err error) error {
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}

// readBounded reads a file of at most limit bytes. The file may be a pipe, such as <(COMMAND) of a
// shell. Opening and reading a pipe waits for its writer, so readBounded does both in a goroutine,
// which is abandoned when ctx ends.
func readBounded(ctx context.Context, path string, limit int64) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := readFile(path, limit)
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("it is still open, so the end of the text was not reached: %w", ctx.Err())
	}
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it is longer than %d bytes", limit)
	}
	return text, err
}
