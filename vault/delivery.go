package vault

import (
	"context"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"gocloud.dev/blob"
)

// A Delivery sends many entries of a spool. It lists the objects of the tenant instead of reading
// each object before it writes: see [Vault.Deliver]. It is safe for concurrent use.
type Delivery struct {
	v      *Vault
	names  int    // how many names are sent
	prefix string // of their keys
	end    string // the greatest of their keys

	mu     sync.Mutex
	listed time.Time       // when the list was requested
	keys   map[string]bool // objects that the list contains
	sent   map[string]bool // objects that this delivery may have stored
	last   string          // the list ends with this key; empty: it contains all keys with the prefix
	failed bool            // the objects cannot be listed
}

// NewDelivery returns a Delivery of entries with the given names. It sends no request.
func (v *Vault) NewDelivery(names []Name) *Delivery {
	d := &Delivery{v: v, sent: make(map[string]bool)}
	for _, name := range names {
		key, err := objectKey(v.tenant, v.collection, name)
		if err != nil {
			continue // Deliver reports it
		}
		if d.names++; d.names == 1 {
			d.prefix = key
		}
		for !strings.HasPrefix(key, d.prefix) {
			d.prefix = d.prefix[:len(d.prefix)-1]
		}
		d.end = max(d.end, key)
	}
	if _, size := utf8.DecodeLastRuneInString(d.prefix); !utf8.ValidString(d.prefix) {
		d.prefix = d.prefix[:len(d.prefix)-size]
	}
	return d
}

// Deliver works like [Vault.Deliver], with fewer requests. The caller must not send two entries of
// one name at the same time.
func (d *Delivery) Deliver(ctx context.Context, entry Spooled) (Info, error) {
	return d.v.deliver(ctx, entry, d)
}

const (
	// minListed is the number of names from which a list is worth its request.
	minListed = 4
	// listTime is how long a list is used. A create detects an object that was stored since then,
	// but some servers ignore the condition.
	listTime = 2 * time.Second
	// perPage is the number of names for which one page of the list may be requested.
	perPage = 100
)

// isAbsent reports whether an entry can be created at key without reading the object first. unsent
// reports whether no earlier attempt was applied. Otherwise the entry may be in the history.
func (d *Delivery) isAbsent(ctx context.Context, key string, e SpoolEntry, unsent bool) bool {
	if d == nil || d.names < minListed || e.Overwrite || e.IfTag != "" || e.IfRevision != 0 {
		return false
	}
	if !unsent && (e.Create || d.v.store.History != nil) || d.v.readsLegacy() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.v.revisions.now(); !d.failed && (d.keys == nil || now.Sub(d.listed) > listTime) {
		d.listed = now
		d.failed = d.list(ctx) != nil
	}
	absent := !d.failed && !d.keys[key] && !d.sent[key] && (d.last == "" || key < d.last)
	d.sent[key] = true
	return absent
}

// list lists the keys that may be those of the names, as far as that needs fewer requests than reading each object.
func (d *Delivery) list(ctx context.Context) error {
	d.keys, d.last = make(map[string]bool), ""
	pages := 1 + d.names/perPage
	for token := blob.FirstPageToken; len(token) > 0 && (d.last == "" || d.last < d.end); pages-- {
		if pages == 0 {
			return nil
		}
		page, next, err := d.v.backend.page(ctx, d.prefix, "", token)
		if err != nil {
			return err
		}
		for _, o := range page {
			d.keys[o.Key] = true
		}
		if token = next; len(next) > 0 && len(page) > 0 {
			d.last = page[len(page)-1].Key
		} else {
			d.last = ""
		}
	}
	return nil
}
