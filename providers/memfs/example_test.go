package memfs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// A store in memory, and a second client of it.
func ExampleOpen() {
	ctx := context.Background()
	var shared memfs.Memory
	one, err := memfs.Open(ctx, memfs.Config{Memory: &shared})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer one.Close()
	two, err := memfs.Open(ctx, memfs.Config{Memory: &shared})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer two.Close()

	write := func(w io.Writer) error {
		_, err := io.WriteString(w, "sealed")
		return err
	}
	_, err = one.Create.Create(ctx, "bots/default/credentials/openai.enc", write)
	fmt.Println(one.Name, err)
	_, err = two.Create.Create(ctx, "bots/default/credentials/openai.enc", write)
	fmt.Println(two.Name, errors.Is(err, vault.ErrExist))
	// Output:
	// mem:// <nil>
	// mem:// true
}

// A store in a directory. The objects are files in it.
func ExampleOpen_file() {
	tmp, err := os.MkdirTemp("", "memfs")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(tmp)

	ctx := context.Background()
	dir := filepath.Join(tmp, "store")
	store, err := memfs.Open(ctx, memfs.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	for _, value := range []string{"first", "second"} {
		if err := store.Bucket.WriteAll(ctx, "bots/default/credentials/openai.enc", []byte(value), nil); err != nil {
			fmt.Println(err)
			return
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "bots", "default", "credentials", "openai.enc"))
	fmt.Printf("%s %v\n", b, err)
	for v, err := range store.History.Versions(ctx, "bots/default/credentials/openai.enc") {
		fmt.Println(v.Size, v.Current, err)
	}
	// Output:
	// second <nil>
	// 6 true <nil>
	// 5 false <nil>
}
