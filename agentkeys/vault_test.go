package agentkeys_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

const (
	walletPrefix = "bots/" + wallet + "/credentials/"
	omniPrefix   = "bots/" + omni + "/credentials/"
)

// A bucket is a store that agentKeys has used.
type bucket struct {
	*vault.Store
	raw  *blob.Bucket     // the same objects, without the fields below
	fail map[string]error // the error of every request for a key or prefix that begins with this text
	keys []string         // of the gets

	lost   bool                 // every response is lost, also after a write
	before func(intercept.Call) // called before each request; may be nil
}

func newBucket(t *testing.T, objects map[string][]byte) *bucket {
	t.Helper()
	s, err := memfs.Open(t.Context(), memfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for key, object := range objects {
		if err := s.Bucket.WriteAll(t.Context(), key, object, &blob.WriterOptions{ContentType: "application/octet-stream"}); err != nil {
			t.Fatal(err)
		}
	}
	b := &bucket{raw: s.Bucket, fail: make(map[string]error)}
	b.Store = intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if b.before != nil {
			b.before(c)
		}
		if c.Op == "get" {
			b.keys = append(b.keys, c.Key)
		}
		for prefix, err := range b.fail {
			op, prefix, _ := strings.Cut(prefix, " ")
			if strings.HasPrefix(c.Key, prefix) && (op == "any" || op == c.Op) {
				return err
			}
		}
		if err := do(); err != nil || !b.lost {
			return err
		}
		return vault.ErrUnavailable
	}})
	return b
}

// left returns the keys of all objects.
func (b *bucket) left(t *testing.T) (keys []string) {
	t.Helper()
	list := b.Bucket.List(nil)
	for {
		o, err := list.Next(t.Context())
		if err == io.EOF {
			return keys
		}
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
}

// open returns a vault of the tenant that also opens the objects of agentKeys.
func (b *bucket) open(t *testing.T, tenant string, o *vault.Options) *vault.Vault {
	t.Helper()
	reader, err := agentkeys.NewReader(newSigner(t), tenant, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o == nil {
		o = &vault.Options{}
	}
	o.Legacy = reader
	v, err := vault.New(b.Store, vault.Tenant(tenant), []envelope.KeySource{kek.InsecureFixed()}, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func get(t *testing.T, v *vault.Vault, name vault.Name, o *vault.GetOptions) (string, vault.Info, error) {
	t.Helper()
	r, err := v.Get(t.Context(), name, o)
	if err != nil {
		return "", vault.Info{}, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), r.Info(), err
}

// sealedBy returns a value as an object of agentKeys.
func sealedBy(t *testing.T, f agentkeys.Format, service, value string) []byte {
	t.Helper()
	a := account(t)
	kek, err := agentkeys.DeriveKEK(t.Context(), newSigner(t), a, service)
	if err != nil {
		t.Fatal(err)
	}
	if f == agentkeys.Worker {
		return worker(t, kek, omni, omni, service, 3, value)
	}
	object, err := agentkeys.Seal(kek, a, f, service, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return object
}
