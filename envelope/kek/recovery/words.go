package recovery

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/text"
)

const (
	wordCount = 24
	wordBits  = 11
)

// english is the English list of BIP-39: 2,048 words in alphabetical order, one in each line
// (https://github.com/bitcoin/bips/blob/master/bip-0039/english.txt).
//
//go:embed english.txt
var english string

// list is split when it is first needed. A package variable would be split at the start of every process:
// go-bip39, which is the reference in the tests, takes 0.7 ms and 0.7 MB there.
var list = sync.OnceValue(func() []string { return strings.Fields(english) })

// Words returns the 24 words of a root of 32 bytes, separated by blanks. A person who has them has the
// root. A root of another length is [envelope.ErrInvalid].
//
// Each 11 bits are the position of a word in the list. The bits are those of the root, followed by the
// first 8 of its SHA-256.
func Words(root kek.Root) (string, error) {
	secret, err := reveal(root)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(secret)
	bits := append(secret, sum[0])
	defer clear(secret) // bits may be a copy
	defer clear(bits)
	words := make([]string, wordCount)
	for i := range words {
		n := 0
		for b := i * wordBits; b < (i+1)*wordBits; b++ {
			n = n<<1 | int(bits[b/8]>>(7-b%8)&1)
		}
		words[i] = list()[n]
	}
	return strings.Join(words, " "), nil
}

// ParseWords returns the root of 24 words. The case of the letters, and the space and the numbers
// between the words, do not matter. If a word is unknown, missing or in another place, the error
// wraps [ErrMalformed].
func ParseWords(s string) (kek.Root, error) {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return r < 'a' || r > 'z' })
	bits := make([]byte, wordCount*wordBits/8)
	defer clear(bits)
	for i, w := range words {
		n, ok := slices.BinarySearch(list(), w)
		if !ok {
			return kek.Root{}, fmt.Errorf("%w: word %d is not in the list of BIP-39", ErrMalformed, i+1)
		}
		for j := range wordBits {
			if b := i*wordBits + j; b < len(bits)*8 {
				bits[b/8] |= byte(n>>(wordBits-1-j)&1) << (7 - b%8)
			}
		}
	}
	if len(words) != wordCount {
		return kek.Root{}, fmt.Errorf("%w: it has %s instead of %d", ErrMalformed, text.Count(len(words), "word", "words"), wordCount)
	}
	if sum := sha256.Sum256(bits[:rootSize]); bits[rootSize] != sum[0] {
		return kek.Root{}, fmt.Errorf("%w: the checksum is wrong: a word was replaced, or two words were exchanged", ErrMalformed)
	}
	return kek.NewRoot(bits[:rootSize])
}
