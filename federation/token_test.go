package federation_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/federation"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// jwt returns a token with this payload and a dummy signature.
func jwt(payload string) string {
	return b64(`{"alg":"ES256","typ":"JWT"}`) + "." + b64(payload) + "." + b64(hidden)
}

// tokenOf returns a token with the given claims, valid for an hour by default.
func tokenOf(t *testing.T, now time.Time, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": "https://issuer.example", "sub": "agent", "aud": "vault", "exp": now.Add(time.Hour).Unix()}
	for k, v := range claims {
		if all[k] = v; v == nil {
			delete(all, k)
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return jwt(string(b))
}

func TestParseToken(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	for _, tc := range []struct {
		name, payload string
		want          federation.Claims
	}{
		{"no claims", `{}`, federation.Claims{}},
		{"agentKeys", `{"iss":"https://broker.example","sub":"agentkeys:agent:0xabc","aud":"sts.amazonaws.com","iat":0,"exp":300,
			"agentkeys_user_wallet":"0xabc",
			"https://aws.amazon.com/tags":{"principal_tags":{"agentkeys_user_wallet":["0xabc"],"agentkeys_actor_omni":["00ff"]},
			"transitive_tag_keys":["agentkeys_user_wallet","agentkeys_actor_omni"]}}`,
			federation.Claims{
				Issuer: "https://broker.example", Subject: "agentkeys:agent:0xabc", Audience: []string{"sts.amazonaws.com"},
				Expires: at(300), IssuedAt: at(0),
				Tags: map[string][]string{"agentkeys_user_wallet": {"0xabc"}, "agentkeys_actor_omni": {"00ff"}},
			}},
		{"several audiences", `{"aud":["a","b"]}`, federation.Claims{Audience: []string{"a", "b"}}},
		{"fractions", `{"exp":300.9,"nbf":1e3}`, federation.Claims{Expires: at(300), NotBefore: at(1000)}},
		{"null", `{"iss":null,"sub":null,"aud":null,"exp":null,"https://aws.amazon.com/tags":null}`, federation.Claims{}},
		{"claim names in upper case", `{"ISS":"x","Sub":"y","AUD":"z","Exp":1}`, federation.Claims{}},
		{"Ceph's tags", `{"https://aws.amazon.com/tags":[{"principal_tags":{"wallet":["0xabc"]}}]}`, federation.Claims{Tags: map[string][]string{"wallet": {"0xabc"}}}},
		{"flat tags", `{"https://aws.amazon.com/tags/principal_tags/wallet":"0xabc"}`, federation.Claims{Tags: map[string][]string{"wallet": {"0xabc"}}}},
		{"both forms", `{"https://aws.amazon.com/tags/principal_tags/wallet":"0xb","https://aws.amazon.com/tags":{"principal_tags":{"wallet":"0xa"}}}`,
			federation.Claims{Tags: map[string][]string{"wallet": {"0xa", "0xb"}}}},
		{"several values", `{"https://aws.amazon.com/tags":{"principal_tags":{"wallet":["0xa","0xb"],"none":[]}}}`,
			federation.Claims{Tags: map[string][]string{"wallet": {"0xa", "0xb"}, "none": {}}}},
		{"tags claim without tags", `{"https://aws.amazon.com/tags":{"transitive_tag_keys":[]}}`, federation.Claims{}},
		{"SeaweedFS's tags", `{"https://aws.amazon.com/tags/principal_tags":{"wallet":["0xabc"]}}`,
			federation.Claims{Ignored: []string{"https://aws.amazon.com/tags/principal_tags"}}},
		{"tags of SeaweedFS and of AWS", `{"https://aws.amazon.com/tags/principal_tags":{"wallet":"0xb","other":"c"},"https://aws.amazon.com/tags":{"principal_tags":{"wallet":["0xa"]}}}`,
			federation.Claims{Tags: map[string][]string{"wallet": {"0xa"}}, Ignored: []string{"https://aws.amazon.com/tags/principal_tags"}}},
		{"claim that is not a tag", `{"agentkeys_user_wallet":"0xabc"}`, federation.Claims{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := federation.ParseToken(jwt(tc.payload))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.Claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			if got.Raw.Reveal() != jwt(tc.payload) {
				t.Error("Raw is not the token")
			}
		})
	}
}

func TestParseTokenRefuses(t *testing.T) {
	good := jwt(`{"iss":"x"}`)
	if _, err := federation.ParseToken(good); err != nil {
		t.Fatal(err)
	}
	header, signature := b64(`{"alg":"ES256"}`), b64(hidden)
	for _, tc := range []struct{ name, raw, want string }{
		{"empty", "", "it is empty"},
		{"newline after the token", good + "\n", "it has more than one line"},
		{"newline in the token", good[:5] + "\n" + good[5:], "it has more than one line"},
		{"space after the token", good + " ", "its signature is not base64url"},
		{"two parts", header + "." + b64(`{}`), "it is not a signed JWT, which consists of three parts separated by dots"},
		{"four parts", good + "." + hidden, "it is not a signed JWT, which consists of three parts separated by dots"},
		{"a password", hidden, "it is not a signed JWT, which consists of three parts separated by dots"},
		{"too long", header + "." + b64(`{"x":"`+strings.Repeat("x", 64<<10)+`"}`) + "." + signature, "it is longer than 64 KiB"},
		{"no signature", header + "." + b64(`{}`) + ".", "it is not signed"},
		{"alg none", b64(`{"alg":"nOne"}`) + "." + b64(`{}`) + "." + signature, "it is not signed"},
		{"alg is a number", b64(`{"alg":1}`) + "." + b64(`{}`) + "." + signature, `its "alg" is not a string`},
		{"padding", b64(`{"alg":"R"}`) + "=." + b64(`{}`) + "." + signature, "its header is not base64url"},
		{"standard base64", header + "." + b64(`{}`) + ".a+/=", "its signature is not base64url"},
		{"trailing bits", header + "." + b64(`{}`) + ".YR", "its signature is not base64url"},
		{"header is not JSON", b64(hidden) + "." + b64(`{}`) + "." + signature, "its header is not a JSON object"},
		{"payload is a list", header + "." + b64(`["`+hidden+`"]`) + "." + signature, "its payload is not a JSON object"},
		{"payload is truncated", header + "." + b64(`{"iss":"`+hidden) + "." + signature, "its payload is not a JSON object"},
		{"payload with trailing data", header + "." + b64(`{} {}`) + "." + signature, "its payload is not a JSON object"},
		{"payload is not UTF-8", header + "." + b64("{\"iss\":\"\xff\"}") + "." + signature, "its payload is not a JSON object"},
		{"claim occurs twice", jwt(`{"exp":1,"exp":2}`), `its payload is a JSON object with "exp" twice`},
		{"tag occurs twice", jwt(`{"https://aws.amazon.com/tags":{"principal_tags":{"w":"a","w":"b"}}}`), "its claim https://aws.amazon.com/tags is not an object with principal_tags"},
		{"issuer is a number", jwt(`{"iss":1}`), `its "iss" is not a string`},
		{"expiry is a string", jwt(`{"exp":"300"}`), `its "exp" is not a number`},
		{"expiry before 1970", jwt(`{"exp":-1}`), `its "exp" is not a time`},
		{"expiry out of range", jwt(`{"exp":1e300}`), `its "exp" is not a time`},
		{"expiry overflows a number", jwt(`{"exp":1e999}`), `its "exp" is not a number`},
		{"audience is an object", jwt(`{"aud":{"a":"b"}}`), `its "aud" is not a string or a list of strings`},
		{"audience with null", jwt(`{"aud":["a",null]}`), `its "aud" contains an entry that is not a string`},
		{"tags claim is a string", jwt(`{"https://aws.amazon.com/tags":"x"}`), "its claim https://aws.amazon.com/tags is not an object with principal_tags"},
		{"tags claim with two objects", jwt(`{"https://aws.amazon.com/tags":[{},{}]}`), "its claim https://aws.amazon.com/tags is not an object with principal_tags"},
		{"principal_tags is a list", jwt(`{"https://aws.amazon.com/tags":{"principal_tags":["x"]}}`), "its claim https://aws.amazon.com/tags is not an object with principal_tags"},
		{"tag is a number", jwt(`{"https://aws.amazon.com/tags":{"principal_tags":{"w":7}}}`), `its "w" is not a string or a list of strings`},
		{"flat tag is an object", jwt(`{"https://aws.amazon.com/tags/principal_tags/w":{}}`), `its "https://aws.amazon.com/tags/principal_tags/w" is not a string or a list of strings`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := federation.ParseToken(tc.raw)
			if !errors.Is(err, federation.ErrTokenInvalid) {
				t.Fatalf("%v, want ErrTokenInvalid", err)
			}
			if want := "no valid identity token: " + tc.want; err.Error() != want {
				t.Errorf("%q, want %q", err, want)
			}
			noSecret(t, "the error", err.Error())
		})
	}
}

// A token that a JOSE library signed can be parsed.
func TestParseTokenOfLibrary(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(`{"iss":"https://issuer.example","sub":"s","aud":["a"],"exp":300}`))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	got, err := federation.ParseToken(raw)
	want := federation.Claims{Issuer: "https://issuer.example", Subject: "s", Audience: []string{"a"}, Expires: time.Unix(300, 0).UTC()}
	if diff := cmp.Diff(want, got.Claims); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestTag(t *testing.T) {
	c := federation.Claims{Tags: map[string][]string{"Wallet": {"0xA"}, "omni": {"ff"}, "none": {}}}
	for _, tc := range []struct {
		keys       []string
		key, value string
		ok         bool
	}{
		{nil, "", "", false},
		{[]string{"absent"}, "", "", false},
		{[]string{"none"}, "", "", false},
		{[]string{"absent", "omni", "Wallet"}, "omni", "ff", true},
		{[]string{"wallet", "omni"}, "wallet", "0xA", true}, // AWS ignores the case of a key
	} {
		key, value, ok := c.Tag(tc.keys...)
		if key != tc.key || value != tc.value || ok != tc.ok {
			t.Errorf("Tag(%q) = %q, %q, %v", tc.keys, key, value, ok)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	seeds, err := filepath.Glob("testdata/tokens/*.json")
	if err != nil || len(seeds) < 8 {
		f.Fatalf("%d seeds (%v): this target would pass without looking at anything", len(seeds), err)
	}
	for _, name := range seeds {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(`{"alg":"ES256"}`, string(b), "sig", false)
		f.Add(jwt(string(b)), "", "", true)
	}
	f.Fuzz(func(t *testing.T, header, payload, signature string, whole bool) {
		raw := header
		if !whole {
			raw = b64(header) + "." + b64(payload) + "." + b64(signature)
		}
		got, err := federation.ParseToken(raw)
		if err != nil {
			if !errors.Is(err, federation.ErrTokenInvalid) || len(err.Error()) > 1024 || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("error %q", err)
			}
			return
		}
		if got.Raw.Reveal() != raw || len(raw) > 64<<10 || strings.Trim(raw, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
			t.Errorf("%q was accepted", raw)
		}
		e := federation.Expectation{Issuer: "https://issuer.example", Audience: "vault", Tenant: "0xabc"}
		for _, now := range []time.Time{time.Unix(0, 0), time.Unix(299, 0), time.Unix(4e9, 0)} {
			if err := e.Check(got.Claims, now); err != nil && (len(err.Error()) > 4096 || strings.ContainsAny(err.Error(), "\r\n")) {
				t.Errorf("error %q", err)
			}
		}
	})
}
