package federation

import (
	"fmt"
	"io"
)

// A Secret cannot be printed by accident; Reveal is the only way to its value.
type Secret struct{ v *string } // a pointer: fmt calls no methods of unexported fields, it prints what they hold

// NewSecret returns s as a Secret.
func NewSecret(s string) Secret { return Secret{&s} }

// Reveal returns the value, for what sends or stores it. The zero Secret is empty.
func (s Secret) Reveal() string {
	if s.v == nil {
		return ""
	}
	return *s.v
}

// Format prints [redacted], whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// MarshalText is redacted too, so that JSON and the like are.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }
