package vault_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

var keys = []envelope.KeySource{kek.InsecureFixed()}

func newStore(t *testing.T) *vault.Store {
	t.Helper()
	s, err := memfs.Open(t.Context(), memfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newVault(t *testing.T, s *vault.Store, o *vault.Options) *vault.Vault {
	t.Helper()
	v, err := vault.New(s, "0xabc", keys, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func put(t *testing.T, v *vault.Vault, name vault.Name, value string, o *vault.PutOptions) vault.Info {
	t.Helper()
	info, err := v.Put(t.Context(), name, strings.NewReader(value), o)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func get(t *testing.T, v *vault.Vault, name vault.Name, o *vault.GetOptions) string {
	t.Helper()
	r, err := v.Get(t.Context(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	value, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

func names(t *testing.T, v *vault.Vault, prefix string) []string {
	t.Helper()
	var list []string
	for e, err := range v.List(t.Context(), &vault.ListOptions{Prefix: prefix}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Foreign {
			list = append(list, "foreign "+e.Key)
		} else {
			list = append(list, string(e.Name))
		}
	}
	return list
}

// A recorder records every request.
type recorder struct {
	mu    sync.Mutex
	calls []string
}

func (r *recorder) hooks() intercept.Hooks {
	return intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		line := c.Op
		if c.Op == "get" || c.Op == "open-version" {
			line += fmt.Sprintf(" %d+%d", c.Offset, c.Length)
		}
		r.calls = append(r.calls, line)
		return do()
	}}
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}
