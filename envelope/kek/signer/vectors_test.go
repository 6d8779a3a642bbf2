package signer_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/signer"
	"github.com/objectvault/objectvault/envelope/kek/signer/signertest"
)

// A vector has the inputs of a stanza and every intermediate value. FORMAT.md describes the members.
type vector struct {
	ID, About               string
	PrivateKey              string `json:"private_key"`
	Address                 string
	Vault, Tenant           string
	Collection, Name        string
	Epoch                   uint32
	Ctx, Text, Digest       string
	Signature, Root, Stable string
	DEK                     string
	WrapNonce               string `json:"wrap_nonce"`
	KEK                     string
	KEKID                   string `json:"kek_id"`
	WrapAAD                 string `json:"wrap_aad"`
	Body                    string
}

func vectors(t testing.TB) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 14 {
		t.Fatalf("only %d vectors", len(all))
	}
	return all
}

func (v vector) ref() envelope.Ref {
	return envelope.Ref{Vault: v.Vault, Tenant: v.Tenant, Collection: v.Collection, Name: v.Name}
}

func (v vector) aad(t testing.TB) envelope.AAD {
	return envelope.AAD{Stable: [15]byte(unhex(t, v.Stable)), Ctx: v.ref().Context()}
}

func (v vector) stanza(t testing.TB) envelope.Stanza {
	return envelope.Stanza{Type: 1, ID: [16]byte(unhex(t, v.KEKID)), Body: unhex(t, v.Body)}
}

// response is the body of the signer's response in v.
func (v vector) response() string {
	return `{"signature":"0x` + v.Signature + `","address":"` + v.Address + `","key_version":1}`
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors were made by another implementation.
func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			ref := v.ref()
			id := ref.Context()
			if got := hex.EncodeToString(id[:]); got != v.Ctx {
				t.Errorf("ctx %s", got)
			}
			if got := signer.Text(ref, v.Epoch); got != v.Text {
				t.Errorf("text %q", got)
			}
			hash := signer.Digest(v.Text)
			if got := hex.EncodeToString(hash[:]); got != v.Digest {
				t.Errorf("digest %s", got)
			}
			claimed, from, root, err := signer.ParseSigned([]byte(v.response()), hash)
			if err != nil || claimed != v.Address || from != v.Address || hex.EncodeToString(root) != v.Root {
				t.Errorf("%s, %s, %x, %v", claimed, from, root, err)
			}
			server := signertest.New(&signertest.Options{Keys: map[string][]byte{omni: unhex(t, v.PrivateKey)}})
			if got := server.Address(omni); got != v.Address {
				t.Errorf("address %s", got)
			}
			c := over(server)
			c.Epoch = v.Epoch
			own := newSource(t, c) // with the signature of the server
			server = signertest.New(nil)
			server.Set(signertest.Fault{Raw: v.response()})
			c.Transport = server
			for _, s := range []*signer.Source{own, newSource(t, c)} {
				if dek, err := s.Unwrap(t.Context(), ref, v.stanza(t), v.aad(t)); err != nil || hex.EncodeToString(dek) != v.DEK {
					t.Errorf("data key %x, %v", dek, err)
				}
			}
			aad := v.aad(t)
			if got := hex.EncodeToString(aad.Bytes(1, [16]byte(unhex(t, v.KEKID)))); got != v.WrapAAD {
				t.Errorf("wrap AAD %s", got)
			}
			// Of the enrolment, only the kekID shows the root.
			r, err := kek.NewRoot(unhex(t, v.Root))
			if err != nil {
				t.Fatal(err)
			}
			if own, err := kek.NewLocal(r).Recognizes(t.Context(), ref, v.stanza(t), aad); !own || err != nil {
				t.Error(own, err)
			}
		})
	}
}

// The vectors cover the cases in which implementations differ.
func TestVectorsCover(t *testing.T) {
	found := make(map[string]bool)
	for _, v := range vectors(t) {
		sig := unhex(t, v.Signature)
		found["leading zero in r"] = found["leading zero in r"] || sig[0] == 0
		found["leading zero in s"] = found["leading zero in s"] || sig[32] == 0
		found["high s"] = found["high s"] || sig[32] >= 0x80
		found["no v"] = found["no v"] || len(sig) == 64
		for _, b := range sig[64:] {
			found["v "+hex.EncodeToString([]byte{b})] = true
		}
		found["another root than r and s"] = found["another root than r and s"] || !strings.HasPrefix(v.Signature, v.Root)
	}
	for _, want := range []string{"leading zero in r", "leading zero in s", "high s", "no v", "v 00", "v 01", "v 1c", "v 26", "another root than r and s"} {
		if !found[want] {
			t.Errorf("no vector has %s", want)
		}
	}
}

// The test vector of agentKeys, from its signer: the same prefix, hash and signature.
func TestAgentKeysSignature(t *testing.T) {
	const wallet = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
	const message = "agentkeys.kek.v1:" + wallet + ":openrouter"
	const signature = "69328d14b91a9dd9bf1f57a0acda49f80c82143e68e50a9a5d3956cdbde22101693598a396a2450e7abddceb231914c2b96531eb9370fe3432576d50a53ef9e701"
	if got, err := signer.RecoverAddress(signer.Digest(message), unhex(t, signature), ""); got != wallet || err != nil {
		t.Error(got, err)
	}
}

// If v is known, only its key is accepted. Otherwise any possible key is accepted.
func TestRecoverAddress(t *testing.T) {
	v := vectors(t)[0]
	sig, hash := unhex(t, v.Signature), signer.Digest(v.Text)
	for _, tc := range []struct {
		name string
		v    []byte
		ok   bool
	}{
		{"right v", []byte{sig[64]}, true}, {"wrong v", []byte{sig[64] ^ 1}, false},
		{"right v plus 27", []byte{27 + sig[64]}, true}, {"wrong v plus 27", []byte{27 + (sig[64] ^ 1)}, false},
		{"no v", nil, true}, {"unknown v", []byte{0xff}, true},
	} {
		got, err := signer.RecoverAddress(hash, append(slices.Clone(sig[:64]), tc.v...), v.Address)
		if err != nil || (got == v.Address) != tc.ok {
			t.Errorf("%s: %s, %v", tc.name, got, err)
		}
	}
	n, _ := hex.DecodeString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
	zero := make([]byte, 32)
	for _, bad := range [][]byte{nil, sig[:63], append(slices.Clone(sig), 0), slices.Concat(zero, sig[32:]), slices.Concat(sig[:32], zero), slices.Concat(n, sig[32:]), slices.Concat(sig[:32], n)} {
		if got, err := signer.RecoverAddress(hash, bad, v.Address); err == nil {
			t.Errorf("%x: %s", bad, got)
		}
	}
}

// A program that was written from FORMAT.md alone computes the same values.
func TestNode(t *testing.T) {
	if testing.Short() {
		t.Skip("the other implementation is another process")
	}
	if out, err := exec.CommandContext(t.Context(), "node", "--version").Output(); err != nil {
		if slices.Contains(strings.Split(os.Getenv("OBJECTVAULT_TEST_REQUIRE"), ","), "node") {
			t.Fatalf("node does not run: %v", err)
		}
		t.Skipf("node does not run: %v %s", err, out)
	}
	if _, err := os.ReadFile("testdata/check.mjs"); err != nil { // go test caches results by the files that it reads
		t.Fatal(err)
	}
	n := len(vectors(t))
	var talk bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "node", "testdata/check.mjs")
	cmd.Stderr = &talk
	out, err := cmd.Output()
	var passed int
	if json.Unmarshal(out, &passed); err != nil || passed != n {
		t.Errorf("%v, %s of %d vectors passed\n%s", err, bytes.TrimSpace(out), n, talk.String())
	}
}
