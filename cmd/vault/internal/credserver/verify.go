package credserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// An UpstreamVerifier is a [Verifier] that asks the old server whether a token is valid. So the tokens
// that agentKeys has (its session tokens) stay valid. The result is kept for a minute, so a session
// that was revoked may be valid for a minute longer. Several checks of the same token at the same time
// are one.
//
// A token is valid if the old server lists the credentials of the wallet for it. Then the verifier
// reads a credential that does not exist. A session without a list of services gets 404, and one with
// a list gets 403, because the old server checks the scope first. The old server counts this as a read,
// and may record it in its audit log. To a session without a list it then sends a store with a
// malformed ciphertext, which a session that may write gets rejected with 400, and nothing else proves
// that it may.
//
// The old server does not report a scope. For a session that has one, the verifier grants what it can
// prove, and nothing else: reads of the services that the list of the old server contains. A scoped
// session cannot read other services of its scope, such as credentials that were stored only in the
// vault, and it cannot store. Use a [TokenFile] for clients with a scope that need more.
type UpstreamVerifier struct {
	list, read string // URLs, up to the name of the service
	store      string // URL
	wallet     string
	client     *http.Client
	now        func() time.Time
	flights    singleflight.Group
	checks     chan struct{} // one element for each check in progress

	mu       sync.Mutex
	verdicts map[[sha256.Size]byte]verdict
}

// A verdict is the result of a check.
type verdict struct {
	grant Grant
	err   error // wraps ErrToken, or nil
	until time.Time
}

const (
	verdictTime = time.Minute
	maxVerdicts = 1024
	maxChecks   = 16
	checkTime   = 10 * time.Second // for both requests
	maxList     = 1 << 20          // bytes of the list of the old server
)

// NewUpstreamVerifier returns a verifier of the tokens of wallet at the old server. It sends no
// request. If upstream is not a URL of this machine, the error wraps vault.ErrConfig. now reports the
// time; nil means [time.Now].
func NewUpstreamVerifier(upstream *url.URL, wallet string, now func() time.Time) (*UpstreamVerifier, error) {
	if err := checkUpstream(upstream); err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	t := newTransport(checkTime)
	t.DisableKeepAlives = true // no connection stays open
	agent := "?" + agentParameter + url.QueryEscape(wallet)
	return &UpstreamVerifier{
		list:   upstream.JoinPath("credential", "list").String() + agent,
		read:   upstream.JoinPath("credential", "read").String() + agent + "&" + serviceParameter,
		store:  upstream.JoinPath("credential", "store").String(),
		wallet: wallet, now: now, checks: make(chan struct{}, maxChecks),
		client: &http.Client{
			Transport:     t,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		verdicts: make(map[[sha256.Size]byte]verdict),
	}, nil
}

// Verify implements [Verifier].
func (v *UpstreamVerifier) Verify(ctx context.Context, token string) (Grant, error) {
	key := sha256.Sum256([]byte(token))
	if known, found := v.recall(key); found {
		return known.grant, known.err
	}
	result, err, _ := v.flights.Do(string(key[:]), func() (any, error) {
		if known, found := v.recall(key); found { // an earlier flight has just ended
			return known, nil
		}
		// The check is for all callers, so it does not end with the first one.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTime)
		defer cancel()
		select {
		case v.checks <- struct{}{}:
			defer func() { <-v.checks }()
		default:
			return verdict{}, errors.New("too many tokens are being checked")
		}
		grant, err := v.check(ctx, token)
		if err != nil && !errors.Is(err, ErrToken) {
			return verdict{}, err
		}
		result := verdict{grant, err, v.now().Add(verdictTime)}
		v.remember(key, result)
		return result, nil
	})
	if err != nil {
		return Grant{}, err
	}
	return result.(verdict).grant, result.(verdict).err
}

// recall returns the verdict about a token, if there is one that is not too old.
func (v *UpstreamVerifier) recall(key [sha256.Size]byte) (verdict, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	known, found := v.verdicts[key]
	return known, found && v.now().Before(known.until)
}

func (v *UpstreamVerifier) remember(key [sha256.Size]byte, result verdict) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.verdicts) >= maxVerdicts {
		now := v.now()
		maps.DeleteFunc(v.verdicts, func(_ [sha256.Size]byte, known verdict) bool { return !now.Before(known.until) })
	}
	for other := range v.verdicts {
		if len(v.verdicts) < maxVerdicts {
			break
		}
		delete(v.verdicts, other)
	}
	v.verdicts[key] = result
}

// check asks the old server about a token.
func (v *UpstreamVerifier) check(ctx context.Context, token string) (Grant, error) {
	status, body, err := v.get(ctx, v.list, token)
	switch {
	case err != nil:
		return Grant{}, err
	case status == http.StatusUnauthorized:
		return Grant{}, ErrToken
	case status == http.StatusForbidden:
		return Grant{}, errOtherOwner
	case status < 200 || status > 299:
		return Grant{}, fmt.Errorf("the response of the old server to a list has status %d", status)
	}
	grant := Grant{Wallet: v.wallet}
	status, _, err = v.get(ctx, v.read+"objectvault-scope-check-"+rand.Text(), token)
	switch {
	case err != nil:
		return Grant{}, err
	case status == http.StatusNotFound:
		return v.checkWrite(ctx, grant, token)
	case status != http.StatusForbidden:
		return Grant{}, fmt.Errorf("the response of the old server to the read of a credential that does not exist has status %d", status)
	}
	var listed struct {
		Services []string `json:"services"`
	}
	if err := json.Unmarshal(body, &listed); err != nil || listed.Services == nil {
		return Grant{}, errors.New("the list of the old server is not the expected JSON")
	}
	grant.Services, grant.ReadOnly = listed.Services, true
	return grant, nil
}

// errOtherOwner means that the old server knows the token, as that of another agent.
var errOtherOwner = fmt.Errorf("%w: it belongs to another owner", ErrToken)

// checkWrite finds out whether a session without a list of services may write. It sends a store that the
// old server rejects, because its ciphertext is not base64: with 403 if the session is read-only, and with
// 400 if not. Any other response proves nothing, and the session is read-only.
func (v *UpstreamVerifier) checkWrite(ctx context.Context, grant Grant, token string) (Grant, error) {
	text, err := json.Marshal(map[string]string{"agent_id": v.wallet, "service": "objectvault-scope-check-" + rand.Text(), "ciphertext": "*"})
	if err != nil {
		return Grant{}, err
	}
	status, _, err := v.send(ctx, http.MethodPost, v.store, token, text)
	grant.ReadOnly = status != http.StatusBadRequest
	return grant, err
}

// get sends a request to the old server.
func (v *UpstreamVerifier) get(ctx context.Context, url, token string) (status int, body []byte, err error) {
	return v.send(ctx, http.MethodGet, url, token, nil)
}

func (v *UpstreamVerifier) send(ctx context.Context, method, url, token string, content []byte) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(content))
	if err != nil {
		return 0, nil, err
	}
	if content != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := v.client.Do(r)
	if err != nil {
		return 0, nil, fmt.Errorf("the old server does not respond: %w", err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxList+1))
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("the old server stopped responding: %w", err)
	case len(body) > maxList:
		return 0, nil, errors.New("the old server sent more than 1 MiB")
	}
	return resp.StatusCode, body, nil
}
