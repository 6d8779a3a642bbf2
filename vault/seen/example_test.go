package seen_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/seen"
	"github.com/objectvault/objectvault/vault/spool"
)

// A new process detects that the store returns an older object than before.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "seen")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := memfs.Open(ctx, memfs.Config{})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	// start returns the vault of a new process.
	start := func() *vault.Vault {
		log, err := seen.Open(seen.Config{Dir: dir, Store: spool.StoreID("s3", "", "agents", ""), Warn: func(err error) { fmt.Println(err) }})
		if err != nil {
			panic(err)
		}
		v, err := vault.New(store, "0xabc", keys, &vault.Options{Seen: log})
		if err != nil {
			panic(err)
		}
		return v
	}
	start().Put(ctx, "openai", strings.NewReader("sk-leaked"), nil)
	old, _ := store.Bucket.ReadAll(ctx, "bots/0xabc/credentials/openai.enc")
	start().Put(ctx, "openai", strings.NewReader("sk-new"), nil)
	store.Bucket.WriteAll(ctx, "bots/0xabc/credentials/openai.enc", old, nil) // the store goes back

	_, _, err = start().ReadAll(ctx, "openai", nil)
	var detected *vault.SeenError
	if errors.As(err, &detected) {
		fmt.Println(errors.Is(err, vault.ErrRollback), detected.Returned.Revision < detected.Last.Revision)
	}
	// When the operator knows why the object is older:
	if _, err := start().AcceptOlder(ctx, "openai"); err != nil {
		panic(err)
	}
	value, _, err := start().ReadAll(ctx, "openai", nil)
	fmt.Printf("%s %v\n", value, err)
	// Output:
	// true true
	// sk-leaked <nil>
}
