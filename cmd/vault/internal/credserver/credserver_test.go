package credserver_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/credserver"
	"github.com/objectvault/objectvault/vault"
)

// TestContract: the calls of the contract, in an order in which a client makes them.
func TestContract(t *testing.T) {
	w := newWorld(t)
	c := w.serve(nil)
	c.as("").call("GET", "/healthz", "", "").want(t, "healthz without a token", 200, "ok")
	c.list().want(t, "list of nothing", 200, `{"services":[]}`)
	c.read("openrouter").want(t, "read before store", 404, "not_found")
	c.store("openrouter", "sk-or-1").want(t, "store", 200, isOK)
	c.read("openrouter").wantValue(t, "read", "sk-or-1")
	c.store("openrouter", "sk-or-2").want(t, "store again", 200, isOK)
	c.read("openrouter").wantValue(t, "read of the later value", "sk-or-2")
	c.store("anthropic", "\x00\xff").want(t, "store of bytes that are no text", 200, isOK)
	c.read("anthropic").wantValue(t, "read of bytes", "\x00\xff")
	c.store("empty", "").want(t, "store of an empty value", 200, isOK)
	c.read("empty").wantValue(t, "read of an empty value", "")
	r := c.list()
	r.want(t, "list", 200, `{"services":["anthropic","empty","openrouter"]}`)
	if got := r.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	if got := c.read("openrouter").header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("a credential may be cached: %q", got)
	}
	if value, _, err := w.vault.ReadAll(t.Context(), "openrouter", nil); err != nil || string(value) != "sk-or-2" {
		t.Errorf("the vault has %q, %v", value, err)
	}
	c.teardown().want(t, "teardown", 200, isOK)
	c.list().want(t, "list after teardown", 200, `{"services":[]}`)
	c.read("openrouter").want(t, "read after teardown", 404, "not_found")
	c.teardown().want(t, "teardown of nothing", 200, isOK)
}

// TestAgents: the wallet and the omni are ids of the same owner, in any case.
func TestAgents(t *testing.T) {
	c := newWorld(t).serve(nil)
	for _, agent := range []string{omni, strings.ToUpper(wallet), strings.ToUpper(omni)} {
		c.call("POST", "/credential/store", "", storeBody(agent, "a", agent)).want(t, "store as "+agent, 200, isOK)
		c.call("GET", "/credential/read", "agent_id="+agent+"&service=a", "").wantValue(t, "read as "+agent, agent)
		c.read("a").wantValue(t, "read with the wallet", agent)
	}
}

// TestRefused: requests that are malformed, or not permitted, change nothing.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	w.writeTokens(line(full, ""), strings.Replace(line("other", ""), wallet, "0xother", 1))
	c := w.serve(nil)
	c.store("a", "1").want(t, "store", 200, isOK)
	const store, read, list, teardown = "/credential/store", "/credential/read", "/credential/list", "/credential/teardown"
	body := storeBody(wallet, "a", "2")
	me := "agent_id=" + wallet
	for _, tc := range []struct {
		name, token, method, path, query, body string
		status                                 int
		code                                   string
	}{
		{"no token", "", "GET", read, me + "&service=a", "", 401, "unauthorized"},
		{"unknown token", "guess", "POST", store, "", body, 401, "unauthorized"},
		{"no token for teardown", "", "DELETE", teardown, "", `{"agent_id":"` + wallet + `"}`, 401, "unauthorized"},
		{"no token for list", "", "GET", list, me, "", 401, "unauthorized"},
		{"token of another owner", "other", "GET", read, me + "&service=a", "", 403, "forbidden"},
		{"another owner's agent_id", full, "GET", read, "agent_id=0xother&service=a", "", 403, "forbidden"},
		{"store for another owner", full, "POST", store, "", storeBody("0xother", "a", "2"), 403, "forbidden"},
		{"list of another owner", full, "GET", list, "agent_id=0xother", "", 403, "forbidden"},
		{"teardown of another owner", full, "DELETE", teardown, "", `{"agent_id":"0xother"}`, 403, "forbidden"},
		{"no agent_id", full, "GET", read, "service=a", "", 400, "bad_request"},
		{"two agent_ids", full, "GET", read, me + "&agent_id=0xother&service=a", "", 400, "bad_request"},
		{"no service", full, "GET", read, me, "", 400, "bad_request"},
		{"empty service", full, "GET", read, me + "&service=", "", 400, "bad_request"},
		{"list without agent_id", full, "GET", list, "", "", 400, "bad_request"},
		{"name that is none", full, "GET", read, me + "&service=a//b", "", 400, "bad_request"},
		{"name that is none, stored", full, "POST", store, "", storeBody(wallet, "../a", "2"), 400, "bad_request"},
		{"empty name, stored", full, "POST", store, "", storeBody(wallet, "", "2"), 400, "bad_request"},
		{"no body", full, "POST", store, "", "", 400, "bad_request"},
		{"not JSON", full, "POST", store, "", "agent_id=" + wallet, 400, "bad_request"},
		{"not an object", full, "POST", store, "", `["` + wallet + `"]`, 400, "bad_request"},
		{"null", full, "POST", store, "", "null", 400, "bad_request"},
		{"unfinished JSON", full, "POST", store, "", strings.TrimSuffix(body, "}"), 400, "bad_request"},
		{"text after the JSON", full, "POST", store, "", body + "x", 400, "bad_request"},
		{"two JSON objects", full, "POST", store, "", body + body, 400, "bad_request"},
		{"member that occurs twice", full, "POST", store, "", `{"service":"b",` + body[1:], 400, "bad_request"},
		{"unknown member that occurs twice", full, "POST", store, "", `{"x":1,"x":2,` + body[1:], 400, "bad_request"},
		{"member without a value", full, "POST", store, "", strings.Replace(body, `"service":"a"`, `"service":null`, 1), 400, "bad_request"},
		{"member that is a number", full, "POST", store, "", strings.Replace(body, `"service":"a"`, `"service":1`, 1), 400, "bad_request"},
		{"missing member", full, "POST", store, "", strings.Replace(body, `,"service":"a"`, ``, 1), 400, "bad_request"},
		{"member in another case", full, "POST", store, "", strings.Replace(body, `"service"`, `"Service"`, 1), 400, "bad_request"},
		{"name that is not UTF-8", full, "POST", store, "", strings.Replace(body, `"service":"a"`, "\"service\":\"a\xff\"", 1), 400, "bad_request"},
		{"half of a surrogate pair", full, "POST", store, "", strings.Replace(body, `"service":"a"`, `"service":"\ud800"`, 1), 400, "bad_request"},
		{"not base64", full, "POST", store, "", strings.Replace(body, `"ciphertext":"`, `"ciphertext":"*`, 1), 400, "bad_request"},
		{"base64 without padding", full, "POST", store, "", strings.Replace(body, `=`, ``, 1), 400, "bad_request"},
		{"base64 for URLs", full, "POST", store, "", strings.Replace(body, `"ciphertext":"Mg=="`, `"ciphertext":"-_-_"`, 1), 400, "bad_request"},
		{"teardown without a body", full, "DELETE", teardown, me, "", 400, "bad_request"},
		{"unknown path below credential", full, "GET", "/credential/export", me, "", 404, "not_found"},
		{"unknown path", full, "GET", "/session/create", "", "", 404, "not_found"},
		{"root", full, "GET", "/", "", "", 404, "not_found"},
	} {
		c.as(tc.token).call(tc.method, tc.path, tc.query, tc.body).want(t, tc.name, tc.status, tc.code)
	}
	for _, header := range []string{"", "Bearer", "Bearer ", "Basic " + full, full} {
		c.as("").call("GET", read, me+"&service=a", "", "Authorization", header).want(t, "Authorization: "+header, 401, "unauthorized")
	}
	c.as("").call("GET", read, me+"&service=a", "", "Authorization", "bearer "+full).wantValue(t, "scheme in lower case", "1")
	if got := c.as("").list().header.Get("WWW-Authenticate"); got != "Bearer" {
		t.Errorf("401 has WWW-Authenticate %q", got)
	}
	if message := c.call("GET", "/session/create", "", "").text; !strings.Contains(message, "start it with --upstream URL") {
		t.Errorf("unknown path: %s", message)
	}
	c.list().want(t, "list", 200, `{"services":["a"]}`)
	c.read("a").wantValue(t, "read", "1")
	for _, secret := range []string{"guess", full, base64.StdEncoding.EncodeToString([]byte("2"))} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log contains %s:\n%s", secret, w.log)
		}
	}
}

// TestUnknownMembers: a client may send members that this server does not know.
func TestUnknownMembers(t *testing.T) {
	c := newWorld(t).serve(nil)
	c.call("POST", "/credential/store", "", `{"x":{"y":[1,{}]},`+storeBody(wallet, "a", "1")[1:]+"\n").want(t, "store", 200, isOK)
	c.call("DELETE", "/credential/teardown", "", `{"agent_id":"`+wallet+`","x":null}`).want(t, "teardown", 200, isOK)
}

// TestMethods: each path has one method.
func TestMethods(t *testing.T) {
	c := newWorld(t).serve(nil)
	for path, only := range map[string]string{"/credential/store": "POST", "/credential/read": "GET", "/credential/list": "GET", "/credential/teardown": "DELETE", "/healthz": "GET"} {
		for _, method := range []string{"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"} {
			if method == only {
				continue
			}
			r := c.call(method, path, "", "")
			r.want(t, method+" "+path, 405, "method_not_allowed")
			if r.header.Get("Allow") != only {
				t.Errorf("%s %s: Allow is %q", method, path, r.header.Get("Allow"))
			}
		}
	}
}

// TestLargeValue: a value has up to 1 MiB.
func TestLargeValue(t *testing.T) {
	c := newWorld(t).serve(nil)
	value := strings.Repeat("x", 1<<20)
	c.store("a", value).want(t, "store of 1 MiB", 200, isOK)
	c.read("a").wantValue(t, "read of 1 MiB", value)
	c.store("b", value+"x").want(t, "store of 1 MiB and a byte", 413, "too_large")
	// The server closes the connection without reading the rest, so the client may miss the response.
	if r, err := c.do(t.Context(), "POST", "/credential/store", "", storeBody(wallet, "b", strings.Repeat("x", 3<<20))); err == nil {
		r.want(t, "store of 3 MiB", 413, "too_large")
	}
	c.list().want(t, "list", 200, `{"services":["a"]}`)
}

// TestNames: the name of a service is found although the client does not encode it.
func TestNames(t *testing.T) {
	names := []string{
		"a+b", "100%", "50%zz", "a;b", "a&b", "a&agent_id", "a=b", "x&service=y", "acme/openai", "urn:a:b", "a?b", "a#b", "schlüssel", "密钥", "%", "%2", "a%20b", "a%2Fb", "[x]", `"quoted"`, "a'b|c", "<a>", "~`^{}",
	}
	alphabet := []rune("a+%2&;=/:?#ü密")
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		name := make([]rune, 1+random.IntN(8))
		for i := range name {
			name[i] = alphabet[random.IntN(len(alphabet))]
		}
		if _, err := vault.ParseName(string(name)); err == nil {
			names = append(names, string(name))
		}
	}
	for _, name := range names {
		c := newWorld(t).serve(nil)
		c.store(name, "of "+name).want(t, "store "+name, 200, isOK)
		c.read(name).wantValue(t, "read "+name, "of "+name)
	}
}

// TestOldServerReads: if several names are possible, it is the one that the old server reads.
func TestOldServerReads(t *testing.T) {
	c := newWorld(t).serve(nil)
	for _, name := range []string{"a b", "a+b", "a", "a&b"} {
		c.store(name, "of "+name).want(t, "store "+name, 200, isOK)
	}
	for sent, name := range map[string]string{"a+b": "a b", "a%20b": "a b", "a%2Bb": "a+b", "a&b": "a", "a%26b": "a&b", "a&": "a", "a&x=y": "a"} {
		c.read(sent).wantValue(t, "read "+sent, "of "+name)
	}
}

// TestEscapes: a URL library below the client may escape some characters.
func TestEscapes(t *testing.T) {
	w := newWorld(t)
	w.writeTokens(line(full, ""), line("spaces", `,"scope":{"services":["a b"]}`), line("escapes", `,"scope":{"services":["a%20b"]}`))
	c := w.serve(nil)
	c.store("a b", "space").want(t, "store", 200, isOK)
	c.store("schlüssel", "umlaut").want(t, "store", 200, isOK)
	c.store("50% off", "percent").want(t, "store", 200, isOK)
	for sent, value := range map[string]string{"a%20b": "space", "schl%C3%BCssel": "umlaut", "schl%c3%bcssel": "umlaut", "50%%20off": "percent", "50%25%20off": "percent"} {
		c.read(sent).wantValue(t, "read "+sent, value)
	}
	c.read("a+b").wantValue(t, "a plus in a form is a space", "space")
	c.read("a%2Bb").want(t, "escaped plus", 404, "not_found")
	c.read("%ff").want(t, "escape that is not UTF-8", 404, "not_found")
	c.read("a%00").want(t, "escape that is no name", 404, "not_found")
	c.as("spaces").read("a%20b").wantValue(t, "scope with the decoded name", "space")
	c.as("escapes").read("a%20b").want(t, "scope with the escaped name", 404, "not_found")
	c.store("a%20b", "literal").want(t, "store", 200, isOK)
	c.read("a%20b").wantValue(t, "the decoded text comes first", "space")
	c.read("a%2520b").wantValue(t, "the literal name, escaped", "literal")
	c.as("spaces").read("a%20b").wantValue(t, "scope with the decoded name, again", "space")
	c.as("escapes").read("a%20b").wantValue(t, "scope with the escaped name, again", "literal")
	for query, value := range map[string]string{
		"service=a%20b&agent_id=" + wallet:                       "space",
		"x=1&service=50%%20off&agent_id=" + wallet:               "percent",
		"service=50%%20off&agent_id=" + wallet + "&x=1":          "percent",
		"x&agent_id=" + wallet + "&y=&service=a%20b":             "space",
		"agent_id=0%78" + wallet[2:] + "&service=schl%C3%BCssel": "umlaut",
	} {
		c.call("GET", "/credential/read", query, "").wantValue(t, query, value)
	}
}

// TestScope: what a token with a scope may do.
func TestScope(t *testing.T) {
	w := newWorld(t)
	w.writeTokens(line(full, ""),
		line("one", `,"scope":{"services":["a"]}`),
		line("reader", `,"scope":{"services":["a","b"],"read_only":true}`),
		line("all-reader", `,"scope":{"read_only":true}`),
		line("nothing", `,"scope":{"services":[],"read_only":false}`),
		line("unscoped", `,"scope":{}`),
	)
	c := w.serve(nil)
	for _, name := range []string{"a", "b", "c"} {
		c.store(name, "1").want(t, "store "+name, 200, isOK)
	}
	const forbidden = "forbidden"
	for _, tc := range []struct {
		token         string
		list          string
		read, store   map[string]int // status by service
		teardownFails bool
	}{
		{"one", `["a"]`, map[string]int{"a": 200, "b": 403, "absent": 403}, map[string]int{"a": 200, "b": 403, "d": 403}, true},
		{"reader", `["a","b"]`, map[string]int{"a": 200, "b": 200, "c": 403}, map[string]int{"a": 403, "c": 403}, true},
		{"all-reader", `["a","b","c"]`, map[string]int{"a": 200, "c": 200, "absent": 404}, map[string]int{"a": 403, "d": 403}, true},
		{"nothing", `[]`, map[string]int{"a": 403}, map[string]int{"a": 403}, true},
		{"unscoped", `["a","b","c"]`, map[string]int{"a": 200, "absent": 404}, map[string]int{"a": 200}, false},
	} {
		c := c.as(tc.token)
		c.list().want(t, tc.token+" lists", 200, `{"services":`+tc.list+`}`)
		for name, status := range tc.read {
			if got := c.read(name); got.status != status {
				t.Errorf("%s reads %s: %d %s, want %d", tc.token, name, got.status, got.text, status)
			}
		}
		for name, status := range tc.store {
			if got := c.store(name, "2"); got.status != status {
				t.Errorf("%s stores %s: %d %s, want %d", tc.token, name, got.status, got.text, status)
			}
		}
		if tc.teardownFails {
			c.teardown().want(t, tc.token+" tears down", 403, forbidden)
			c.as(full).list().want(t, "list after "+tc.token, 200, `{"services":["a","b","c"]}`)
			continue
		}
		c.teardown().want(t, tc.token+" tears down", 200, isOK)
		c.list().want(t, "list after "+tc.token, 200, `{"services":[]}`)
	}
}

// TestExpiry: a token is valid until it expires.
func TestExpiry(t *testing.T) {
	w := newWorld(t)
	w.writeTokens(line("short", `,"expires":"`+w.now().Add(time.Hour).Format(time.RFC3339)+`"`))
	c := w.serve(nil).as("short")
	w.advance(time.Hour - 1)
	c.list().want(t, "just before", 200, `{"services":[]}`)
	w.advance(1)
	c.list().want(t, "at that time", 401, "unauthorized")
}

// TestReadLimit: a token may read 100 credentials in a minute.
func TestReadLimit(t *testing.T) {
	w := newWorld(t)
	w.writeTokens(line(full, ""), line("second", ""), line("scoped", `,"scope":{"services":["a"]}`))
	c := w.serve(func(c *credserver.Config) { c.ReadsPerMinute = 0 })
	c.store("a", "1").want(t, "store", 200, isOK)
	for n := range 100 {
		if r := c.read([]string{"a", "absent"}[n%2]); r.status == 429 {
			t.Fatalf("read %d: %s", n+1, r.text)
		}
	}
	w.advance(20*time.Second + time.Millisecond)
	r := c.read("a")
	r.want(t, "read 101", 429, "rate_limited")
	if got := r.header.Get("Retry-After"); got != "40" || !strings.Contains(r.text, `"retry_after_seconds":40`) {
		t.Errorf("Retry-After is %q: %s", got, r.text)
	}
	c.list().want(t, "a list is no read", 200, `{"services":["a"]}`)
	c.store("a", "2").want(t, "a store is no read", 200, isOK)
	c.as("second").read("a").wantValue(t, "read with another token", "2")
	for range 100 {
		c.as("scoped").read("b").want(t, "a refused read", 403, "forbidden")
	}
	c.as("scoped").read("a").wantValue(t, "a refused read does not count", "2")
	w.advance(40 * time.Second)
	c.read("a").wantValue(t, "read a minute after the first", "2")

	limited := w.serve(func(c *credserver.Config) { c.ReadsPerMinute = 2 })
	limited.read("a").wantValue(t, "first read", "2")
	limited.read("a").wantValue(t, "second read", "2")
	limited.read("a").want(t, "third read", 429, "rate_limited")
	w.advance(-time.Hour)
	limited.read("a").wantValue(t, "read after the clock was set back", "2")
	unlimited := w.serve(func(c *credserver.Config) { c.ReadsPerMinute = -1 })
	for range 150 {
		unlimited.read("a").wantValue(t, "read without a limit", "2")
	}
}

// TestPending: a value that only the spool has is stored, for the client.
func TestPending(t *testing.T) {
	w := newWorld(t)
	c := w.serve(nil)
	c.store("first", "1").want(t, "store", 200, isOK)
	away := &vault.Cause{Sentinel: vault.ErrUnavailable, Message: "connection refused", Effect: vault.NotApplied}
	w.failing(away, "list", "get")
	c.store("openrouter", "sk-secret").want(t, "store while the store is away", 200, isOK)
	c.read("openrouter").wantValue(t, "read of the pending value", "sk-secret")
	c.list().want(t, "list with the pending value", 200, `{"services":["first","openrouter"]}`)
	lines := w.log.lines(t, "saved in the spool, not yet in the store")
	if len(lines) != 1 || lines[0]["service"] != "openrouter" || !strings.Contains(fmt.Sprint(lines[0]["cause"]), "connection refused") || strings.Contains(w.log.String(), "sk-secret") {
		t.Errorf("logged: %v", w.log)
	}
	w.failing(away)
	c.read("openrouter").wantValue(t, "read while nothing works", "sk-secret")
	c.list().want(t, "list while nothing works", 503, "unavailable")

	w.each(nil)
	if sum, err := w.spool.Sync(t.Context(), w.vault, nil); err != nil || sum.Sent != 1 {
		t.Fatalf("sync: %+v, %v", sum, err)
	}
	c.read("openrouter").wantValue(t, "read after sync", "sk-secret")
	c.list().want(t, "list after sync", 200, `{"services":["first","openrouter"]}`)

	w.failing(away, "list")
	c.store("late", "2").want(t, "store while the store is away, again", 200, isOK)
	c.store("first", "2").want(t, "store of a later value", 200, isOK)
	w.each(nil)
	c.list().want(t, "each service is listed once", 200, `{"services":["first","late","openrouter"]}`)
	c.read("first").wantValue(t, "read of the later value", "2")
	c.teardown().want(t, "teardown", 200, isOK)
	c.list().want(t, "teardown also ends what is pending", 200, `{"services":[]}`)
}

// TestRefusedByStore: a value that the store refused is not stored, for the client, although the spool
// keeps it.
func TestRefusedByStore(t *testing.T) {
	w := newWorld(t)
	c := w.serve(nil)
	w.failing(&vault.Cause{Sentinel: vault.ErrPermission, Message: "S3: AccessDenied", Effect: vault.Refused}, "list", "get")
	r := c.store("a", "sk-1")
	r.want(t, "store", 502, "store_refused")
	if !strings.Contains(r.text, "the value is kept on this machine") {
		t.Errorf("store: %s", r.text)
	}
	w.each(nil)
	c.list().want(t, "list", 200, `{"services":[]}`)
	c.read("a").want(t, "read", 404, "not_found")
	if entries, err := w.spool.All(t.Context()); err != nil || len(entries) != 1 {
		t.Errorf("the spool has %d entries, %v", len(entries), err)
	}
}

// TestStoreFails: what the client gets if the store fails, and the vault has no spool.
func TestStoreFails(t *testing.T) {
	cause := func(sentinel error) error {
		return &vault.Cause{Sentinel: sentinel, Message: "S3: AccessDenied", Effect: vault.Refused}
	}
	for _, tc := range []struct {
		name         string
		err          error
		store, read  int
		storeC, code string
	}{
		{"away", fmt.Errorf("%w: connection refused", vault.ErrUnavailable), 503, 503, "outcome_unknown", "unavailable"},
		{"busy", fmt.Errorf("%w: slow down", vault.ErrBusy), 503, 503, "unavailable", "unavailable"},
		{"denied", cause(vault.ErrPermission), 502, 502, "store_refused", "store_refused"},
		{"not logged in", cause(vault.ErrUnauthenticated), 502, 502, "store_refused", "store_refused"},
		{"refused", cause(vault.ErrRefused), 502, 502, "store_refused", "store_refused"},
		{"full", cause(vault.ErrNoSpace), 507, 507, "no_space", "no_space"},
		{"closed", vault.ErrClosed, 503, 503, "unavailable", "unavailable"},
		{"any other error", cause(vault.ErrConflict), 500, 500, "internal", "internal"},
	} {
		w := newWorld(t)
		w.spool = nil
		store := w.vault
		c := w.serve(func(c *credserver.Config) {
			c.Backend = withoutSpool{credserver.Vault(store, nil), store}
		})
		c.store("a", "sk-1").want(t, tc.name+": before", 200, isOK)
		w.failing(tc.err)
		c.store("a", "sk-2").want(t, tc.name+": store", tc.store, tc.storeC)
		r := c.read("a")
		r.want(t, tc.name+": read", tc.read, tc.code)
		if unavailable := tc.code == "unavailable"; unavailable != (r.header.Get("Retry-After") != "") {
			t.Errorf("%s: Retry-After is %q", tc.name, r.header.Get("Retry-After"))
		}
		if r := c.list(); r.status != tc.read {
			t.Errorf("%s: list: %d %s", tc.name, r.status, r.text)
		}
		if r := c.teardown(); r.status < 500 {
			t.Errorf("%s: teardown: %d %s", tc.name, r.status, r.text)
		}
		w.each(nil)
		if r := c.read("a"); r.status != 200 {
			t.Errorf("%s: afterwards: %d %s", tc.name, r.status, r.text)
		}
		if strings.Contains(w.log.String(), "sk-") {
			t.Errorf("%s: the log contains a value", tc.name)
		}
	}
}

// withoutSpool is a backend whose stores do not use the spool of the vault.
type withoutSpool struct {
	credserver.Backend
	v *vault.Vault
}

func (b withoutSpool) Store(ctx context.Context, service string, value []byte) error {
	_, err := b.v.Put(ctx, vault.Name(service), strings.NewReader(string(value)), &vault.PutOptions{Spool: vault.SpoolOff})
	return err
}

// TestDamaged: an object that cannot be opened is an error, and not absent.
func TestDamaged(t *testing.T) {
	w := newWorld(t)
	c := w.serve(nil)
	c.store("a", "sk-1").want(t, "store", 200, isOK)
	key := "bots/" + wallet + "/credentials/a.enc"
	object, err := w.store.Bucket.ReadAll(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	object[len(object)-1] ^= 1
	if err := w.store.Bucket.WriteAll(t.Context(), key, object, nil); err != nil {
		t.Fatal(err)
	}
	c.read("a").want(t, "read", 500, "internal")
	c.list().want(t, "list", 200, `{"services":["a"]}`)
}

// TestVaultScope: the scope of the vault also limits the server.
func TestVaultScope(t *testing.T) {
	w := newWorld(t)
	v, err := vault.New(mustStore(t), wallet, nil, &vault.Options{Scope: vault.Scope{Names: []vault.Name{"a"}, ReadOnly: true}})
	if err != nil {
		t.Fatal(err)
	}
	c := w.serve(func(c *credserver.Config) { c.Backend = credserver.Vault(v, nil) })
	c.store("a", "1").want(t, "store", 403, "forbidden")
	c.read("b").want(t, "read", 403, "forbidden")
	c.read("a").want(t, "read within the scope", 404, "not_found")
	c.teardown().want(t, "teardown", 403, "forbidden")
}

// TestOtherObjects: objects of other programs are not listed.
func TestOtherObjects(t *testing.T) {
	store := mustStore(t)
	w := newWorld(t)
	v, err := vault.New(store, wallet, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Bucket.WriteAll(t.Context(), "bots/"+wallet+"/credentials/README", []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	w.serve(func(c *credserver.Config) { c.Backend = credserver.Vault(v, nil) }).list().want(t, "list", 200, `{"services":[]}`)
}

// TestLog: one line for each request, without secrets.
func TestLog(t *testing.T) {
	w := newWorld(t)
	c := w.serve(nil)
	c.store("openrouter", "sk-secret")
	c.read("openrouter")
	c.read("absent")
	c.call("GET", "/credential/read", "agent_id="+wallet+"&service=/sk-secret", "").want(t, "read of text that is no name", 400, "bad_request")
	c.call("POST", "/credential/store", "", storeBody(wallet, "/sk-secret", "1")).want(t, "store of text that is no name", 400, "bad_request")
	c.call("GET", "/credential/list", "agent_id=sk-secret", "")
	c.as("sk-secret").list()
	c.call("GET", "/elsewhere", "key=sk-secret", "")
	c.call("GET", "/healthz", "", "")
	lines := w.log.lines(t, "request")
	want := []string{
		"POST /credential/store 200 11 " + wallet + " openrouter",
		"GET /credential/read 200 29 " + wallet + " openrouter",
		"GET /credential/read 404 * " + wallet + " absent",
		"GET /credential/read 400 * " + wallet + " <nil>",
		"POST /credential/store 400 * " + wallet + " <nil>",
		"GET /credential/list 403 * <nil> <nil>",
		"GET /credential/list 401 * <nil> <nil>",
		"GET /elsewhere 404 * <nil> <nil>",
		"GET /healthz 200 2 <nil> <nil>",
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d: %v", len(lines), len(want), w.log)
	}
	for i, l := range lines {
		got := fmt.Sprint(l["method"], " ", l["path"], " ", l["status"], " ", l["bytes"], " ", l["agent"], " ", l["service"])
		if failed := fmt.Sprint(l["status"]) >= "400"; failed {
			got = fmt.Sprint(l["method"], " ", l["path"], " ", l["status"], " * ", l["agent"], " ", l["service"])
			if l["error"] == nil {
				t.Errorf("no error in %v", l)
			}
		}
		if got != want[i] || l["time"] == nil || l["duration"] == nil {
			t.Errorf("line %d is %s, want %s: %v", i+1, got, want[i], l)
		}
	}
	secret := base64.StdEncoding.EncodeToString([]byte("sk-secret"))
	for _, text := range []string{"sk-secret", secret, full, "agent_id="} {
		if strings.Contains(w.log.String(), text) {
			t.Errorf("the log contains %q: %v", text, w.log)
		}
	}
}

// TestBrowser: a web page cannot use the server, even if it can resolve its name to 127.0.0.1.
func TestBrowser(t *testing.T) {
	w := newWorld(t)
	c := w.serve(nil)
	for _, host := range []string{"localhost", "localhost:8090", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8090", "[::1]", "[::1]:8090"} {
		c.call("GET", "/healthz", "", "", "Host", host).want(t, "Host: "+host, 200, "ok")
	}
	for _, host := range []string{"evil.example", "evil.example:8090", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1:8090", "0.0.0.0:8090"} {
		c.call("GET", "/healthz", "", "", "Host", host).want(t, "Host: "+host, 403, "forbidden")
		c.call("GET", "/credential/list", "agent_id="+wallet, "", "Host", host).want(t, "list, Host: "+host, 403, "forbidden")
	}
	for _, origin := range []string{"https://evil.example", "http://localhost:8090", "null"} {
		c.call("POST", "/credential/store", "", storeBody(wallet, "a", "1"), "Origin", origin).want(t, "Origin: "+origin, 403, "forbidden")
		c.call("OPTIONS", "/credential/store", "", "", "Origin", origin).want(t, "preflight, Origin: "+origin, 403, "forbidden")
	}
	c.list().want(t, "list", 200, `{"services":[]}`)
	for request, status := range map[string]int{
		"GET /healthz HTTP/1.1\r\nHost: [::1]x\r\n\r\n":                  403,
		"GET /healthz HTTP/1.1\r\nHost: [::1\r\n\r\n":                    403,
		"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n":                         403,
		"GET /healthz HTTP/1.0\r\n\r\n":                                  403,
		"GET /healthz HTTP/1.1\r\n\r\n":                                  400,
		"GET http://evil.example/healthz HTTP/1.1\r\nHost: a\r\n\r\n":    403,
		"GET http://evil/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n":    403,
		"OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n":               403,
		"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n":                  404,
		"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n":    404,
		"GET /credential/read?service=a b HTTP/1.1\r\nHost: ::1\r\n\r\n": 400,
	} {
		if got := raw(t, "tcp", c.host, request); got != status {
			t.Errorf("%q: %d, want %d", request, got, status)
		}
	}
}

// raw sends the bytes of a request and returns the status of the response.
func raw(t *testing.T, network, address, request string) int {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestIncomplete: a configuration that is incomplete or dangerous is refused.
func TestIncomplete(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*credserver.Config){
		"no backend":         func(c *credserver.Config) { c.Backend = nil },
		"no ids":             func(c *credserver.Config) { c.Agents = nil },
		"empty id":           func(c *credserver.Config) { c.Agents = []string{wallet, ""} },
		"upstream elsewhere": func(c *credserver.Config) { c.Upstream = parseURL(t, "http://example.com:8091") },
	} {
		c := w.config()
		change(&c)
		if _, err := credserver.New(c); !errors.Is(err, vault.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := credserver.New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context()); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("no listener: %v", err)
	}
}

// mustStore returns a store in memory.
func mustStore(t *testing.T) *vault.Store {
	t.Helper()
	store, err := openMem(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// TestStored: the caller learns of each store, also of one that reached only the spool.
func TestStored(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	var stored []vault.Info
	c := w.serve(func(c *credserver.Config) {
		c.Backend = credserver.Vault(w.vault, &credserver.VaultOptions{Spool: w.spool, Stored: func(info vault.Info) {
			mu.Lock()
			defer mu.Unlock()
			stored = append(stored, info)
		}})
	})
	c.store("a", "1").want(t, "store", 200, isOK)
	w.failing(vault.ErrUnavailable)
	c.store("b", "1").want(t, "store without a store", 200, isOK)
	w.each(nil)
	mu.Lock()
	defer mu.Unlock()
	if len(stored) != 2 || stored[0].Name != "a" || stored[0].Pending || stored[1].Name != "b" || !stored[1].Pending {
		t.Errorf("%+v", stored)
	}
}
