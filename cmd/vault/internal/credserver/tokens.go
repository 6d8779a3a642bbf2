package credserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Verifier checks bearer tokens. [TokenFile] and [UpstreamVerifier] are Verifiers.
type Verifier interface {
	// Verify returns what a token grants; the server checks Expires. If the token is not valid, the
	// error wraps [ErrToken]; any other error means that the token could not be checked. No error
	// contains the token. Verify is called concurrently, and must return soon after ctx has ended; a
	// few seconds later is soon enough.
	Verify(ctx context.Context, token string) (Grant, error)
}

// ErrToken means that a token is not valid.
var ErrToken = errors.New("the token is not valid")

// A Grant is what a token permits.
type Grant struct {
	Wallet   string    // an id of the owner of the credentials
	Services []string  // the only services that may be used; nil means all, empty means none
	ReadOnly bool      // rejects stores and teardown
	Expires  time.Time // zero means never
}

func (g Grant) allows(service string) bool {
	return g.Services == nil || slices.Contains(g.Services, service)
}

// unscoped reports whether the token has no scope, and may tear down.
func (g Grant) unscoped() bool { return g.Services == nil && !g.ReadOnly }

// A caller is the sender of a request.
type caller struct {
	Grant
	id string // identifies the token, or the user of a Unix socket
}

// authenticate returns the sender of a request.
func (s *Server) authenticate(ctx context.Context, r *http.Request) (caller, error) {
	peer := peerOf(r.Context())
	trusted := peer.known && slices.Contains(s.peers, peer.uid)
	if values := r.Header.Values("Authorization"); trusted && (len(values) == 0 || s.verifier == nil) {
		return caller{Grant{Wallet: s.agents[0]}, "uid " + strconv.Itoa(peer.uid)}, nil
	} else if len(values) != 1 {
		return caller{}, unauthorized("this request needs one header Authorization with a bearer token")
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return caller{}, unauthorized("the header Authorization must contain a bearer token")
	}
	if s.verifier == nil {
		return caller{}, unauthorized("this server accepts no tokens, only users of its Unix socket")
	}
	grant, err := s.verifier.Verify(ctx, token)
	switch {
	case errors.Is(err, errOtherOwner):
		return caller{}, forbidden("the token belongs to another owner")
	case errors.Is(err, ErrToken):
		return caller{}, unauthorized(err.Error())
	case err != nil:
		return caller{}, &failure{status: http.StatusServiceUnavailable, code: "unavailable", message: "the token could not be checked: " + err.Error(), retryAfter: storeRetry}
	case !grant.Expires.IsZero() && !s.now().Before(grant.Expires):
		return caller{}, unauthorized("the token has expired")
	case !slices.Contains(s.agents, strings.ToLower(grant.Wallet)):
		return caller{}, forbidden("the token belongs to another owner")
	}
	hash := sha256.Sum256([]byte(token))
	return caller{grant, "token " + hex.EncodeToString(hash[:])}, nil
}

// parseGrant reads the members wallet, scope and expires of a line of a token file.
func parseGrant(o object) (g Grant, err error) {
	for name := range o {
		if !slices.Contains([]string{"sha256", "wallet", "scope", "expires"}, name) {
			return Grant{}, fmt.Errorf("it has the unknown member %q", name)
		}
	}
	if g.Wallet, err = o.text("wallet"); err != nil {
		return Grant{}, err
	}
	if g.Wallet == "" {
		return Grant{}, errors.New("wallet is empty")
	}
	if _, found := o["expires"]; found {
		text, err := o.text("expires")
		if err != nil {
			return Grant{}, err
		}
		if g.Expires, err = time.Parse(time.RFC3339, text); err != nil {
			return Grant{}, errors.New("expires is not a time in RFC 3339, such as 2027-01-31T12:00:00Z")
		}
	}
	if scope, found := o["scope"]; found {
		err = parseScope(scope, &g)
	}
	return g, err
}
