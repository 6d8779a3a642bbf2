// Package plainserver takes credentials from a running credential server of agentKeys, with its HTTP
// API:
//
//	GET    /credential/list      ?agent_id=…            {"services":["…"]}
//	GET    /credential/read      ?agent_id=…&service=…  {"ciphertext":"<base64>"}
//	DELETE /credential/teardown  {"agent_id":"…"}       {"ok":true}
//
// The old server's own client does not encode the service in the URL. This package encodes it, with
// %20 for a space, because a server decodes a query. So it also reads a service whose name contains
// &, % or a space. The value is what the base64 text decodes to.
//
// The server can only remove all credentials of an agent at once: see [Source.Shred].
package plainserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/internal/loopback"
)

// A Config describes a source. URL, Agent and Token are required.
type Config struct {
	// URL is the base URL of the server on this machine, such as http://localhost:8090. It contains no
	// user, query or fragment.
	URL string
	// Agent is the agent id, a wallet. The server gets it as it is here.
	Agent string
	// Token is the bearer token of a session.
	Token string
	// Timeout limits each request; 0 means 30 seconds.
	Timeout time.Duration
	// HTTPClient sends the requests; nil means a new client. Its redirect policy and timeout are not
	// used: the source follows no redirects.
	HTTPClient *http.Client
	// Now reports the time; nil means [time.Now].
	Now func() time.Time
	// Sleep waits until d is over or ctx ends, and then returns the error of ctx; nil means a timer.
	Sleep func(ctx context.Context, d time.Duration) error
	// Waiting, if not nil, is called before each wait that the server's read limit requires.
	Waiting func(d time.Duration)
}

// A Source is the credentials of one agent on a server. [New] returns it.
type Source struct {
	client *client
	agent  string // as the server gets it
	id     string // agent in lower case
}

var _ migrate.Source = (*Source)(nil)

// New returns the source for c. It sends no request. If the token is missing or malformed, the error
// wraps [migrate.ErrUnauthorized]. The caller closes the source.
func New(c Config) (*Source, error) {
	base, err := c.base()
	if err != nil {
		return nil, err
	}
	switch {
	case c.Agent == "":
		return nil, errors.New("the agent is missing")
	case c.Timeout < 0:
		return nil, errors.New("the timeout is negative")
	case c.Token == "":
		return nil, fmt.Errorf("%w: the server requires a token", migrate.ErrUnauthorized)
	case strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, fmt.Errorf("%w: the token is not one line of printable ASCII", migrate.ErrUnauthorized)
	}
	return &Source{client: newClient(c, base), agent: c.Agent, id: strings.ToLower(c.Agent)}, nil
}

// base checks the URL and returns it. The error does not contain the URL, which may contain a password.
func (c Config) base() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("the address of the server is not a URL such as http://localhost:8090")
	case u.User != nil || strings.ContainsAny(c.URL, "?#"):
		return nil, errors.New("the URL of the server must not contain a user, a query or a fragment")
	case !loopback.Host(u.Hostname()):
		return nil, errors.New("the server is on another machine, and would receive the token")
	}
	return u, nil
}

// Close closes idle connections.
func (s *Source) Close() error {
	s.client.http.CloseIdleConnections()
	return nil
}

// List implements [migrate.Source]. If the token has a scope, the server lists only the services in it.
func (s *Source) List(ctx context.Context) (items []migrate.Item, others int, err error) {
	services, err := s.services(ctx)
	if errors.Is(err, migrate.ErrGone) {
		return nil, -1, fmt.Errorf("%w: the server has no /credential/list (status 404): check the URL", migrate.ErrSource)
	} else if err != nil {
		return nil, -1, err
	}
	for _, service := range services {
		items = append(items, migrate.Item{Agent: s.id, Service: service})
	}
	return items, -1, nil
}

// services returns the sorted names of the services.
func (s *Source) services(ctx context.Context) ([]string, error) {
	body, err := s.client.get(ctx, "list", "agent_id="+escape(s.agent))
	if err != nil {
		return nil, err
	}
	var r struct {
		Services *[]string `json:"services"`
	}
	if json.Unmarshal(body, &r) != nil || r.Services == nil || slices.Contains(*r.Services, "") {
		return nil, fmt.Errorf("%w: the response to /credential/list contains no list of services", migrate.ErrSource)
	}
	slices.Sort(*r.Services)
	return slices.Compact(*r.Services), nil
}

// Read implements [migrate.Source]. It waits as long as the server's read limit requires.
func (s *Source) Read(ctx context.Context, item migrate.Item) ([]byte, error) {
	if item.Agent != s.id {
		return nil, fmt.Errorf("%w: it belongs to another agent", migrate.ErrGone)
	}
	body, err := s.client.get(ctx, "read", "agent_id="+escape(s.agent)+"&service="+escape(item.Service))
	if err != nil {
		return nil, err
	}
	defer clear(body)
	return parseValue(body)
}

// parseValue returns the value in the response to a read.
func parseValue(body []byte) ([]byte, error) {
	var r struct {
		Ciphertext json.RawMessage `json:"ciphertext"` // not a string, so that it can be cleared
	}
	defer func() { clear(r.Ciphertext) }()
	// package json also accepts a list of numbers for []byte.
	if json.Unmarshal(body, &r) != nil || len(r.Ciphertext) == 0 || r.Ciphertext[0] != '"' {
		return nil, fmt.Errorf("%w: the response to /credential/read contains no ciphertext", migrate.ErrSource)
	}
	value := []byte{}
	if json.Unmarshal(r.Ciphertext, &value) != nil {
		clear(value)
		return nil, fmt.Errorf("%w: the ciphertext in the response to /credential/read is not standard base64", migrate.ErrSource)
	}
	return value, nil
}

// escape encodes a text for a query.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

func (c Config) timeout() time.Duration { return cmp.Or(c.Timeout, 30*time.Second) }
