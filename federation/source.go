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

// A Source supplies tokens. Each call reads a new token, and returns soon after its context ends.
// Errors wrap a sentinel of this package, or are the error of the context.
type Source interface {
	Token(ctx context.Context) (Token, error)
}

// SourceOptions configures the access of sources to their environment. Nil, or the zero value, uses
// the environment of the process.
type SourceOptions struct {
	Getenv   func(string) string          // nil means [os.Getenv]
	ReadFile func(string) ([]byte, error) // nil reads regular files and pipes, up to the maximum length of a token
	Audience string                       // requested by a github: source that names no audience
	// Client sends requests; nil means a client with the proxy that the environment variables select.
	// Redirects are never followed, because they would send the bearer token to another server.
	Client  *http.Client
	Timeout time.Duration // timeout for reading one token; 0 means 30 s
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

const forms = "it must be file:PATH, env:VARIABLE, exec:COMMAND, github: or broker+https://HOST?session=SOURCE"

// ParseSource returns the source that spec describes:
//
//	file:PATH                      a file, regular or a pipe such as /dev/fd/3
//	env:VARIABLE                   a variable of the environment
//	exec:COMMAND ARG…              the output of a command; quotes and \ as in a shell, but no shell is used
//	broker+https://HOST[/BASE]     POST to /v1/mint-oidc-jwt under BASE with a session token
//	github:[AUDIENCE]              GitHub Actions, in a job with permissions: id-token: write
//
// A broker is a server that issues OIDC tokens to a caller with a session token. The parameter
// session is the source of the session token: a query-escaped file:, env: or exec: source. The
// default is env:OBJECTVAULT_BROKER_SESSION. broker+http:// is accepted for loopback addresses
// only. A byte order mark before a token and one newline after it are ignored.
//
// ParseSource reads nothing; Token does. An invalid spec is an error wrapping
// [ErrInvalidSource]. The error does not repeat text that may be secret.
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
		return nil, errors.New("it is a token, but must be the source of a token: write the token to a file, and use file:PATH")
	}
	if ok && (scheme == "broker+https" || scheme == "broker+http") {
		return parseBroker(scheme, rest, o)
	}
	if ok && scheme == "github" {
		return newGitHub(rest, o)
	}
	return parseLocal(spec, o)
}

// parseLocal parses the sources that need no network. They may also supply a session token.
func parseLocal(spec string, o *SourceOptions) (*source, error) {
	scheme, rest, ok := strings.Cut(spec, ":")
	if _, err := ParseToken(rest); err == nil {
		return nil, fmt.Errorf("%s: expected the location of the token, found a token", scheme)
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

// A source is a Source, or supplies a session token. It stores no secret.
type source struct {
	name    string // for messages; without arguments, query and user
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

// text reads the token or the session, without the byte order mark before it and the newline
// after it.
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

// inTime returns err while ctx is active. After ctx has ended it returns the caller's
// [context.Canceled], or [ErrUnavailable] for a deadline.
func inTime(ctx context.Context, err error) error {
	switch end := ctx.Err(); {
	case end == nil:
		return err
	case errors.Is(end, context.DeadlineExceeded):
		return fmt.Errorf("%w: no response in time: %w", ErrUnavailable, end)
	default:
		return end
	}
}
