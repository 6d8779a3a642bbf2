package vaulturl_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/seen"
	"github.com/objectvault/objectvault/vault/spool"
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

// An agent that saves a value on this machine while the store is away, and sends it later.
func ExampleOpenSpool() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "vaulturl")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	const store = "cos://vault-1250000000?region=ap-guangzhou&endpoint=http://127.0.0.1:1" // nothing listens there
	environment := &vaulturl.Options{Deferred: true}
	s, err := vaulturl.OpenStore(ctx, store, environment)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	sp, err := vaulturl.OpenSpool(store, spool.Config{Dir: dir}, environment)
	if err != nil {
		log.Fatal(err)
	}
	v, err := vault.New(s, "0xabc", []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{Spool: sp})
	if err != nil {
		log.Fatal(err)
	}

	info, err := v.Put(ctx, "openrouter", strings.NewReader("sk-or-v1-demo"), nil)
	fmt.Println(info.Name, info.Pending, errors.Is(err, vault.ErrSpooled))

	// Another process reads the value, and sends it when the store is back.
	value, info, err := v.ReadAll(ctx, "openrouter", nil)
	fmt.Println(string(value), info.Pending, err)
	sum, err := sp.Sync(ctx, v, nil)
	fmt.Println(sum.Sent, sum.Pending, err)
	// Output:
	// openrouter true true
	// sk-or-v1-demo true <nil>
	// 0 1 <nil>
}

// A process remembers what it has seen of a store for later processes.
func ExampleOpenSeen() {
	const store = "cos://vault-1250000000?region=ap-guangzhou"
	log, err := vaulturl.OpenSeen(store, seen.Config{Dir: "/var/lib/agent/seen"}, nil)
	if err != nil {
		panic(err)
	}
	options := &vault.Options{Seen: log} // for vault.New
	fmt.Println(options.Seen != nil, log.Dir())
	// Output: true /var/lib/agent/seen/4331d503903ccf71
}

// A program that runs as a service gets its root key from a supervisor.
func ExampleOpenKeySource() {
	supervisor := func(name string) string { return strings.Repeat("12", 32) } // os.Getenv in a real program
	keys, err := vaulturl.OpenKeySource(context.Background(), "env:OBJECTVAULT_ROOT_KEY", &vaulturl.Options{Getenv: supervisor})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(keys.Name())
	// Output: env OBJECTVAULT_ROOT_KEY
}

// A passphrase is enrolled once on a machine. Then it seals.
func ExampleEnrolKeySource() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	o := &vaulturl.Options{
		Records: filepath.Join(dir, "keys"),
		Prompt:  func(context.Context, string) (string, error) { return "stone lantern copper orbit meadow quill", nil },
	}
	e, err := vaulturl.EnrolKeySource(context.Background(), "passphrase:", o, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := vaulturl.OpenKeySource(context.Background(), "passphrase:", o)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Created, e.Source, keys.Name())
	// Output: true passphrase: passphrase
}
