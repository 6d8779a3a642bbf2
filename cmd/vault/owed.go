package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/durable"
	"github.com/objectvault/objectvault/vault"
)

// With keys_required = "one", put stores a value although a key source cannot be used now. This file
// remembers, in one small file for each object, that the object must be rewrapped for the missing
// source. vault sync does that.

// An owedKey is the content of such a file. It contains no secret.
type owedKey struct {
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

// forget removes the file, unless a put has replaced it since it was read.
func (k owedKey) forget() {
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

func (k owedKey) ref() envelope.Ref {
	return envelope.Ref{Vault: k.VaultID, Tenant: k.Tenant, Collection: k.Collection, Name: k.Name}
}

// owedDir returns the directory of the objects of a store that miss a key.
func (s *session) owedDir(storeID string) (string, error) {
	dir, err := s.places().Owed()
	return filepath.Join(dir, storeID), err
}

// owe remembers that an object of v misses keys, and reports it.
func (s *session) owe(v *opened, info vault.Info) { s.oweFor(v, v.VaultID(), info) }

// oweFor is owe for an object with another vault id.
func (s *session) oweFor(v *opened, vaultID string, info vault.Info) {
	if len(info.MissingKeys) == 0 {
		return
	}
	k := owedKey{1, vaultID, string(info.Tenant), string(info.Collection), string(info.Name), info.MissingKeys, s.now().UTC(), "", nil}
	missing := strings.Join(info.MissingKeys, " and ")
	dir, err := s.owedDir(v.storeID)
	if err == nil {
		err = durable.MakeDir(dir)
	}
	if err == nil {
		context := k.ref().Context()
		sum := sha256.Sum256(context[:])
		var text []byte
		if text, err = json.Marshal(k); err == nil {
			err = durable.Replace(filepath.Join(dir, hex.EncodeToString(sum[:8])+".json"), append(text, '\n'))
		}
	}
	if err != nil {
		s.note("%s cannot be opened with %s yet, and vault cannot record the missing key (%v): run %s keys rewrap %s later", info.Name, missing, err, s.prog, shellWord(string(info.Name)))
		return
	}
	s.note("%s cannot be opened with %s yet: %s sync adds the key", info.Name, missing, s.prog)
}

// owed returns the objects of the store that miss a key, oldest first. It ignores files that are not
// its own.
func (s *session) owed(storeID string) (list []owedKey, err error) {
	dir, err := s.owedDir(storeID)
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, path := range files {
		text, err := os.ReadFile(path)
		k := owedKey{path: path, text: text}
		if err != nil || json.Unmarshal(text, &k) != nil || k.Version != 1 {
			continue
		}
		list = append(list, k)
	}
	slices.SortStableFunc(list, func(a, b owedKey) int { return a.Since.Compare(b.Since) })
	return list, err
}

// addOwed rewraps the objects of the tenant that miss a key. It returns the number of objects that
// still miss one, and the first reason.
func (s *session) addOwed(ctx context.Context, o *opened) (added, left int, cause error) {
	list, err := s.owed(o.storeID)
	if err != nil {
		return 0, 0, nil // there is no place where anything could be remembered
	}
	for _, k := range list {
		if k.Tenant != string(o.Tenant()) {
			continue
		}
		err := s.addKeys(ctx, o, k)
		if err == nil {
			added++
			k.forget()
			continue
		}
		if left++; cause == nil {
			cause = err
		}
	}
	return added, left, cause
}

func (s *session) addKeys(ctx context.Context, o *opened, k owedKey) error {
	v, err := o.with(k.ref())
	if err != nil {
		return err
	}
	_, err = v.Rewrap(ctx, vault.Name(k.Name), nil)
	if errors.Is(err, vault.ErrNotFound) && !s.waits(ctx, o, k) {
		return nil // the object was removed
	}
	if errors.Is(err, vault.ErrUnsupported) { // sync may run beside other writers, so it does not write without the condition
		err = hint(err, "while no other program writes %s, run {prog} keys rewrap --no-other-writers %s", k.Name, shellWord(k.Name))
	}
	return err
}

// waits reports whether the spool has a value of the object.
func (s *session) waits(ctx context.Context, o *opened, k owedKey) bool {
	if o.spool == nil {
		return false
	}
	entries, err := o.spool.Entries(ctx, k.ref())
	return err != nil || len(entries) > 0
}

// reportOwed reports what addOwed did.
func (s *session) reportOwed(added, left int, cause error) error {
	if added > 0 {
		s.note("added the missing keys of %s", plural(added, "object", "objects"))
	}
	if left > 0 {
		return fmt.Errorf("%s without all keys: %w", plural(left, "object is", "objects are"), cause)
	}
	return nil
}
