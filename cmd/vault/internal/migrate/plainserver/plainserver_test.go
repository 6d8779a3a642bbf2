package plainserver_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate/plainserver"
	"github.com/objectvault/objectvault/internal/testcloud"
)

// Everything that the old server has is read, whatever the names and the bytes are.
func TestRead(t *testing.T) {
	want := map[string]string{
		"openai": "sk-1", "a name?#%41&b=c +/é": "\x00\xff\n", "empty": "", "large": strings.Repeat("x", 200<<10), "groq": "sk-2",
	}
	s := start(t, want)
	for name, agent := range map[string]string{"wallet": alice, "wallet in upper case": strings.ToUpper(alice)} {
		c := s.config()
		c.Agent = agent
		c.URL += "/" // as users write it
		source := open(t, c)
		items, others, err := source.List(t.Context())
		if err != nil || others != -1 {
			t.Errorf("%s: %d others, %v", name, others, err)
		}
		if want := []migrate.Item{item("a name?#%41&b=c +/é"), item("empty"), item("groq"), item("large"), item("openai")}; !reflect.DeepEqual(items, want) {
			t.Errorf("%s: items %+v, want %+v", name, items, want)
		}
		got := make(map[string]string)
		for _, i := range items {
			value, err := source.Read(t.Context(), i)
			if err != nil {
				t.Errorf("%s: read %s: %v", name, i.Service, err)
			}
			got[i.Service] = string(value)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: other values than were stored", name)
		}
	}
}

// A Source needs no option besides the required ones.
func TestDefaults(t *testing.T) {
	s := start(t, map[string]string{"openai": "sk-1"})
	source := open(t, plainserver.Config{URL: s.url, Agent: alice, Token: token})
	if value, err := source.Read(t.Context(), item("openai")); string(value) != "sk-1" || err != nil {
		t.Errorf("%q, %v", value, err)
	}
	client := &http.Client{Timeout: 1} // is not used
	source = open(t, plainserver.Config{URL: s.url, Agent: alice, Token: token, HTTPClient: client})
	if value, err := source.Read(t.Context(), item("openai")); string(value) != "sk-1" || err != nil {
		t.Errorf("with an HTTP client: %q, %v", value, err)
	}
}

func TestNew(t *testing.T) {
	good := plainserver.Config{URL: "http://localhost:8090", Agent: alice, Token: "a-token"}
	for name, tc := range map[string]struct {
		change func(*plainserver.Config)
		want   string // text of the error; "" means none
		is     error
	}{
		"loopback name":         {func(c *plainserver.Config) {}, "", nil},
		"loopback IPv6":         {func(c *plainserver.Config) { c.URL = "http://[::1]:8090" }, "", nil},
		"loopback https":        {func(c *plainserver.Config) { c.URL = "https://127.0.0.2/base" }, "", nil},
		"remote":                {func(c *plainserver.Config) { c.URL = "https://example.com" }, "is on another machine", nil},
		"remote, like loopback": {func(c *plainserver.Config) { c.URL = "http://localhost.example.com" }, "is on another machine", nil},
		"all addresses":         {func(c *plainserver.Config) { c.URL = "http://0.0.0.0:8090" }, "is on another machine", nil},
		"no URL":                {func(c *plainserver.Config) { c.URL = "" }, "is not a URL such as", nil},
		"no scheme":             {func(c *plainserver.Config) { c.URL = "localhost:8090" }, "is not a URL such as", nil},
		"another scheme":        {func(c *plainserver.Config) { c.URL = "ftp://localhost" }, "is not a URL such as", nil},
		"no host":               {func(c *plainserver.Config) { c.URL = "http://" }, "is not a URL such as", nil},
		"malformed URL":         {func(c *plainserver.Config) { c.URL = "http://u:pa55%zz@localhost" }, "is not a URL such as", nil},
		"password":              {func(c *plainserver.Config) { c.URL = "http://u:pa55@localhost" }, "must not contain a user", nil},
		"query":                 {func(c *plainserver.Config) { c.URL = "http://localhost?pa55" }, "must not contain a user, a query", nil},
		"no agent":              {func(c *plainserver.Config) { c.Agent = "" }, "the agent is missing", nil},
		"negative timeout":      {func(c *plainserver.Config) { c.Timeout = -1 }, "timeout is negative", nil},
		"no token":              {func(c *plainserver.Config) { c.Token = "" }, "the server requires a token", migrate.ErrUnauthorized},
		"token with a line end": {func(c *plainserver.Config) { c.Token = "pa55\n" }, "not one line of printable ASCII", migrate.ErrUnauthorized},
		"token not ASCII":       {func(c *plainserver.Config) { c.Token = "pa55é" }, "not one line of printable ASCII", migrate.ErrUnauthorized},
	} {
		c := good
		tc.change(&c)
		s, err := plainserver.New(c)
		if err == nil {
			s.Close()
		}
		switch {
		case tc.want == "" && err != nil, tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)), tc.is != nil && !errors.Is(err, tc.is):
			t.Errorf("%s: error %v, want %q", name, err, tc.want)
		case err != nil && strings.Contains(err.Error(), "pa55"):
			t.Errorf("%s: the error contains a secret: %v", name, err)
		}
	}
}

// Each status of the server is one of the errors of package migrate. No error repeats the token or
// text of the server.
func TestStatus(t *testing.T) {
	const list, read = "GET list", "GET read"
	for name, tc := range map[string]struct {
		request  string
		status   int
		is       error
		text     string
		attempts int
	}{
		"read 400": {read, 400, migrate.ErrSource, "status 400", 1},
		"read 401": {read, 401, migrate.ErrUnauthorized, "the token is not valid, or has expired (status 401)", 1},
		"read 403": {read, 403, migrate.ErrDenied, "its scope excludes the service (status 403)", 1},
		"read 404": {read, 404, migrate.ErrGone, "status 404", 1},
		"read 405": {read, 405, migrate.ErrSource, "status 405", 1},
		"read 204": {read, 204, migrate.ErrSource, "status 204", 1},
		"read 302": {read, 302, migrate.ErrSource, "is redirected (status 302), which is not followed", 1},
		"read 408": {read, 408, migrate.ErrUnavailable, "status 408", 3},
		"read 429": {read, 429, migrate.ErrUnavailable, "read limit is reached (status 429)", 11},
		"read 500": {read, 500, migrate.ErrUnavailable, "status 500", 3},
		"read 503": {read, 503, migrate.ErrUnavailable, "status 503", 3},
		"list 401": {list, 401, migrate.ErrUnauthorized, "status 401", 1},
		"list 403": {list, 403, migrate.ErrDenied, "status 403", 1},
		"list 404": {list, 404, migrate.ErrSource, "has no /credential/list (status 404): check the URL", 1},
		"list 500": {list, 500, migrate.ErrUnavailable, "status 500", 3},
		"list 999": {list, 999, migrate.ErrSource, "status 999", 1},
		"list 200": {list, 200, migrate.ErrSource, "contains no list of services", 1},
	} {
		s := start(t, map[string]string{"openai": "sk-1"})
		s.hook = respond(tc.request, tc.status, "", `{"error":"`+token+`","message":"`+token+` sk-1"}`)
		source := open(t, s.config())
		_, err := source.Read(t.Context(), item("openai"))
		if tc.request == list {
			_, _, err = source.List(t.Context())
		}
		if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.text) || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "sk-1") {
			t.Errorf("%s: error %v, want %v with %q", name, err, tc.is, tc.text)
		}
		if n := s.count(tc.request); n != tc.attempts {
			t.Errorf("%s: %d attempts, want %d", name, n, tc.attempts)
		}
	}
}

// The errors of the old server itself.
func TestAccess(t *testing.T) {
	s := start(t, map[string]string{"openai": "sk-1", "groq": "sk-2"})
	for name, tc := range map[string]struct {
		token, agent string
		list, read   error
	}{
		"unknown token": {"eve", alice, migrate.ErrUnauthorized, migrate.ErrUnauthorized},
		"another agent": {"bob", alice, migrate.ErrDenied, migrate.ErrDenied},
		"scoped token":  {"scoped", alice, nil, migrate.ErrDenied},
	} {
		c := s.config()
		c.Token, c.Agent = tc.token, tc.agent
		source := open(t, c)
		items, _, err := source.List(t.Context())
		if !errors.Is(err, tc.list) || err == nil && !reflect.DeepEqual(items, []migrate.Item{item("groq")}) {
			t.Errorf("%s: list %+v, %v", name, items, err)
		}
		if _, err := source.Read(t.Context(), item("openai")); !errors.Is(err, tc.read) {
			t.Errorf("%s: read %v", name, err)
		}
	}
	source := open(t, s.config())
	if _, err := source.Read(t.Context(), item("absent")); !errors.Is(err, migrate.ErrGone) {
		t.Errorf("absent: %v", err)
	}
	if _, err := source.Read(t.Context(), migrate.Item{Agent: bob, Service: "openai"}); !errors.Is(err, migrate.ErrGone) {
		t.Errorf("another agent's item: %v", err)
	}
}

// A response that is not from an old server is an error that contains none of it.
func TestMalformed(t *testing.T) {
	for name, tc := range map[string]struct{ request, body, text string }{
		"list of a web page":          {"GET list", "<html>sk-1</html>", "contains no list of services"},
		"list of nothing":             {"GET list", "", "contains no list of services"},
		"list of null":                {"GET list", `{"services":null}`, "contains no list of services"},
		"list of numbers":             {"GET list", `{"services":[1]}`, "contains no list of services"},
		"list with an empty name":     {"GET list", `{"services":["a",""]}`, "contains no list of services"},
		"read of a web page":          {"GET read", "<html>sk-1</html>", "contains no ciphertext"},
		"read of nothing":             {"GET read", "", "contains no ciphertext"},
		"read of another member":      {"GET read", `{"value":"c2stMQ=="}`, "contains no ciphertext"},
		"read of null":                {"GET read", `{"ciphertext":null}`, "contains no ciphertext"},
		"read of a list":              {"GET read", `{"ciphertext":[115,107]}`, "contains no ciphertext"},
		"read of plaintext":           {"GET read", `{"ciphertext":"sk-1"}`, "is not standard base64"},
		"read of URL base64":          {"GET read", `{"ciphertext":"_-8="}`, "is not standard base64"},
		"read of base64 not padded":   {"GET read", `{"ciphertext":"c2stMQ"}`, "is not standard base64"},
		"read of text after base64":   {"GET read", `{"ciphertext":"c2stMQ=="} x`, "contains no ciphertext"},
		"read of more than 2 MiB":     {"GET read", `{"ciphertext":"` + strings.Repeat("A", 2<<20) + `"}`, "is longer than 2 MiB"},
		"list of one byte over 2 MiB": {"GET list", `{"services":[]}` + strings.Repeat(" ", 2<<20-14), "is longer than 2 MiB"},
	} {
		s := start(t, nil)
		s.hook = respond(tc.request, 200, "Content-Type: application/json", tc.body)
		source := open(t, s.config())
		value, err := source.Read(t.Context(), item("openai"))
		if tc.request == "GET list" {
			_, _, err = source.List(t.Context())
		}
		if !errors.Is(err, migrate.ErrSource) || !strings.Contains(err.Error(), tc.text) || strings.Contains(err.Error(), "sk-1") || value != nil {
			t.Errorf("%s: %q, %v, want %q", name, value, err, tc.text)
		}
	}
	// A response of exactly 2 MiB, with and without an announced length, and services that are not
	// sorted.
	for _, header := range []string{"", "Content-Length: 2097152"} {
		s := start(t, nil)
		body := `{"services":["b","a","b"]}`
		s.hook = respond("GET list", 200, header, body+strings.Repeat(" ", 2<<20-len(body)))
		items, _, err := open(t, s.config()).List(t.Context())
		if want := []migrate.Item{item("a"), item("b")}; err != nil || !reflect.DeepEqual(items, want) {
			t.Errorf("%q: %+v, %v, want %+v", header, items, err, want)
		}
	}
}

// A connection that breaks is tried again.
func TestConnection(t *testing.T) {
	for name, broken := range map[string]func(w http.ResponseWriter){
		"no response": func(w http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"status 500":  func(w http.ResponseWriter) { w.WriteHeader(500) },
		"half a response": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte(`{"ciphertext":"c2s`))
		},
		"half a response of unknown length": func(w http.ResponseWriter) {
			w.Write([]byte(`{"ciphertext":"c2stMQ=="}`))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		for failures, want := range map[int]error{1: nil, 2: nil, 3: migrate.ErrUnavailable} {
			s := start(t, map[string]string{"openai": "sk-1"})
			s.hook = func(w http.ResponseWriter, r *http.Request, got string) bool {
				if s.count(got) <= failures {
					broken(w)
					return true
				}
				return false
			}
			value, err := open(t, s.config()).Read(t.Context(), item("openai"))
			if !errors.Is(err, want) || err == nil && string(value) != "sk-1" {
				t.Errorf("%s %d times: %q, %v, want %v", name, failures, value, err, want)
			}
			if n := min(failures, 2); len(s.slept) != n {
				t.Errorf("%s %d times: pauses %v", name, failures, s.slept)
			}
		}
	}
	// Nothing listens.
	c := plainserver.Config{URL: testcloud.NoServer(t), Agent: alice, Token: token, Sleep: func(context.Context, time.Duration) error { return nil }}
	if _, _, err := open(t, c).List(t.Context()); !errors.Is(err, migrate.ErrUnavailable) || strings.Contains(err.Error(), "agent_id") {
		t.Errorf("no server: %v", err)
	}
}

// A server that does not respond is not waited for longer than the timeout.
func TestTimeout(t *testing.T) {
	s := start(t, nil)
	s.hook = func(w http.ResponseWriter, r *http.Request, got string) bool {
		<-r.Context().Done()
		return true
	}
	c := s.config()
	c.Timeout = time.Millisecond
	if _, _, err := open(t, c).List(t.Context()); !errors.Is(err, migrate.ErrUnavailable) || !strings.Contains(err.Error(), "no response within 1ms") {
		t.Errorf("error %v", err)
	}
	// The connection has the same limit, and may reach it first.
	c.Timeout = time.Hour
	c.HTTPClient = &http.Client{Transport: silent{}}
	if _, _, err := open(t, c).List(t.Context()); !errors.Is(err, migrate.ErrUnavailable) || !strings.Contains(err.Error(), "no response within 1h0m0s") {
		t.Errorf("error of the connection: %v", err)
	}
	// The caller decides earlier.
	ctx, stop := context.WithCancel(t.Context())
	s = start(t, nil)
	s.hook = func(w http.ResponseWriter, r *http.Request, got string) bool {
		stop()
		<-r.Context().Done()
		return true
	}
	if _, err := open(t, s.config()).Read(ctx, item("openai")); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// A silent is a connection that reached its time limit.
type silent struct{}

func (silent) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
}

// The token is not sent to the server that a response names.
func TestRedirect(t *testing.T) {
	other := start(t, map[string]string{"openai": "of another server"})
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := start(t, nil)
		s.hook = func(w http.ResponseWriter, r *http.Request, got string) bool {
			http.Redirect(w, r, other.url+r.URL.RequestURI(), status)
			return true
		}
		c := s.config()
		c.HTTPClient = &http.Client{} // follows redirects
		value, err := open(t, c).Read(t.Context(), item("openai"))
		if !errors.Is(err, migrate.ErrSource) || other.count("GET read") > 0 {
			t.Errorf("%d: %q, %v, %d requests to the other server", status, value, err, other.count("GET read"))
		}
	}
}

// base64 of the old server's JSON may be escaped.
func TestEscapedJSON(t *testing.T) {
	s := start(t, nil)
	encoded := base64.StdEncoding.EncodeToString([]byte{0xff, 0xff, 0xff})
	s.hook = respond("GET read", 200, "", `{"ciphertext":"`+strings.ReplaceAll(encoded, "/", `\/`)+`","updated_at":5}`)
	if value, err := open(t, s.config()).Read(t.Context(), item("openai")); string(value) != "\xff\xff\xff" || err != nil {
		t.Errorf("%q, %v", value, err)
	}
}
