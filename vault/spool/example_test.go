package spool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// An agent saves a key while the store is away, and sends it when the store is back.
func Example() {
	ctx, away := context.Background(), true
	store := vault.Deferred("mem://", func(ctx context.Context) (*vault.Store, error) {
		if away {
			return nil, fmt.Errorf("%w: no route to host", vault.ErrUnavailable)
		}
		return memfs.Open(ctx, memfs.Config{})
	})
	defer store.Close()
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	sp, err := spool.Open(spool.Config{Dir: dir, Store: spool.StoreID("mem", "", "", "")})
	if err != nil {
		panic(err)
	}
	v, err := vault.New(store, "0xabc", []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{Spool: sp})
	if err != nil {
		panic(err)
	}

	info, err := v.Put(ctx, "openrouter", strings.NewReader("sk-or-v1-demo"), nil)
	fmt.Println(info.Name, errors.Is(err, vault.ErrSpooled))

	away = false
	sum, err := sp.Sync(ctx, v, nil)
	fmt.Println(sum.Sent, sum.Pending, err)
	value, info, err := v.ReadAll(ctx, "openrouter", nil)
	fmt.Println(string(value), info.Pending, err)
	// Output:
	// openrouter true
	// 1 0 <nil>
	// sk-or-v1-demo false <nil>
}
