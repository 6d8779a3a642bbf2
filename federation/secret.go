package federation

import (
	"fmt"
	"io"
)

// A Secret cannot be printed by accident; Reveal is the only way to its value.
type Secret struct {
	// A pointer, because fmt ignores the methods of unexported fields and prints their contents.
	v *string
}

// NewSecret returns s as a Secret.
func NewSecret(s string) Secret { return Secret{&s} }

// Reveal returns the value, for code that sends or stores it. The zero Secret is empty.
func (s Secret) Reveal() string {
	if s.v == nil {
		return ""
	}
	return *s.v
}

// Format prints [redacted] for every verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// MarshalText returns [redacted], so that JSON and other encodings do not contain the value.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }
