package recovery_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os/exec"
	"strings"
	"testing"

	"github.com/tyler-smith/go-bip39"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/recovery"
)

func rootOf(t testing.TB, text string) kek.Root {
	t.Helper()
	root, err := kek.ParseRoot([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// The words are those of the test vectors of BIP-39 (trezor/python-mnemonic, vectors.json).
func TestWords(t *testing.T) {
	for _, tc := range []struct{ root, words string }{
		{strings.Repeat("00", 32), strings.Repeat("abandon ", 23) + "art"},
		{strings.Repeat("7f", 32), "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth title"},
		{strings.Repeat("ff", 32), strings.Repeat("zoo ", 23) + "vote"},
		{"68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c", "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis maple dilemma loan word shrug inflict delay length"},
	} {
		words, err := recovery.Words(rootOf(t, tc.root))
		if err != nil || words != tc.words {
			t.Errorf("%s: %q, %v", tc.root, words, err)
		}
		for _, text := range []string{tc.words, strings.ToUpper(tc.words), "1. " + strings.ReplaceAll(tc.words, " ", "\r\n2) ") + "\n"} {
			if root, err := recovery.ParseWords(text); err != nil || hex.EncodeToString(root.Reveal()) != tc.root {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
	if _, err := recovery.Words(kek.Root{}); !errors.Is(err, envelope.ErrInvalid) {
		t.Errorf("the zero root: %v", err)
	}
	long, err := kek.NewRoot(make([]byte, 64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := recovery.Words(long); !errors.Is(err, envelope.ErrInvalid) {
		t.Errorf("a root of 64 bytes: %v", err)
	}
}

// The words are those of go-bip39, for every word of the list.
func TestWordsReference(t *testing.T) {
	for i := range 600 {
		secret := make([]byte, 32)
		if i < 512 { // the first 23 words are those from 4*i on; the last contains the checksum
			bits := new(big.Int)
			for j := range 24 {
				bits.Or(bits.Lsh(bits, 11), big.NewInt(int64((4*i+j)%2048)))
			}
			bits.Rsh(bits, 8).FillBytes(secret)
		} else if _, err := rand.Read(secret); err != nil {
			t.Fatal(err)
		}
		want, err := bip39.NewMnemonic(secret)
		if err != nil {
			t.Fatal(err)
		}
		root, err := kek.NewRoot(secret)
		if err != nil {
			t.Fatal(err)
		}
		if words, err := recovery.Words(root); err != nil || words != want {
			t.Fatalf("%x: %q instead of %q, %v", secret, words, want, err)
		}
		if got, err := recovery.ParseWords(want); err != nil || !bytes.Equal(got.Reveal(), secret) {
			t.Fatalf("%x: %x, %v", secret, got.Reveal(), err)
		}
	}
}

// A mistake in the words is detected, and the error contains no word.
func TestMistakes(t *testing.T) {
	words, err := recovery.Words(rootOf(t, strings.Repeat("7f", 32)))
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Fields(words)
	exchanged := strings.Fields(words)
	exchanged[0], exchanged[1] = exchanged[1], exchanged[0]
	for what, text := range map[string]string{
		"empty": "", "missing word": strings.Join(list[1:], " "), "additional word": words + " zoo", "unknown word": strings.Replace(words, "sausage", "sausagge", 1),
		"replaced word": strings.Replace(words, "sausage", "zebra", 1), "exchanged words": strings.Join(exchanged, " "),
	} {
		_, err := recovery.ParseWords(text)
		if !errors.Is(err, recovery.ErrMalformed) || strings.Contains(err.Error(), "sausag") || strings.Contains(err.Error(), "legal") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Any threshold of the shares returns the root, and fewer do not.
func TestShares(t *testing.T) {
	for _, text := range []string{strings.Repeat("00", 32), strings.Repeat("ff", 32), "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c"} {
		root := rootOf(t, text)
		shares, err := recovery.Split(root, 3, 5)
		if err != nil || len(shares) != 5 {
			t.Fatal(len(shares), err)
		}
		for a := range 5 {
			for b := range a {
				if _, err := recovery.Combine([]recovery.Share{shares[a], shares[b], shares[a]}); !errors.Is(err, recovery.ErrTooFew) {
					t.Errorf("two shares: %v", err)
				}
				for c := range b {
					got, err := recovery.Combine([]recovery.Share{shares[a], parse(t, shares[b].Text()), shares[c]})
					if err != nil || !bytes.Equal(got.Reveal(), root.Reveal()) {
						t.Errorf("shares %d, %d, %d: %v", a+1, b+1, c+1, err)
					}
				}
			}
		}
		if got, err := recovery.Combine(shares); err != nil || !bytes.Equal(got.Reveal(), root.Reveal()) {
			t.Errorf("all shares: %v", err)
		}
	}
}

func parse(t testing.TB, text string) recovery.Share {
	t.Helper()
	s, err := recovery.ParseShare(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Shares that do not belong together, or were changed, never return a root.
func TestWrongShares(t *testing.T) {
	root := rootOf(t, strings.Repeat("12", 32))
	split := func(root kek.Root, threshold, n int) []recovery.Share {
		shares, err := recovery.Split(root, threshold, n)
		if err != nil {
			t.Fatal(err)
		}
		return shares
	}
	first, again, other := split(root, 2, 3), split(root, 2, 3), split(kek.RandomRoot(), 2, 3)
	for what, shares := range map[string][]recovery.Share{
		"two calls of Split": {first[0], again[1]}, "two roots": {first[0], other[1]}, "two thresholds": {first[0], split(root, 3, 3)[1]}, "one number twice": {first[0], again[0]},
	} {
		if _, err := recovery.Combine(shares); !errors.Is(err, recovery.ErrMixed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := recovery.Combine(nil); !errors.Is(err, recovery.ErrTooFew) {
		t.Errorf("no shares: %v", err)
	}
	if _, err := recovery.Combine(make([]recovery.Share, 2)); !errors.Is(err, envelope.ErrInvalid) {
		t.Errorf("empty shares: %v", err)
	}
	text := first[0].Text()
	for i := range text {
		changed := []byte(text)
		if changed[i]++; changed[i] == ' ' {
			continue
		}
		if s, err := recovery.ParseShare(string(changed)); err == nil && s.Text() != text {
			t.Errorf("a change of character %d was not detected", i+1)
		}
	}
	for _, n := range [][2]int{{1, 3}, {4, 3}, {2, 256}, {0, 0}, {-1, 5}} {
		if _, err := recovery.Split(root, n[0], n[1]); !errors.Is(err, envelope.ErrInvalid) {
			t.Errorf("%d of %d: %v", n[0], n[1], err)
		}
	}
}

// Package fmt does not print the value of a share.
func TestPrint(t *testing.T) {
	shares, err := recovery.Split(rootOf(t, strings.Repeat("12", 32)), 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	value := strings.Fields(shares[0].Text())[4]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if text := fmt.Sprintf(verb, shares); strings.Contains(text, value[:16]) || !strings.Contains(text, "share 1 of root") {
			t.Errorf("%s: %s", verb, text)
		}
	}
}

// Python's integers recover the root from the texts alone, by the formula of the format.
func TestPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	const script = `
import sys, hashlib
q = 39402006196394479212279040100143613805079739270465446667946905279627659399113263569398956308152294913554433653942643
points = []
for line in sys.stdin:
    word, threshold, number, fingerprint, value, check = line.split()
    assert hashlib.sha256(line.strip().rsplit(' ', 1)[0].encode()).hexdigest()[:8] == check
    points.append((int(number), int(value, 16)))
secret = 0
for x, y in points:
    weight = 1
    for other, _ in points:
        if other != x:
            weight = weight * other % q * pow(other - x, -1, q) % q
    secret = (secret + y * weight) % q
print('%064x' % secret)
`
	root := rootOf(t, "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c")
	shares, err := recovery.Split(root, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", script)
	cmd.Stdin = strings.NewReader(shares[2].Text() + "\n" + shares[0].Text() + "\n")
	out, err := cmd.CombinedOutput()
	if want := hex.EncodeToString(root.Reveal()) + "\n"; err != nil || string(out) != want {
		t.Errorf("%s, %v", out, err)
	}
}

func FuzzParseShare(f *testing.F) {
	shares, err := recovery.Split(rootOf(f, strings.Repeat("12", 32)), 2, 3)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range shares {
		f.Add(s.Text())
	}
	f.Add("objectvault-share-1 2 1 5702411fe3f18693 00 00000000")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := recovery.ParseShare(text)
		if err != nil {
			if !errors.Is(err, recovery.ErrMalformed) {
				t.Error(err)
			}
			return
		}
		if again, err := recovery.ParseShare(s.Text()); err != nil || again.Text() != s.Text() {
			t.Errorf("%q: %v", s.Text(), err)
		}
	})
}

func FuzzParseWords(f *testing.F) {
	f.Add(strings.Repeat("abandon ", 23) + "art")
	f.Add("1. zoo")
	f.Fuzz(func(t *testing.T, text string) {
		root, err := recovery.ParseWords(text)
		if err != nil {
			if !errors.Is(err, recovery.ErrMalformed) {
				t.Error(err)
			}
			return
		}
		words, err := recovery.Words(root)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := recovery.ParseWords(words); err != nil || !bytes.Equal(again.Reveal(), root.Reveal()) {
			t.Errorf("%v", err)
		}
	})
}
