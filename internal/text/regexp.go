package text

import (
	"regexp"
	"sync"
)

// A Regexp is a [regexp.Regexp] that is compiled at its first use. Compiling those of all packages when the
// process starts takes longer than most commands need for everything else.
type Regexp struct {
	text string
	once sync.Once
	rx   *regexp.Regexp
}

// NewRegexp returns the regular expression text. The first use panics if text is not valid.
func NewRegexp(text string) *Regexp { return &Regexp{text: text} }

// Get returns the compiled expression.
func (r *Regexp) Get() *regexp.Regexp {
	r.once.Do(func() { r.rx = regexp.MustCompile(r.text) })
	return r.rx
}

// MatchString reports whether s contains a match.
func (r *Regexp) MatchString(s string) bool { return r.Get().MatchString(s) }

// Match reports whether b contains a match.
func (r *Regexp) Match(b []byte) bool { return r.Get().Match(b) }

// FindStringSubmatch returns the first match and its groups, or nil.
func (r *Regexp) FindStringSubmatch(s string) []string { return r.Get().FindStringSubmatch(s) }

// ReplaceAllString replaces every match in s.
func (r *Regexp) ReplaceAllString(s, by string) string { return r.Get().ReplaceAllString(s, by) }
