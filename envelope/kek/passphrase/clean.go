package passphrase

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const byteOrderMark = "\ufeff"

// Clean returns a copy of a passphrase in the form from which keys are derived: UTF-8 in
// normalization form C. If fromFile is true, the text comes from a file, a command or a pipe,
// and Clean removes one final LF or CRLF. Text that is empty, is not UTF-8, or starts with a
// byte order mark is an error that wraps [envelope.ErrInvalid]; it does not contain the text. The
// caller wipes text and result.
func Clean(text []byte, fromFile bool) ([]byte, error) {
	if fromFile {
		if line, ok := bytes.CutSuffix(text, []byte("\n")); ok {
			text = bytes.TrimSuffix(line, []byte("\r"))
		}
	}
	switch {
	case len(text) == 0:
		return nil, invalid("the passphrase is empty")
	case bytes.HasPrefix(text, []byte(byteOrderMark)):
		return nil, invalid("the passphrase starts with a byte order mark: save it as UTF-8 without one")
	case !utf8.Valid(text):
		return nil, invalid("the passphrase is not UTF-8")
	}
	// The result is at most 3 times as long, so no copy stays behind when a buffer grows.
	return norm.NFC.Append(make([]byte, 0, 3*len(text)), text...), nil
}
