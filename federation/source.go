package federation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/objectvault/objectvault/internal/text"
)

// A Source gives tokens. Each call reads one afresh and ends soon after its context does.
// Errors wrap a sentinel of this package or are the context's own.
type Source interface {
	Token(ctx context.Context) (Token, error)
}

// SourceOptions is what sources may touch. Nil, or the zero value, is the world of the
// process.
type SourceOptions struct {
	Getenv   func(string) string          // nil means [os.Getenv]
	ReadFile func(string) ([]byte, error) // nil reads regular files and pipes, and no more than a token may have
	Audience string                       // what github: asks for when its text does not say
	// Client sends requests; nil means one with the proxy of the environment. Redirects
	// are not followed in either case: they would take the bearer token elsewhere.
	Client  *http.Client
	Timeout time.Duration // of reading one token; 0 means 30 s
}

func (o *SourceOptions) getenv(name string) string {
	if o == nil || o.Getenv == nil {
		return os.Getenv(name)
	}
	return o.Getenv(name)
}

func (o *SourceOptions) timeout() time.Duration {
	if o == nil || o.Timeout <= 0 {
		return 30 * time.Second
	}
	return o.Timeout
}

func (o *SourceOptions) audience() string {
	if o == nil {
		return ""
	}
	return o.Audience
}

const forms = "write file:PATH, env:VARIABLE, exec:COMMAND, github: or broker+https://HOST?session=SOURCE"

// ParseSource returns the source that spec describes:
//
//	file:PATH                      a file, regular or a pipe such as /dev/fd/3
//	env:VARIABLE                   a variable of the environment
//	exec:COMMAND ARG…              what a command prints; quotes and \ as in a shell, and no shell
//	broker+https://HOST[/BASE]     POST to /v1/mint-oidc-jwt under BASE with a session token
//	github:[AUDIENCE]              GitHub Actions, in a job with permissions: id-token: write
//
// The broker's session token is read from ?session=, which is a file:, env: or exec:
// source written for a query, and env:OBJECTVAULT_BROKER_SESSION without it.
// broker+http:// is for loopback only. One newline after a token, and a byte order mark before it, are not
// part of it.
//
// Nothing is read before the first call of Token. Anything else is an error wrapping
// [ErrInvalidSource], which repeats nothing that may be secret.
func ParseSource(spec string, o *SourceOptions) (Source, error) {
	s, err := parseSource(spec, o)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidSource, err)
	}
	return s, nil
}

func parseSource(spec string, o *SourceOptions) (*source, error) {
	scheme, rest, ok := strings.Cut(spec, ":")
	if _, err := ParseToken(spec); err == nil {
		return nil, errors.New("this is a token itself: put it into a file, and write file:PATH")
	}
	if ok && (scheme == "broker+https" || scheme == "broker+http") {
		return parseBroker(scheme, rest, o)
	}
	if ok && scheme == "github" {
		return newGitHub(rest, o)
	}
	return parseLocal(spec, o)
}

// parseLocal parses the sources that need no network, which may hold a session token as
// well.
func parseLocal(spec string, o *SourceOptions) (*source, error) {
	scheme, rest, ok := strings.Cut(spec, ":")
	if _, err := ParseToken(rest); err == nil {
		return nil, fmt.Errorf("after %s: comes where the token is, not the token itself", scheme)
	}
	switch {
	case ok && scheme == "file":
		return newFile(rest, o)
	case ok && scheme == "env":
		return newVariable(rest, o)
	case ok && scheme == "exec":
		return newCommand(rest, o)
	}
	return nil, errors.New(forms)
}

// A source is a Source, or gives a session token. It keeps no secret.
type source struct {
	name    string // for messages: no arguments, query or user
	timeout time.Duration
	read    func(context.Context) ([]byte, error)
}

// Token implements [Source].
func (s *source) Token(ctx context.Context) (Token, error) {
	raw, err := s.text(ctx)
	if err != nil {
		return Token{}, err
	}
	t, err := ParseToken(raw)
	if err != nil {
		return Token{}, fmt.Errorf("%s: %w", s.name, err)
	}
	return t, nil
}

// text reads the token, or the session, without the byte order mark before it and the
// newline after it.
func (s *source) text(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := ctx.Err()
	var b []byte
	if err == nil {
		b, err = s.read(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.name, inTime(ctx, err))
	}
	b, err = text.UTF8(b)
	if err != nil {
		return "", fmt.Errorf("%s: %w: %w", s.name, ErrTokenInvalid, err)
	}
	line, newline := strings.CutSuffix(string(b), "\n")
	if newline {
		line = strings.TrimSuffix(line, "\r")
	}
	return line, nil
}

// inTime returns err, or what the end of ctx means where it has ended: the caller's
// [context.Canceled], or [ErrUnavailable] for a deadline.
func inTime(ctx context.Context, err error) error {
	switch end := ctx.Err(); {
	case end == nil:
		return err
	case errors.Is(end, context.DeadlineExceeded):
		return fmt.Errorf("%w: no answer in time: %w", ErrUnavailable, end)
	default:
		return end
	}
}
