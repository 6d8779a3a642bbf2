package text

import (
	"bytes"
	"strings"
	"unicode"
)

// secretish is what may be a credential: a server may repeat in its page the request that it got.
var secretish = NewRegexp(`[A-Za-z0-9+/=_.~%:-]{32,}`)

// Excerpt returns at most 80 bytes of a page, of what is printed and is no credential.
func Excerpt(page []byte) string {
	const longest = 80
	if most := 4 << 10; len(page) > most {
		page = page[:most]
		page = page[:bytes.LastIndexAny(page, " \t\r\n")+1] // not the beginning of a word
	}
	text := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == unicode.ReplacementChar, !unicode.IsPrint(r):
			return -1
		}
		return r
	}, string(page))
	text = strings.Join(strings.Fields(secretish.ReplaceAllString(text, "…")), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "")
	}
	return text
}
