package doctor

import (
	"context"
	"io"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
	"gocloud.dev/blob"
)

// The doctor sends its requests directly to the store, because a vault never requests another
// tenant's keys.

// prefix returns the prefix of the objects of a tenant's collection, as package vault uses it.
func prefix(t vault.Tenant, c vault.Collection) string { return tenantPrefix(t) + string(c) + "/" }

func tenantPrefix(t vault.Tenant) string { return tenantsPrefix + string(t) + "/" }

// tenantsPrefix is the prefix of the objects of all tenants.
const tenantsPrefix = "bots/"

func put(ctx context.Context, st *vault.Store, key, value string) error {
	if st.Put != nil {
		_, err := st.Put.Put(ctx, key, func(w io.Writer) error { _, err := io.WriteString(w, value); return err })
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := st.Bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, value); err != nil {
		cancel() // a plain Close would publish the part that was written
		w.Close()
		return err
	}
	return w.Close()
}

// get reads at most limit+1 bytes of an object, so that it never reads a large object of another
// writer.
func get(ctx context.Context, st *vault.Store, key string, limit int64) (string, error) {
	r, err := st.Bucket.NewRangeReader(ctx, key, 0, limit+1, nil)
	if err != nil {
		return "", err
	}
	defer r.Close()
	value, err := io.ReadAll(io.LimitReader(r, limit+1))
	return string(value), err
}

// readByte returns an error if the object cannot be read. It reads one byte and discards it.
func readByte(ctx context.Context, st *vault.Store, key string) error {
	_, err := get(ctx, st, key, 0)
	return err
}

// list returns the first page of keys below prefix.
func list(ctx context.Context, st *vault.Store, prefix string) (keys []string, err error) {
	return listAs(ctx, st, prefix, "")
}

// listAs is list with a delimiter.
func listAs(ctx context.Context, st *vault.Store, prefix, delimiter string) (keys []string, err error) {
	page, _, err := st.Bucket.ListPage(ctx, blob.FirstPageToken, 1000, &blob.ListOptions{Prefix: prefix, Delimiter: delimiter})
	for _, o := range page {
		keys = append(keys, o.Key)
	}
	return keys, err
}

// versions requests the history of a key.
func versions(ctx context.Context, st *vault.Store, key string) error {
	for _, err := range st.History.Versions(ctx, key) {
		return err
	}
	return nil
}

// newest returns the id of the newest version of a key.
func newest(ctx context.Context, st *vault.Store, key string) (id string, err error) {
	for v, err := range st.History.Versions(ctx, key) {
		return v.ID, err
	}
	return "", vault.ErrNotFound
}

// readVersionByte returns an error if the version cannot be read. It reads one byte and discards it.
func readVersionByte(ctx context.Context, st *vault.Store, key, id string) error {
	r, _, err := st.History.OpenVersion(ctx, key, id, 0, 1)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// purge permanently deletes one version.
func purge(ctx context.Context, st *vault.Store, key, id string) error {
	l := vault.Leftover{Key: key, ID: id}
	failed, err := st.Purge.Purge(ctx, []vault.Leftover{l})
	if err == nil {
		err = failed[l]
	}
	return err
}

// remove deletes one key. Without a Remover it calls Bucket.Delete, which on S3 looks the key up
// before it deletes it, so the look-up may be the denied request.
func remove(ctx context.Context, st *vault.Store, key string) error {
	if st.Remover == nil {
		return st.Bucket.Delete(ctx, key)
	}
	failed, err := st.Remover.Remove(ctx, []string{key})
	if err == nil {
		err = failed[key]
	}
	return err
}

// absent reports whether no object has the key. If the read is denied, which may also mean that the
// object is missing, absent lists exactly this key.
func absent(ctx context.Context, st *vault.Store, key string) (bool, error) {
	err := readByte(ctx, st, key)
	switch probe.Kind(st, err) {
	case vault.ErrNotFound:
		return true, nil
	case vault.ErrPermission:
		keys, lerr := list(ctx, st, key)
		if lerr != nil {
			return false, err
		}
		return len(keys) == 0 || keys[0] != key, nil
	}
	return false, err
}
