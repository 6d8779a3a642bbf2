package kek

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"unicode"

	"github.com/objectvault/objectvault/internal/text"
)

// ErrNotRoot means that the imported text is not a root. The error also wraps [ErrKeyFile].
var ErrNotRoot = errors.New("not a root key")

// A notRoot is an [ErrNotRoot] with a reason. It never contains the imported text.
type notRoot string

func (e notRoot) Error() string   { return ErrKeyFile.Error() + ": " + string(e) }
func (e notRoot) Unwrap() []error { return []error{ErrKeyFile, ErrNotRoot} }

// maxImport is longer than any text with a single root.
const maxImport = 4 << 10

// importRoot reads a root, in the forms that [ParseRoot] accepts.
func importRoot(r io.Reader) (Root, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxImport+1))
	defer clear(content)
	if err != nil {
		return Root{}, err
	}
	return ParseRoot(content)
}

// ParseRoot reads a root of 32 bytes in the forms in which people and other systems may have copied
// it: 64 hexadecimal digits, in upper or lower case. Blanks, line breaks and byte order marks are
// ignored. For other text the error wraps [ErrNotRoot]; it never repeats the text. The caller clears
// content.
func ParseRoot(content []byte) (Root, error) {
	plain, err := text.UTF8(content)
	switch {
	case err != nil:
		return Root{}, notRoot(err.Error())
	case len(content) > maxImport:
		return Root{}, notRoot("it is longer than 4 KiB, but a root key has 64 digits")
	}
	digits := make([]byte, 0, len(plain))
	defer func() { clear(digits) }()
	line, column := 1, 0
	for _, c := range string(plain) {
		column++
		switch {
		case '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F':
			digits = append(digits, byte(c))
		case c == '\n':
			line, column = line+1, 0
		case !unicode.IsSpace(c) && !unicode.Is(unicode.Cf, c):
			return Root{}, notRoot(fmt.Sprintf("character %d of line %d is not a digit 0-9 a-f", column, line))
		}
	}
	switch n := len(digits); {
	case n == 0:
		return Root{}, notRoot("it is empty")
	case n == 16:
		return Root{}, notRoot("it has 16 digits instead of 64; this may be a fingerprint")
	case n != 2*rootSize:
		return Root{}, notRoot("it has " + text.Count(n, "digit", "digits") + " instead of 64")
	}
	b := make([]byte, rootSize)
	defer clear(b)
	if _, err := hex.Decode(b, digits); err != nil {
		panic("kek: " + err.Error()) // it contains digits only
	}
	return rootOf(b), nil
}
