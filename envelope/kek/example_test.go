package kek_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/objectvault/objectvault/envelope/kek"
)

// A second CreateFile returns the key of the first one.
func ExampleCreateFile() {
	dir, err := os.MkdirTemp("", "objectvault")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "objectvault", "root.key")

	first, created, err := kek.CreateFile(path)
	fmt.Println(created, err)
	second, created, err := kek.CreateFile(path)
	fmt.Println(created, err)
	fmt.Println(first.Fingerprint() == second.Fingerprint())
	// Output:
	// true <nil>
	// false <nil>
	// true
}

func ExampleOpenFile() {
	dir, err := os.MkdirTemp("", "objectvault")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "root.key")
	os.WriteFile(path, []byte("half a k"), fs.FileMode(0o600))

	_, err = kek.OpenFile(path)
	fmt.Println(strings.TrimPrefix(err.Error(), path+": "))
	// Output: unusable root key file: it is cut short, 8 of 65 bytes; restore it from a copy
}

// The file of a root can be imported on a second machine.
func ExampleImportFile() {
	dir, err := os.MkdirTemp("", "objectvault")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	text := "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n" // keep your root secret
	keys, created, err := kek.ImportFile(filepath.Join(dir, "root.key"), strings.NewReader(text))
	fmt.Println(keys.Fingerprint(), created, err)
	// Output: 5702411fe3f18693 true <nil>
}
