package vaulturl_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vaulturl"
)

// A program that opens a store and a key by URL, puts a value and gets it.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "vaulturl")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if _, _, err := kek.CreateFile(filepath.Join(dir, "root.key")); err != nil { // like vault init
		log.Fatal(err)
	}

	store, err := vaulturl.OpenStore(ctx, "mem://", nil) // or s3://…, cos://…, file:///…
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	key, err := vaulturl.OpenKeySource(ctx, "local://"+filepath.Join(dir, "root.key"), nil)
	if err != nil {
		log.Fatal(err)
	}
	v, err := vault.New(store, "0xabc", []envelope.KeySource{key}, nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := v.Put(ctx, "openrouter", strings.NewReader("sk-or-v1-demo"), nil); err != nil {
		log.Fatal(err)
	}
	r, err := v.Get(ctx, "openrouter", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	value, err := io.ReadAll(r)
	fmt.Println(string(value), err)
	// Output: sk-or-v1-demo <nil>
}
