package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/checkpoint"
)

// verifyState is how far a run of verify came.
type verifyState struct {
	Started  time.Time `json:"started"`
	After    string    `json:"after"` // the last key that was verified
	OK       int       `json:"ok"`
	Damaged  int       `json:"damaged"`
	Unopened int       `json:"unopened"`
	Failed   int       `json:"failed"`
	Bytes    int64     `json:"bytes"`
}

// saveInterval is how often the state of a run is saved.
const saveInterval = 2 * time.Second

// resume continues an interrupted run with the same arguments and the same keys.
func (r *verification) resume(ctx context.Context) error {
	r.Started, r.saved = r.now(), r.now()
	dir, err := r.places().Verified()
	if err != nil {
		return nil // without a home directory the state is not saved
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{
		r.v.storeID, string(r.v.Tenant()), string(r.v.Collection()), r.v.VaultID(), r.prefix,
		fmt.Sprint(r.v.keyed, r.c.Bool("headers"), r.c.Bool("versions"), r.sample, r.v.keyIDs(ctx)),
	}))
	r.path = filepath.Join(dir, hex.EncodeToString(sum[:8])+".json")
	var old verifyState
	if r.c.Bool("restart") || !checkpoint.Load(r.path, &old) || old.After == "" {
		return nil
	}
	r.verifyState, r.skipped = old, old.After
	r.note("continuing the run of %s after %s; --restart begins again", timestamp(old.Started), plural(old.OK+old.Damaged+old.Unopened+old.Failed, "object", "objects"))
	return nil
}

// keyIDs distinguishes the key sources of two runs: by their URLs without what may be secret, and by the
// fingerprints of the root keys, which another file or program may return at the same URL.
func (o *opened) keyIDs(ctx context.Context) (ids []string) {
	urls, _ := keyURLs(o.settings)
	for _, v := range urls {
		ids = append(ids, shownKey(v.Text))
	}
	for _, source := range o.sources {
		if l, err := localOf(ctx, source); err == nil && l != nil {
			ids = append(ids, l.Fingerprint())
		}
	}
	slices.Sort(ids)
	return ids
}

// save saves the state, so that the next run continues. A failure costs only time.
func (r *verification) save() {
	if r.saved = r.now(); r.path == "" || r.After == "" {
		return
	}
	if err := checkpoint.Save(r.path, r.verifyState); err != nil {
		r.note("an interrupted run could not be continued: %v", plain(err))
		r.path = ""
	}
}

// forget removes the state of a complete run.
func (r *verification) forget() {
	if r.path == "" {
		return
	}
	if err := checkpoint.Remove(r.path); err != nil {
		r.note("%s could not be removed: %v", r.path, plain(err))
	}
}
