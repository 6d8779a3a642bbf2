package federation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// defaultSession is the source of a broker's session token if the URL has no ?session=.
const defaultSession = "env:OBJECTVAULT_BROKER_SESSION"

// parseBroker parses broker+https:. It uses the protocol of the agentKeys broker: POST
// {base}/v1/mint-oidc-jwt with the session token as bearer token and without a body returns
// {"jwt","wallet","expiration"}.
func parseBroker(scheme, rest string, o *SourceOptions) (*source, error) {
	u, err := url.Parse(strings.TrimPrefix(scheme, "broker+") + ":" + rest)
	if err != nil {
		return nil, fmt.Errorf("%s: the address is not a URL", scheme) // err contains the URL
	}
	if strings.Contains(rest, "#") {
		return nil, fmt.Errorf("%s: the URL must not contain a #", scheme)
	}
	if err := checkBearerURL(u); err != nil {
		return nil, fmt.Errorf("%s: %w", scheme, err)
	}
	spec, err := sessionOf(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", scheme, err)
	}
	session, err := parseLocal(spec, o)
	if err != nil {
		return nil, fmt.Errorf("%s: session: %w", scheme, err)
	}
	u.RawQuery, u.ForceQuery = "", false
	name := "broker+" + u.String()
	mint := u.JoinPath("v1", "mint-oidc-jwt").String()
	client := o.client()
	return &source{name, o.timeout(), func(ctx context.Context) ([]byte, error) {
		token, err := session.text(ctx)
		if err != nil {
			return nil, fmt.Errorf("session: %w", err)
		}
		auth, err := bearer(token)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, mint, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", auth)
		response, err := ask(client, req, "log in to the broker again, because it rejected the session token")
		if err != nil {
			return nil, err
		}
		return field(response, "jwt")
	}}, nil
}

// sessionOf returns the only parameter that a broker's URL may have.
func sessionOf(query string) (string, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return "", errors.New("the part after ? is not a query")
	}
	for name, values := range q {
		if name != "session" || len(values) != 1 { // an unknown name may be a secret, so it is not repeated
			return "", errors.New("the only allowed parameter is session, and it may occur only once")
		}
	}
	if !q.Has("session") {
		return defaultSession, nil
	}
	return q.Get("session"), nil
}
