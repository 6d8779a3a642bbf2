package command

import (
	"errors"
	"strings"
)

// Words splits s into words like a POSIX shell splits a simple command (XCU 2.2): blanks
// separate words, '…' keeps every character, "…" every character but \ before one of "\$`, and
// outside of quotes \ keeps the next character. There is no expansion and no redirection.
func Words(s string) ([]string, error) {
	if strings.IndexByte(s, 0) >= 0 { // an argument cannot contain it
		return nil, errors.New("the command contains a zero byte")
	}
	var list []string
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == '"' && c == '\\' && i+1 < len(s) && strings.IndexByte("\"\\$`", s[i+1]) >= 0:
			i++
			word.WriteByte(s[i])
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			inWord, quote = true, c
		case c == '\\':
			i++
			if i == len(s) {
				return nil, errors.New("the command ends with a \\")
			}
			inWord = true
			word.WriteByte(s[i])
		case c == ' ' || c == '\t' || c == '\n':
			if inWord {
				list = append(list, word.String())
				word.Reset()
				inWord = false
			}
		default:
			inWord = true
			word.WriteByte(c)
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		list = append(list, word.String())
	}
	return list, nil
}
