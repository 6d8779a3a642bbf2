package probe_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
)

// TestSwapQuotes: a store may compare tags without their quotes, as some S3 servers do. The text
// between the quotes identifies the object.
func TestSwapQuotes(t *testing.T) {
	s := subject(t, func(s *vault.Store) *vault.Store {
		return changed(s, func(c *vault.Store) {
			c.Swap = swapper(func(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error) {
				return s.Swap.Swap(ctx, key, strings.Trim(tag, `"`), fill)
			})
		})
	})
	if r := run(t, s, "swap"); r.Verdict != probe.Supported {
		t.Errorf("swap is %s: %v", r.Verdict, r.Err)
	}
}

// TestSwapBeginning: the probe detects a store that compares only the beginning of a tag.
func TestSwapBeginning(t *testing.T) {
	s := subject(t, func(s *vault.Store) *vault.Store {
		return changed(s, func(c *vault.Store) {
			c.Swap = swapper(func(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error) {
				current := tagOf(ctx, s, key)
				if len(tag) == len(current) && tag[:len(tag)-1] == current[:len(current)-1] {
					tag = current
				}
				return s.Swap.Swap(ctx, key, tag, fill)
			})
		})
	})
	if r := run(t, s, "swap"); r.Verdict != probe.NotSupported {
		t.Errorf("swap is %s: %v", r.Verdict, r.Err)
	}
}
