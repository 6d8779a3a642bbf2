package oldserver_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/internal/oldserver"
)

const (
	alice = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
	bob   = "0x00000000000000000000000000000000000000b0"
)

// start returns a server on a new file that has tokens for alice and bob.
func start(t *testing.T, c oldserver.Config) *oldserver.Server {
	t.Helper()
	if c.File == "" {
		c.File = filepath.Join(t.TempDir(), "credentials.db")
	}
	c.Tokens = map[string]oldserver.Token{
		"alice":    {Wallet: alice},
		"bob":      {Wallet: strings.ToUpper(bob)},
		"openai":   {Wallet: alice, Services: []string{"openai"}},
		"nothing":  {Wallet: alice, Services: []string{}},
		"readonly": {Wallet: alice, ReadOnly: true},
	}
	s, err := oldserver.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// call sends a request with a token. The call is for example "GET /healthz".
func call(t *testing.T, h http.Handler, token, call, body string) *http.Response {
	t.Helper()
	method, target, _ := strings.Cut(call, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

const (
	store    = "POST /credential/store"
	read     = "GET /credential/read?agent_id=" + alice + "&service="
	list     = "GET /credential/list?agent_id=" + alice
	teardown = "DELETE /credential/teardown"

	storeOpenAI = `{"agent_id":"` + alice + `","service":"openai","ciphertext":"c2stMQ=="}` // sk-1
	storeGroq   = `{"agent_id":"` + alice + `","service":"groq","ciphertext":"c2stMg=="}`   // sk-2
	storeBob    = `{"agent_id":"` + bob + `","service":"openai","ciphertext":"c2stMw=="}`
	ofAlice     = `{"agent_id":"` + alice + `"}`

	done     = `{"ok":true}`
	badInput = `"error":"bad_request","message":"`
	denied   = `"error":"forbidden","message":"`
	noToken  = `"error":"unauthorized","message":"`
	absent   = `"error":"not_found","message":"`
)

// The contract of the old server. The calls use one server, one after the other.
func TestContract(t *testing.T) {
	s := start(t, oldserver.Config{})
	for _, tc := range []struct {
		name, token, call, body string
		status                  int
		want                    string // part of the response
	}{
		{"healthz needs no token", "", "GET /healthz", "", 200, "ok"},
		{"ping needs no token", "", "POST /session/ping", "", 200, done},
		{"info needs no token", "", "GET /session/info", "", 200, `{"server":"oldserver"}`},
		{"another path", "alice", "GET /session/other", "", 404, ""},
		{"another method", "alice", "GET /credential/store", "", 405, ""},

		{"list of nothing", "alice", list, "", 200, `{"services":[]}`},
		{"read of nothing", "alice", read + "openai", "", 404, absent},
		{"teardown of nothing", "alice", teardown, ofAlice, 200, done},

		{"store", "alice", store, storeOpenAI, 200, done},
		{"store another", "alice", store, storeGroq, 200, done},
		{"store for another agent", "bob", store, storeBob, 200, done},
		{"list is sorted", "alice", list, "", 200, `{"services":["groq","openai"]}`},
		{"read", "alice", read + "openai", "", 200, `{"ciphertext":"c2stMQ=="}`},
		{"the case of the agent does not matter", "alice", "GET /credential/read?service=groq&agent_id=" + strings.ToUpper(alice), "", 200, `{"ciphertext":"c2stMg=="}`},
		{"store overwrites", "alice", store, strings.Replace(storeOpenAI, "c2stMQ==", "bmV3", 1), 200, done},
		{"read of the new value", "alice", read + "openai", "", 200, `{"ciphertext":"bmV3"}`},
		{"store a service with any characters", "alice", store, strings.Replace(storeGroq, "groq", "a b&c%+d", 1), 200, done},
		{"read it", "alice", read + "a%20b%26c%25%2Bd", "", 200, `{"ciphertext":"c2stMg=="}`},
		{"store an empty value", "alice", store, strings.Replace(storeGroq, "c2stMg==", "", 1), 200, done},
		{"read it", "alice", read + "groq", "", 200, `{"ciphertext":""}`},

		{"no token", "", list, "", 401, noToken},
		{"unknown token", "eve", list, "", 401, noToken},
		{"store without a token", "", store, storeGroq, 401, noToken},
		{"teardown without a token", "", teardown, ofAlice, 401, noToken},
		{"read without a token", "", read + "openai", "", 401, noToken},

		{"read by another agent", "bob", read + "openai", "", 403, denied},
		{"list by another agent", "bob", list, "", 403, denied},
		{"store by another agent", "bob", store, storeGroq, 403, denied},
		{"teardown by another agent", "bob", teardown, ofAlice, 403, denied},

		{"scoped list", "openai", list, "", 200, `{"services":["openai"]}`},
		{"scoped read", "openai", read + "openai", "", 200, `{"ciphertext":"bmV3"}`},
		{"scoped read of another service", "openai", read + "groq", "", 403, denied},
		{"scoped store", "openai", store, storeOpenAI, 200, done},
		{"scoped store of another service", "openai", store, storeGroq, 403, denied},
		{"scoped teardown", "openai", teardown, ofAlice, 403, denied},
		{"list with an empty scope", "nothing", list, "", 200, `{"services":[]}`},
		{"read with an empty scope", "nothing", read + "openai", "", 403, denied},
		{"read-only read", "readonly", read + "openai", "", 200, `{"ciphertext":"c2stMQ=="}`},
		{"read-only store", "readonly", store, storeOpenAI, 403, denied},
		{"read-only teardown", "readonly", teardown, ofAlice, 403, denied},

		{"store without JSON", "alice", store, "x", 400, badInput},
		{"store without an agent", "alice", store, `{"service":"openai","ciphertext":""}`, 400, badInput},
		{"store without a service", "alice", store, `{"agent_id":"` + alice + `","ciphertext":""}`, 400, badInput},
		{"store without base64", "alice", store, strings.Replace(storeGroq, "c2stMg==", "!", 1), 400, badInput},
		{"store of URL base64", "alice", store, strings.Replace(storeGroq, "c2stMg==", "_-8=", 1), 400, badInput},
		{"store of too much", "alice", store, strings.Replace(storeGroq, "c2stMg==", strings.Repeat("A", 4<<20), 1), 400, badInput},
		{"read without an agent", "alice", "GET /credential/read?service=openai", "", 400, badInput},
		{"read without a service", "alice", read, "", 400, badInput},
		{"list without an agent", "alice", "GET /credential/list", "", 400, badInput},
		{"teardown without JSON", "alice", teardown, "", 400, badInput},
		{"teardown without an agent", "alice", teardown, "{}", 400, badInput},

		{"teardown", "alice", teardown, ofAlice, 200, done},
		{"list after teardown", "alice", list, "", 200, `{"services":[]}`},
		{"read after teardown", "alice", read + "openai", "", 404, absent},
		{"another agent after teardown", "bob", "GET /credential/list?agent_id=" + bob, "", 200, `{"services":["openai"]}`},
	} {
		resp := call(t, s, tc.token, tc.call, tc.body)
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != tc.status || !strings.Contains(string(body), tc.want) {
			t.Errorf("%s: %d %s, %v, want %d %s", tc.name, resp.StatusCode, body, err, tc.status, tc.want)
		}
	}
}

// A row of the file, as another program sees it.
type stored struct {
	Agent, Service, Value string
	Created, Updated      int64
}

func TestFile(t *testing.T) {
	for _, wal := range []bool{false, true} {
		file := filepath.Join(t.TempDir(), "a file?#%41.db")
		now := time.Unix(1700000000, 0)
		c := oldserver.Config{File: file, WAL: wal, Now: func() time.Time { return now }}
		s := start(t, c)
		call(t, s, "alice", store, strings.Replace(storeOpenAI, alice, strings.ToUpper(alice), 1))
		now = now.Add(time.Hour)
		call(t, s, "alice", store, storeGroq)
		call(t, s, "alice", store, strings.Replace(storeOpenAI, "c2stMQ==", "bmV3", 1))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		want := []stored{
			{alice, "groq", "sk-2", 1700003600, 1700003600},
			{alice, "openai", "new", 1700000000, 1700003600},
		}
		if got := rows(t, file); !reflect.DeepEqual(got, want) {
			t.Errorf("WAL %t: %+v, want %+v", wal, got, want)
		}
		s = start(t, c) // the values outlive the server
		if body, err := io.ReadAll(call(t, s, "alice", read+"openai", "").Body); !strings.Contains(string(body), "bmV3") {
			t.Errorf("WAL %t: %s, %v", wal, body, err)
		}
	}
}

// rows reads the file with the columns of the table in their order.
func rows(t *testing.T, file string) (all []stored) {
	t.Helper()
	escape := strings.NewReplacer("?", "%3f", "#", "%23", "%", "%25")
	db, err := sql.Open("sqlite", "file:"+escape.Replace(filepath.ToSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r, err := db.QueryContext(t.Context(), `SELECT * FROM credentials ORDER BY service_name`)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for r.Next() {
		var s stored
		if err := r.Scan(&s.Agent, &s.Service, &s.Value, &s.Created, &s.Updated); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// The first reads of a minute succeed. Then the response contains the wait.
func TestLimit(t *testing.T) {
	now := time.Unix(1700000000, 0)
	s := start(t, oldserver.Config{Now: func() time.Time { return now }})
	call(t, s, "alice", store, storeOpenAI)
	expect := func(name string, token string, status int, wait string) {
		t.Helper()
		resp := call(t, s, token, read+"openai", "")
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != status || resp.Header.Get("Retry-After") != wait {
			t.Errorf("%s: %d, wait %q: %s", name, resp.StatusCode, resp.Header.Get("Retry-After"), body)
		}
		var in struct {
			Error, Message string
			Wait           int `json:"retry_after_seconds"`
		}
		if err := json.Unmarshal(body, &in); wait != "" && (err != nil || in.Error != "rate_limited" || in.Message == "" || strconv.Itoa(in.Wait) != wait) {
			t.Errorf("%s: %s", name, body)
		}
	}
	for range 100 {
		expect("the first 100", "alice", 200, "")
	}
	expect("read 101", "alice", 429, "60")
	expect("another token", "openai", 200, "")
	now = now.Add(59*time.Second + time.Millisecond)
	expect("after 59 s", "alice", 429, "1")
	if resp := call(t, s, "alice", list, ""); resp.StatusCode != 200 {
		t.Errorf("list is limited: %d", resp.StatusCode)
	}
	now = now.Add(time.Second)
	expect("in the next minute", "alice", 200, "")

	s = start(t, oldserver.Config{ReadsPerMinute: 1, Now: func() time.Time { return now }})
	call(t, s, "alice", store, storeOpenAI)
	expect("limit 1", "alice", 200, "")
	expect("limit 1, read 2", "alice", 429, "60")
}

// Requests at the same time do not fail, and a limit counts each.
func TestConcurrent(t *testing.T) {
	s := start(t, oldserver.Config{ReadsPerMinute: 8})
	call(t, s, "alice", store, storeOpenAI)
	var mu sync.Mutex
	count := make(map[int]int)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			stored, got := call(t, s, "bob", store, storeBob).StatusCode, call(t, s, "alice", read+"openai", "").StatusCode
			mu.Lock()
			defer mu.Unlock()
			count[stored+1000]++
			count[got]++
		})
	}
	wg.Wait()
	if want := map[int]int{1200: 16, 200: 8, 429: 8}; !reflect.DeepEqual(count, want) {
		t.Errorf("%v, want %v", count, want)
	}
}

// The server listens only on this machine.
func TestListen(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "example.com:0", ":0", "x"} {
		if err := start(t, oldserver.Config{}).Listen(addr); err == nil {
			t.Errorf("%s: the server listens", addr)
		}
	}
	s := start(t, oldserver.Config{})
	if err := s.Listen("localhost:0"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(s.URL() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); !bytes.Equal(body, []byte("ok")) {
		t.Errorf("%s, %v", body, err)
	}
}

func TestOpen(t *testing.T) {
	for name, file := range map[string]string{"no file": "", "a directory": t.TempDir(), "a directory that does not exist": filepath.Join(t.TempDir(), "x", "y")} {
		if s, err := oldserver.Open(t.Context(), oldserver.Config{File: file}); err == nil {
			s.Close()
			t.Errorf("%s: no error", name)
		}
	}
}
