package signertest_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope/kek/signer/signertest"
)

const omni = "c5204378ff1ef0b422d52ef494a8cc18af31a901f562d6879d07aa4e2329597d"

// call sends a request over a connection and returns status and body.
func call(t *testing.T, s *signertest.Server, method, path, token, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// The contract of the agentKeys signer, with the wallet and the signature of its test vector.
func TestContract(t *testing.T) {
	s, err := signertest.Start(&signertest.Options{
		Tokens: map[string]string{"good": omni, "all": "*"},
		Keys:   map[string][]byte{omni: bytes.Repeat([]byte{0x11}, 32)},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const wallet = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
	const signature = "0x69328d14b91a9dd9bf1f57a0acda49f80c82143e68e50a9a5d3956cdbde22101693598a396a2450e7abddceb231914c2b96531eb9370fe3432576d50a53ef9e701"
	account := `{"omni_account":"` + omni + `"`
	message := `,"message_hex":"` + hex.EncodeToString([]byte("agentkeys.kek.v1:"+wallet+":openrouter")) + `"}`
	const derive, sign = "/dev/derive-address", "/dev/sign-message"
	for _, tc := range []struct {
		name, method, path, token, body string
		status                          int
		want                            map[string]any // members of the response; "message" of an error is any text
	}{
		{"address", "POST", derive, "Bearer good", account + "}", 200, map[string]any{"address": wallet, "key_version": 1.0}},
		{"signature", "POST", sign, "Bearer all", account + message, 200, map[string]any{"address": wallet, "key_version": 1.0, "signature": signature}},
		{"no token", "POST", derive, "", account + "}", 401, map[string]any{"error": "unauthorized"}},
		{"wrong token", "POST", sign, "Bearer bad", account + message, 401, map[string]any{"error": "unauthorized"}},
		{"no bearer scheme", "POST", derive, "good", account + "}", 401, map[string]any{"error": "unauthorized"}},
		{"another account", "POST", derive, "Bearer good", `{"omni_account":"` + strings.Repeat("0", 64) + `"}`, 401, map[string]any{"error": "unauthorized"}},
		{"short account", "POST", derive, "Bearer good", `{"omni_account":"c5"}`, 400, map[string]any{"error": "invalid_omni_account"}},
		{"message is not hex", "POST", sign, "Bearer good", account + `,"message_hex":"xy"}`, 400, map[string]any{"error": "invalid_message_hex"}},
		{"body is not JSON", "POST", sign, "Bearer good", "x", 400, map[string]any{"error": "bad_request"}},
	} {
		status, body := call(t, s, tc.method, tc.path, tc.token, tc.body)
		var got map[string]any
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != tc.status {
			t.Errorf("%s: %d %s", tc.name, status, body)
		}
		for name, want := range tc.want {
			if got[name] != want {
				t.Errorf("%s: %s is %v, want %v", tc.name, name, got[name], want)
			}
		}
		if message, _ := got["message"].(string); status != 200 && message == "" {
			t.Errorf("%s: no message: %s", tc.name, body)
		}
	}
	if status, body := call(t, s, "GET", "/healthz", "", ""); status != 200 || body != "ok" {
		t.Errorf("healthz: %d %s", status, body)
	}
	if status, _ := call(t, s, "GET", derive, "Bearer good", ""); status != 404 {
		t.Errorf("GET: %d", status)
	}
	s.Set(signertest.Fault{Disabled: true})
	if status, body := call(t, s, "POST", derive, "Bearer good", account+"}"); status != 503 || !strings.Contains(body, `"signer_disabled"`) {
		t.Errorf("%d %s", status, body)
	}
	s.Set(signertest.Fault{Fail: 1})
	for _, want := range []int{500, 200} {
		if status, body := call(t, s, "POST", derive, "Bearer good", account+"}"); status != want {
			t.Errorf("%d %s", status, body)
		}
	}
}

// The server listens only on this machine.
func TestStart(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "example.com:0", ":0", "x"} {
		if s, err := signertest.Start(&signertest.Options{Addr: addr}); err == nil {
			s.Close()
			t.Errorf("%s: the server listens", addr)
		}
	}
	s, err := signertest.Start(&signertest.Options{Addr: "localhost:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := signertest.New(nil).Close(); err != nil {
		t.Error(err)
	}
}
