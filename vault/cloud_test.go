package vault_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// A cloudOf has one setting, which it reads together with all others. A reader reads it alone.
type cloudOf struct{ s vault.Setting }

func (c cloudOf) ServerTime(context.Context) (time.Time, error) {
	return time.Time{}, errors.ErrUnsupported
}
func (c cloudOf) Caller(context.Context) (vault.Caller, error) { return vault.Caller{}, nil }
func (c cloudOf) Settings(context.Context) []vault.Setting     { return []vault.Setting{{Name: "acl"}, c.s} }

type reader struct{ cloudOf }

func (r reader) Settings(context.Context) []vault.Setting { panic("all settings are read") }
func (r reader) Setting(_ context.Context, name string) vault.Setting {
	if name != r.s.Name {
		return vault.Setting{Name: name}
	}
	return r.s
}

// TestSetting: one setting is read, from every kind of store. An error is returned.
func TestSetting(t *testing.T) {
	some := cloudOf{vault.Setting{Name: "lifecycle", Document: "<rules>"}}
	denied := cloudOf{vault.Setting{Name: "lifecycle", Err: vault.ErrPermission}}
	for _, tc := range []struct {
		cloud vault.Cloud
		name  string
		want  string
		err   error
	}{
		{nil, "lifecycle", "", nil}, {some, "lifecycle", "<rules>", nil}, {some, "policy", "", nil}, {denied, "lifecycle", "", vault.ErrPermission},
		{reader{some}, "lifecycle", "<rules>", nil}, {reader{some}, "policy", "", nil}, {reader{denied}, "lifecycle", "", vault.ErrPermission},
	} {
		s := *newStore(t)
		s.Cloud = tc.cloud
		deferred := vault.Deferred("s", func(context.Context) (*vault.Store, error) { return &s, nil })
		got, err := newVault(t, deferred, nil).Setting(t.Context(), tc.name)
		if got.Name != tc.name || got.Document != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%T, %s: %+v, %v", tc.cloud, tc.name, got, err)
		}
	}
}
