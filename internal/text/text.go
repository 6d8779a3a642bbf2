// Package text reads text files as the programs of other systems write them, and writes parts of messages.
package text

import (
	"bytes"
	"errors"
)

// ErrUTF16 means that text is in UTF-16 or UTF-32, as some programs on Windows write it.
var ErrUTF16 = errors.New("it is UTF-16 text: save it as UTF-8")

// Mark is the byte order mark in UTF-8, which some programs write before text.
const Mark = "\ufeff"

// UTF8 returns text without the byte order mark that it may start with. UTF-16 and UTF-32,
// with or without a byte order mark, are [ErrUTF16]. Nothing else is checked.
func UTF8(text []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}), bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		return nil, ErrUTF16
	case bytes.HasPrefix(text, []byte{0, 0, 0xfe, 0xff}), len(text) >= 2 && (text[0] == 0) != (text[1] == 0):
		return nil, ErrUTF16 // the first character is an ASCII one
	}
	return bytes.TrimPrefix(text, []byte(Mark)), nil
}
