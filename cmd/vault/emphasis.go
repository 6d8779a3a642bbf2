package main

// An emphasis is how a text stands out on a terminal: the parameters of the escape sequence that turns
// it on. Only red and bold are used, because both can be read on a dark and on a light background.
type emphasis string

const (
	noEmphasis emphasis = ""
	notable    emphasis = "1"    // bold
	alarming   emphasis = "1;31" // bold and red
)

// emphasizes reports whether the output may have emphasis. A terminal gets it unless NO_COLOR is set, or
// TERM is dumb; anything else gets it only if CLICOLOR_FORCE is set. JSON has none.
func (u *ui) emphasizes() bool {
	switch {
	case u.json, u.getenv("NO_COLOR") != "":
		return false
	case u.outTTY:
		return u.outEscapes && u.getenv("TERM") != "dumb"
	}
	force := u.getenv("CLICOLOR_FORCE")
	return force != "" && force != "0"
}

// emphasized returns text with emphasis. The text has no control characters of its own any more.
func (u *ui) emphasized(e emphasis, text string) string {
	if e == noEmphasis || text == "" || !u.emphasizes() {
		return text
	}
	return "\x1b[" + string(e) + "m" + text + "\x1b[0m"
}
