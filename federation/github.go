package federation

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"unicode"
	"unicode/utf8"
)

// newGitHub returns a source that requests a token from the runner of a GitHub Actions job, as
// documented in "Security hardening with OpenID Connect".
func newGitHub(audience string, o *SourceOptions) (*source, error) {
	if audience == "" {
		audience = o.audience()
	}
	if !utf8.ValidString(audience) || len(audience) > 1024 {
		return nil, errors.New("github: the audience is too long, or not UTF-8")
	}
	for _, r := range audience {
		if unicode.IsControl(r) {
			return nil, errors.New("github: the audience contains a control character")
		}
	}
	client := o.client()
	return &source{"github", o.timeout(), func(ctx context.Context) ([]byte, error) {
		address, token := o.getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), o.getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
		if address == "" || token == "" {
			return nil, &MissingError{"github", "", errNoJob}
		}
		u, err := url.Parse(address)
		if err != nil || checkBearerURL(u) != nil {
			return nil, invalidToken("ACTIONS_ID_TOKEN_REQUEST_URL is not an https URL")
		}
		auth, err := bearer(token)
		if err != nil {
			return nil, err
		}
		if audience != "" {
			if u.RawQuery != "" {
				u.RawQuery += "&"
			}
			u.RawQuery += "audience=" + url.QueryEscape(audience)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, invalidToken("ACTIONS_ID_TOKEN_REQUEST_URL is not an https URL")
		}
		req.Header.Set("Authorization", auth)
		response, err := ask(client, req, "check that the job has permissions: id-token: write")
		if err != nil {
			return nil, err
		}
		return field(response, "value")
	}}, nil
}
