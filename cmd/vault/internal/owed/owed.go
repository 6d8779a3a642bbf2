// Package owed remembers objects that were stored although a key source could not be used. Each has a
// small file, without secrets, until vault sync has added the missing key.
package owed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/durable"
)

// A Key is an object that misses keys: the content of a file. It contains no secret.
type Key struct {
	Version    int       `json:"version"` // 1
	VaultID    string    `json:"vault_id"`
	Tenant     string    `json:"tenant"`
	Collection string    `json:"collection"`
	Name       string    `json:"name"`
	Missing    []string  `json:"missing"` // names of the key sources
	Since      time.Time `json:"since"`

	path string
	text []byte
}

const version = 1

// Ref returns the full name of the object.
func (k Key) Ref() envelope.Ref {
	return envelope.Ref{Vault: k.VaultID, Tenant: k.Tenant, Collection: k.Collection, Name: k.Name}
}

// Add writes the file of k in dir, which it creates if necessary. It replaces an older file of the same
// object. The file is durable when Add returns nil.
func Add(dir string, k Key) error {
	if err := durable.MakeDir(dir); err != nil {
		return err
	}
	k.Version = version
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	context := k.Ref().Context()
	sum := sha256.Sum256(context[:])
	return durable.Replace(filepath.Join(dir, hex.EncodeToString(sum[:8])+".json"), append(text, '\n'))
}

// List returns the objects in dir, oldest first. It ignores files that are not from Add.
func List(dir string) (list []Key, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, path := range files {
		text, err := os.ReadFile(path)
		k := Key{path: path, text: text}
		if err != nil || json.Unmarshal(text, &k) != nil || k.Version != version {
			continue
		}
		list = append(list, k)
	}
	slices.SortStableFunc(list, func(a, b Key) int { return a.Since.Compare(b.Since) })
	return list, err
}

// Forget removes the file of a Key from List, unless Add has replaced it since it was read.
func (k Key) Forget() {
	taken := k.path + ".done"
	if os.Rename(k.path, taken) != nil {
		return
	}
	if text, err := os.ReadFile(taken); err == nil && !bytes.Equal(text, k.text) {
		os.Rename(taken, k.path)
		return
	}
	os.Remove(taken)
}
