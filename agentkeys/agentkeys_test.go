package agentkeys_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/signer"
	"github.com/objectvault/objectvault/envelope/kek/signer/signertest"
)

// The published test vector of agentKeys: the private key is 0x11, 32 times.
const (
	wallet    = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
	omni      = "c5204378ff1ef0b422d52ef494a8cc18af31a901f562d6879d07aa4e2329597d"
	service   = "openrouter"
	plaintext = "sk-or-v1-EXAMPLE"
	signature = "69328d14b91a9dd9bf1f57a0acda49f80c82143e68e50a9a5d3956cdbde22101693598a396a2450e7abddceb231914c2b96531eb9370fe3432576d50a53ef9e701"
	vectorKEK = "0d65a2d7c34f0d387ff98ca32e28fc7c328d4337d9f91e8b1af246b947c54c6c"
	v1Object  = "01a0a1a2a3a4a5a6a7a8a9aaabb12618e3eb9a4b3422f71c54e6d9afabf8914690779f6e0b8ab69267407955f7"
	v2Object  = "02a0a1a2a3a4a5a6a7a8a9aaabb12618e3eb9a4b3422f71c54e6d9afab4dda926dd003ba9549e8ccf5055d28bc"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func account(t testing.TB) agentkeys.Account {
	t.Helper()
	a, err := agentkeys.NewAccount(wallet, "")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// newSigner returns a signer whose wallet has the private key of the vector.
func newSigner(t testing.TB) *signer.Source {
	t.Helper()
	server := signertest.New(&signertest.Options{Keys: map[string][]byte{omni: bytes.Repeat([]byte{0x11}, 32)}})
	s, err := signer.New(signer.Config{URL: "http://127.0.0.1:1", Omni: omni, Transport: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestVector: the derivations and both objects of the published vector.
func TestVector(t *testing.T) {
	a := account(t)
	if a.Wallet != wallet || a.Omni != omni {
		t.Errorf("account: %+v", a)
	}
	s := newSigner(t)
	sig, err := s.SignMessage(t.Context(), agentkeys.Message(wallet, service))
	if err != nil || hex.EncodeToString(sig) != signature {
		t.Errorf("signature: %x, %v", sig, err)
	}
	if address, err := s.Address(t.Context()); address != wallet || err != nil || s.Omni() != omni {
		t.Errorf("address: %s, %v; omni %s", address, err, s.Omni())
	}
	kek, err := agentkeys.DeriveKEK(t.Context(), s, a, service)
	if err != nil || hex.EncodeToString(kek) != vectorKEK {
		t.Fatalf("KEK: %x, %v", kek, err)
	}
	for object, want := range map[string]agentkeys.Format{v1Object: agentkeys.V1, v2Object: agentkeys.V2} {
		value, f, err := agentkeys.Open(kek, a, service, unhex(t, object))
		if err != nil || string(value) != plaintext || f != want {
			t.Errorf("open %v: %q, %v, %v", want, value, f, err)
		}
		key, err := a.Key(want, service)
		prefix := map[agentkeys.Format]string{agentkeys.V1: wallet, agentkeys.V2: omni}[want]
		if err != nil || key != "bots/"+prefix+"/credentials/openrouter.enc" {
			t.Errorf("key %v: %s, %v", want, key, err)
		}
	}
}

// worker seals an object as the worker service of agentKeys does, with the standard library.
func worker(t testing.TB, kek []byte, operator, actor, service string, epoch uint64, value string) []byte {
	t.Helper()
	h := sha256.New()
	h.Write([]byte(operator + actor + strings.ToLower(service)))
	binary.Write(h, binary.BigEndian, epoch)
	block, err := aes.NewCipher(kek)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	nonce := []byte("0123456789ab")
	return aead.Seal(append([]byte{2}, nonce...), nonce, []byte(value), h.Sum(nil))
}

// TestWorker opens objects of the worker service, whose operator and epoch are not in the object.
func TestWorker(t *testing.T) {
	kek, other := unhex(t, vectorKEK), strings.Repeat("ab", 32)
	for _, tc := range []struct {
		name     string
		operator string // of the account
		sealed   string
		epochs   uint64
		epoch    uint64
		opens    bool
	}{
		{"the same operator, epoch 0", "", omni, 0, 0, true},
		{"the same operator, epoch 15", "", omni, 0, 15, true},
		{"an epoch beyond those that are tried", "", omni, 0, 16, false},
		{"more epochs", "", omni, 17, 16, true},
		{"another operator", other, other, 0, 1, true},
		{"an operator that is not known", "", other, 0, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := account(t)
			a.Operator, a.Epochs = tc.operator, tc.epochs
			value, f, err := agentkeys.Open(kek, a, "OpenRouter", worker(t, kek, tc.sealed, omni, "OpenRouter", tc.epoch, "v"))
			if tc.opens && (err != nil || string(value) != "v" || f != agentkeys.Worker) || !tc.opens && !errors.Is(err, envelope.ErrDecrypt) {
				t.Errorf("%q, %v, %v", value, f, err)
			}
		})
	}
}

// TestRefused: an object opens only for its wallet, account, service and version, and only whole.
func TestRefused(t *testing.T) {
	kek, a := unhex(t, vectorKEK), account(t)
	v1, v2 := unhex(t, v1Object), unhex(t, v2Object)
	flipped := slices.Clone(v1)
	flipped[20] ^= 1
	otherWallet, otherOmni := a, a
	otherWallet.Wallet = "0x" + strings.Repeat("a", 40)
	otherOmni.Omni = strings.Repeat("a", 64)
	for _, tc := range []struct {
		name    string
		account agentkeys.Account
		service string
		object  []byte
		want    error
	}{
		{"v1 of another wallet", otherWallet, service, v1, envelope.ErrDecrypt},
		{"v2 of another omni account", otherOmni, service, v2, envelope.ErrDecrypt},
		{"v1 of another service", a, "anthropic", v1, envelope.ErrDecrypt},
		{"v2 of another service", a, "anthropic", v2, envelope.ErrDecrypt},
		{"v1 as v2", a, service, append([]byte{2}, v1[1:]...), envelope.ErrDecrypt},
		{"v2 as v1", a, service, append([]byte{1}, v2[1:]...), envelope.ErrDecrypt},
		{"version 3", a, service, append([]byte{3}, v1[1:]...), envelope.ErrFormat},
		{"an envelope", a, service, append([]byte("OVE1"), v1[4:]...), envelope.ErrFormat},
		{"a changed byte", a, service, flipped, envelope.ErrDecrypt},
		{"without the last byte", a, service, v1[:len(v1)-1], envelope.ErrDecrypt},
		{"28 bytes", a, service, v1[:28], envelope.ErrFormat},
		{"no bytes", a, service, nil, envelope.ErrFormat},
		{"too long", a, service, append(slices.Clone(v1), make([]byte, agentkeys.MaxObject)...), envelope.ErrFormat},
	} {
		t.Run(tc.name, func(t *testing.T) {
			value, _, err := agentkeys.Open(kek, tc.account, tc.service, tc.object)
			if value != nil || !errors.Is(err, tc.want) {
				t.Errorf("%q, %v, want %v", value, err, tc.want)
			}
		})
	}
	if _, _, err := agentkeys.Open(kek[:31], a, service, v1); !errors.Is(err, envelope.ErrInvalid) {
		t.Errorf("a KEK of 31 bytes: %v", err)
	}
}

// TestSeal: what Seal returns opens, also with the standard library, and has a new nonce each time.
func TestSeal(t *testing.T) {
	kek, a := unhex(t, vectorKEK), account(t)
	for _, f := range []agentkeys.Format{agentkeys.V1, agentkeys.V2} {
		for _, value := range []string{"", "sk", strings.Repeat("x", agentkeys.MaxValue)} {
			object, err := agentkeys.Seal(kek, a, f, service, []byte(value))
			if err != nil || len(object) != len(value)+29 {
				t.Fatalf("%v, %d bytes: %d bytes, %v", f, len(value), len(object), err)
			}
			got, format, err := agentkeys.Open(kek, a, service, object)
			if err != nil || string(got) != value || format != f {
				t.Errorf("%v, %d bytes: %d bytes, %v, %v", f, len(value), len(got), format, err)
			}
			again, err := agentkeys.Seal(kek, a, f, service, []byte(value))
			if err != nil || bytes.Equal(object[:13], again[:13]) {
				t.Errorf("%v: the nonce %x was used twice (%v)", f, object[1:13], err)
			}
		}
	}
	for _, tc := range []struct {
		f       agentkeys.Format
		service string
		size    int
	}{{agentkeys.Worker, service, 1}, {0, service, 1}, {agentkeys.V1, "a/b", 1}, {agentkeys.V1, "", 1}, {agentkeys.V2, service, agentkeys.MaxValue + 1}} {
		if _, err := agentkeys.Seal(kek, a, tc.f, tc.service, make([]byte, tc.size)); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("%v %q %d bytes: %v", tc.f, tc.service, tc.size, err)
		}
	}
}

func TestAccount(t *testing.T) {
	for _, tc := range []struct {
		wallet, omni string
		ok           bool
	}{
		{wallet, "", true},
		{"0x" + strings.ToUpper(wallet[2:]), strings.ToUpper(omni), true},
		{wallet, strings.Repeat("a", 64), true}, // the wallet was replaced
		{wallet[2:], "", false},
		{wallet + "0", "", false},
		{"default", "", false},
		{wallet, "abc", false},
	} {
		a, err := agentkeys.NewAccount(tc.wallet, tc.omni)
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("%s, %s: %+v, %v", tc.wallet, tc.omni, a, err)
		}
	}
	a := account(t)
	for key, want := range map[string]string{
		"bots/" + wallet + "/credentials/open router.enc": "open router",
		"bots/" + omni + "/credentials/x.enc":             "x",
		"bots/" + omni + "/credentials/a/b.enc":           "",
		"bots/" + omni + "/credentials/.enc":              "",
		"bots/" + omni + "/credentials/x.txt":             "",
		"bots/" + omni + "/other/x.enc":                   "",
	} {
		if got, ok := a.ServiceOf(key); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v", key, got, ok)
		}
	}
}

type brokenSigner struct{ sig []byte }

func (s brokenSigner) SignMessage(context.Context, string) ([]byte, error) { return s.sig, nil }

// TestSignatures: a signature of another length or form is not used, because its KEK would be wrong.
func TestSignatures(t *testing.T) {
	good := unhex(t, signature)
	for _, sig := range [][]byte{good[:64], append(slices.Clone(good), 0), append(slices.Clone(good[:64]), 27), nil} {
		if kek, err := agentkeys.DeriveKEK(t.Context(), brokenSigner{sig}, account(t), service); kek != nil || !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("%d bytes: %x, %v", len(sig), kek, err)
		}
	}
}

// FuzzOpen: no object makes Open panic, and only the sealed bytes open.
func FuzzOpen(f *testing.F) {
	for _, object := range []string{v1Object, v2Object, "", "01", strings.Repeat("02", 29)} {
		f.Add(unhex(f, object))
	}
	kek, a := unhex(f, vectorKEK), account(f)
	f.Fuzz(func(t *testing.T, object []byte) {
		value, format, err := agentkeys.Open(kek, a, service, object)
		if err != nil {
			if value != nil || !errors.Is(err, envelope.ErrFormat) && !errors.Is(err, envelope.ErrDecrypt) {
				t.Errorf("%q, %v", value, err)
			}
			return
		}
		if h := hex.EncodeToString(object); h != v1Object && h != v2Object {
			t.Errorf("%s opens as %v: %q", h, format, value)
		}
	})
}

// An object of agentKeys is opened with the signer of its wallet.
func ExampleOpen() {
	a, err := agentkeys.NewAccount("0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := signertest.New(&signertest.Options{Keys: map[string][]byte{a.Omni: bytes.Repeat([]byte{0x11}, 32)}})
	wallet, err := signer.New(signer.Config{URL: "http://127.0.0.1:8090", Omni: a.Omni, Transport: server})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer wallet.Close()
	object, _ := hex.DecodeString("01a0a1a2a3a4a5a6a7a8a9aaabb12618e3eb9a4b3422f71c54e6d9afabf8914690779f6e0b8ab69267407955f7")
	kek, err := agentkeys.DeriveKEK(context.Background(), wallet, a, "openrouter")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer clear(kek)
	value, format, err := agentkeys.Open(kek, a, "openrouter", object)
	fmt.Printf("%s, format %v, %v\n", value, format, err)
	// Output: sk-or-v1-EXAMPLE, format v1, <nil>
}
