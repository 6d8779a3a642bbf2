package federation_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/federation"
)

// serve starts a server, and returns its URL without the scheme.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http:")
}

// mint is a broker that checks the request and returns a token whose subject is the session.
func mint(t *testing.T, path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.RequestURI() != path || err != nil || len(body) != 0 || r.ContentLength != 0 {
			t.Errorf("%s %s with a body of %d bytes, %v", r.Method, r.URL.RequestURI(), len(body), err)
		}
		session, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			t.Error("no bearer token")
		}
		json.NewEncoder(w).Encode(map[string]any{"jwt": jwt(`{"sub":"` + session + `"}`), "wallet": "0xabc", "expiration": 300})
	}
}

func TestBroker(t *testing.T) {
	file := filepath.Join(t.TempDir(), "session")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"OBJECTVAULT_BROKER_SESSION": "by-default", "SESSION": "from-env"}
	o := &federation.SourceOptions{Getenv: func(name string) string { return env[name] }}
	for _, tc := range []struct{ base, path, query, want string }{
		{"", "/v1/mint-oidc-jwt", "", "by-default"},
		{"/", "/v1/mint-oidc-jwt", "?", "by-default"},
		{"/keys", "/keys/v1/mint-oidc-jwt", "?session=env:SESSION", "from-env"},
		{"/keys/", "/keys/v1/mint-oidc-jwt", "?session=file:" + file, "from-file"},
		{"/a%20b/", "/a%20b/v1/mint-oidc-jwt", "?session=env%3ASESSION", "from-env"},
	} {
		host := serve(t, mint(t, tc.path))
		gives(t, parseSource(t, "broker+http:"+host+tc.base+tc.query, o), tc.want)
	}
	host := serve(t, mint(t, "/v1/mint-oidc-jwt"))
	printed := jwt(`{"sub":"s"}`) // a session may also be a JWT
	s := parseSource(t, "broker+http:"+host+"?session=exec:"+url.QueryEscape("'"+os.Args[0]+"' play print s"), o)
	token, err := s.Token(t.Context())
	if err != nil || token.Claims.Subject != printed {
		t.Errorf("%q, %v", token.Claims.Subject, err)
	}
	s = parseSource(t, "broker+http:"+host+"?session=env:SESSION", o)
	gives(t, s, "from-env")
	env["SESSION"] = "another"
	gives(t, s, "another")
}

func TestBrokerByTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(mint(t, "/v1/mint-oidc-jwt"))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	o := &federation.SourceOptions{Getenv: func(string) string { return "s" }, Client: server.Client()}
	gives(t, parseSource(t, "broker+"+server.URL, o), "s")

	o.Client = nil // a client that does not trust the server's certificate
	_, err := parseSource(t, "broker+"+server.URL, o).Token(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "broker+"+server.URL+": identity service unavailable: tls: ") {
		t.Error(err)
	}
}

func TestBrokerRefuses(t *testing.T) {
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") })
	var host string
	say := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Echo", r.Header.Get("Authorization"))
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	redirect := func(to *string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http:"+*to+"/"+hidden, http.StatusTemporaryRedirect)
		}
	}
	echo := `{"error":"unauthorized","message":"` + hidden + `"}`
	const unavailable, refused = "identity service unavailable: ", "identity refused: "
	const noToken = `the response is not a JSON object with a string "jwt"`
	for _, tc := range []struct {
		name     string
		answer   http.HandlerFunc
		sentinel error
		want     string
	}{
		{"401", say(401, echo), federation.ErrRefused, refused + "status 401: log in to the broker again, because it rejected the session token"},
		{"403", say(403, echo), federation.ErrRefused, refused + "status 403: log in to the broker again, because it rejected the session token"},
		{"404", say(404, echo), federation.ErrRefused, refused + "status 404: check the address"},
		{"429", say(429, echo), federation.ErrUnavailable, unavailable + "status 429"},
		{"500", say(500, echo), federation.ErrUnavailable, unavailable + "status 500"},
		{"503", say(503, echo), federation.ErrUnavailable, unavailable + "status 503"},
		{"redirect to another server", redirect(&elsewhere), federation.ErrRefused, refused + "status 307 is a redirect, which is not followed: use the final address"},
		{"redirect to itself", redirect(&host), federation.ErrRefused, refused + "status 307 is a redirect, which is not followed: use the final address"},
		{"empty response", say(200, ""), federation.ErrUnavailable, unavailable + noToken},
		{"HTML page", say(200, "<html>"+hidden), federation.ErrUnavailable, unavailable + noToken},
		{"no jwt", say(200, `{"JWT":"`+hidden+`"}`), federation.ErrUnavailable, unavailable + noToken},
		{"jwt is a number", say(200, `{"jwt":7}`), federation.ErrUnavailable, unavailable + noToken},
		{"two members jwt", say(200, `{"jwt":"a","jwt":"b"}`), federation.ErrUnavailable, unavailable + noToken},
		{"jwt is not a token", say(200, `{"jwt":"`+hidden+`"}`), federation.ErrTokenInvalid, "no valid identity token: it is not a signed JWT, which consists of three parts separated by dots"},
		{"newlines after the token", say(200, `{"jwt":"`+jwt(`{}`)+`\n\n"}`), federation.ErrTokenInvalid, "no valid identity token: it has more than one line"},
		{"response longer than 1 MiB", say(200, strings.Repeat(" ", 1<<20)+"x"), federation.ErrUnavailable, unavailable + "the response is longer than 1 MiB"},
		{"truncated response", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"jwt":"`)
		}, federation.ErrUnavailable, unavailable + "the response was cut off: unexpected EOF"},
		{"connection closed", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, federation.ErrUnavailable, unavailable + "EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var requests atomic.Int32
			host = serve(t, func(w http.ResponseWriter, r *http.Request) { requests.Add(1); tc.answer(w, r) })
			o := &federation.SourceOptions{Getenv: func(string) string { return hidden }}
			s := parseSource(t, "broker+http:"+host+"/base?session=env:S", o)
			refuses(t, s, tc.sentinel, "broker+http:"+host+"/base: "+tc.want)
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestBrokerThatIsSlow(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		select { // the client gives up at its timeout
		case <-r.Context().Done():
		case <-over:
		}
	})
	o := &federation.SourceOptions{Getenv: func(string) string { return hidden }, Timeout: 50 * time.Millisecond}
	refuses(t, parseSource(t, "broker+http:"+host, o), federation.ErrUnavailable,
		"broker+http:"+host+": identity service unavailable: no response in time: context deadline exceeded")
}

func TestBrokerWithoutSession(t *testing.T) {
	host := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the broker received a request") })
	for session, want := range map[string]string{
		"":                    "session: env:S: no valid identity token: the variable is not set",
		"\n":                  "no valid identity token: the session token is empty",
		hidden + "\n" + "x":   "no valid identity token: the session token must be one line of printable ASCII",
		hidden + "\r\nX: y":   "no valid identity token: the session token must be one line of printable ASCII",
		hidden + " " + "\x7f": "no valid identity token: the session token must be one line of printable ASCII",
	} {
		o := &federation.SourceOptions{Getenv: func(string) string { return session }}
		refuses(t, parseSource(t, "broker+http:"+host+"?session=env:S", o), federation.ErrTokenInvalid, "broker+http:"+host+": "+want)
	}
}

// The error names an unreachable broker, without its query.
func TestBrokerOnDeadPort(t *testing.T) {
	const host = "//127.0.0.1:1" // the system gives this port to no process that asks for any
	o := &federation.SourceOptions{Getenv: func(string) string { return hidden }}
	_, err := parseSource(t, "broker+http:"+host+"?session=env:S", o).Token(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "broker+http:"+host+": identity service unavailable: dial tcp ") {
		t.Fatal(err)
	}
	noSecret(t, "the error", err.Error())
}
