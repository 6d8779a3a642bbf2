package federation_test

import (
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/objectvault/objectvault/federation"
)

func TestGitHub(t *testing.T) {
	for _, tc := range []struct{ spec, fallback, query, want string }{
		{"github:", "", "?api-version=2.0", "/token?api-version=2.0"},
		{"github:", "sts.amazonaws.com", "?api-version=2.0", "/token?api-version=2.0&audience=sts.amazonaws.com"},
		{"github:vault", "sts.amazonaws.com", "?api-version=2.0", "/token?api-version=2.0&audience=vault"},
		{"github:https://github.com/octo?a=b&c", "", "", "/token?audience=https%3A%2F%2Fgithub.com%2Focto%3Fa%3Db%26c"},
	} {
		host := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.RequestURI() != tc.want || r.Header.Get("Authorization") != "Bearer "+hidden {
				t.Errorf("%s %s, want %s", r.Method, r.URL.RequestURI(), tc.want)
			}
			json.NewEncoder(w).Encode(map[string]any{"value": jwt(`{"sub":"repo:octo/repo"}`), "count": 1})
		})
		env := map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": "http:" + host + "/token" + tc.query, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": hidden}
		o := &federation.SourceOptions{Getenv: func(name string) string { return env[name] }, Audience: tc.fallback}
		gives(t, parseSource(t, tc.spec, o), "repo:octo/repo")
	}
}

func TestGitHubRefuses(t *testing.T) {
	var status atomic.Int32
	status.Store(200)
	host := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		io.WriteString(w, hidden)
	})
	address, token := "", ""
	o := &federation.SourceOptions{Getenv: func(name string) string {
		return map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": address, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": token}[name]
	}}
	s := parseSource(t, "github:", o)
	const unset = "github: no valid identity token: ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN are not set: github: works only in a GitHub Actions job with permissions: id-token: write"
	const wrong = "github: no valid identity token: ACTIONS_ID_TOKEN_REQUEST_URL is not an https URL"
	refuses(t, s, federation.ErrTokenInvalid, unset)
	address = "https://github.invalid/" + hidden
	refuses(t, s, federation.ErrTokenInvalid, unset)
	token = hidden
	for _, address = range []string{"http://github.example/" + hidden, "x:" + hidden, "https://u:" + hidden + "@h", ":" + hidden, "ftp://localhost"} {
		refuses(t, s, federation.ErrTokenInvalid, wrong)
	}
	address = "http:" + host + "/?x=" + hidden
	token = hidden + "\n"
	refuses(t, s, federation.ErrTokenInvalid, "github: no valid identity token: the session token must be one line of printable ASCII")
	token = hidden
	refuses(t, s, federation.ErrUnavailable, `github: identity service unavailable: the response is not a JSON object with a string "value"`)
	status.Store(403)
	refuses(t, s, federation.ErrRefused, "github: identity refused: status 403: check that the job has permissions: id-token: write")
	status.Store(502)
	refuses(t, s, federation.ErrUnavailable, "github: identity service unavailable: status 502")
}
