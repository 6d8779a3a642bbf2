package agentkeys_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/seen"
	"github.com/objectvault/objectvault/vault/spool"
)

// written are the formats that can be written, with the tenant and the prefix of their objects.
var written = []struct {
	format         agentkeys.Format
	tenant, prefix string
}{
	{agentkeys.V1, wallet, walletPrefix},
	{agentkeys.V2, omni, omniPrefix},
}

// openWriter returns a vault of the tenant that stores objects of agentKeys.
func (b *bucket) openWriter(t *testing.T, f agentkeys.Format, tenant string, o *vault.Options) *vault.Vault {
	t.Helper()
	reader, err := agentkeys.NewReader(newSigner(t), tenant, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o == nil {
		o = &vault.Options{}
	}
	if o.LegacyWriter, err = agentkeys.NewWriter(reader, f); err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(b.Store, vault.Tenant(tenant), []envelope.KeySource{kek.InsecureFixed()}, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// clientReads returns the value that an agentKeys client reads for a service.
func (b *bucket) clientReads(t *testing.T, service string) (string, agentkeys.Format) {
	t.Helper()
	a := account(t)
	keys, err := a.Keys(service)
	if err != nil {
		t.Fatal(err)
	}
	kek, err := agentkeys.DeriveKEK(t.Context(), newSigner(t), a, service)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		object, err := b.Bucket.ReadAll(t.Context(), key)
		if err != nil {
			continue
		}
		value, f, err := agentkeys.Open(kek, a, service, object)
		if err != nil {
			t.Fatalf("an agentKeys client cannot open %s: %v", key, err)
		}
		return string(value), f
	}
	t.Fatalf("an agentKeys client does not find %s", service)
	return "", 0
}

func newSpool(t *testing.T) *spool.Spool {
	t.Helper()
	sp, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

// TestWriter: an agentKeys client reads what the vault stores, and so does every vault of the tenant. The
// object of agentKeys in place of an envelope is no rollback.
func TestWriter(t *testing.T) {
	for _, w := range written {
		for _, mode := range []vault.SpoolMode{vault.SpoolOff, vault.SpoolDefault} {
			t.Run(fmt.Sprint(w.format, " spool ", mode), func(t *testing.T) {
				b := newBucket(t, nil)
				log, err := seen.Open(seen.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := b.open(t, w.tenant, &vault.Options{Seen: log}).Put(t.Context(), "openrouter", strings.NewReader("an envelope"), nil); err != nil {
					t.Fatal(err)
				}
				v := b.openWriter(t, w.format, w.tenant, &vault.Options{Seen: log, Spool: newSpool(t)})
				for _, value := range []string{"sk-1", "", "sk-2"} {
					info, err := v.Put(t.Context(), "openrouter", strings.NewReader(value), &vault.PutOptions{Spool: mode})
					if err != nil || info.Legacy != w.format.String() || info.LegacyKey != w.prefix+"openrouter.enc" || info.Size != int64(len(value)) || info.Revision != 0 || info.Tag != "" {
						t.Fatalf("put: %+v, %v", info, err)
					}
					if got, f := b.clientReads(t, "openrouter"); got != value || f != w.format {
						t.Errorf("an agentKeys client reads %q in format %v", got, f)
					}
					for who, reader := range map[string]*vault.Vault{
						"the writer": v, "a new process": b.openWriter(t, w.format, w.tenant, &vault.Options{Seen: log}),
						"a vault that stores envelopes": b.open(t, w.tenant, &vault.Options{Seen: log}),
					} {
						if got, info, err := get(t, reader, "openrouter", nil); err != nil || got != value || info.Legacy != w.format.String() {
							t.Errorf("%s reads %q, %+v, %v", who, got, info, err)
						}
					}
				}
				if _, err := b.open(t, w.tenant, &vault.Options{Seen: log}).Put(t.Context(), "openrouter", strings.NewReader("an envelope again"), nil); err != nil {
					t.Fatal(err)
				}
				if got, info, err := get(t, v, "openrouter", nil); err != nil || got != "an envelope again" || info.Legacy != "" {
					t.Errorf("after the return to envelopes: %q, %+v, %v", got, info, err)
				}
			})
		}
	}
}

// TestWriterOtherMachine: a vault that stores objects of agentKeys reads them where it has seen an
// envelope. A vault that stores envelopes refuses them.
func TestWriterOtherMachine(t *testing.T) {
	b := newBucket(t, nil)
	log, err := seen.Open(seen.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.open(t, wallet, &vault.Options{Seen: log}).Put(t.Context(), "openrouter", strings.NewReader("an envelope"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.openWriter(t, agentkeys.V1, wallet, nil).Put(t.Context(), "openrouter", strings.NewReader("sk-1"), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := get(t, b.open(t, wallet, &vault.Options{Seen: log}), "openrouter", nil); !errors.Is(err, vault.ErrRollback) {
		t.Errorf("a vault that stores envelopes: %v", err)
	}
	if got, _, err := get(t, b.openWriter(t, agentkeys.V1, wallet, &vault.Options{Seen: log}), "openrouter", nil); err != nil || got != "sk-1" {
		t.Errorf("a vault that stores objects of agentKeys: %q, %v", got, err)
	}
}

// TestWriterLimits: what the format cannot express is refused, and nothing is stored.
func TestWriterLimits(t *testing.T) {
	for _, mode := range []vault.SpoolMode{vault.SpoolOff, vault.SpoolDefault} {
		b := newBucket(t, nil)
		sp := newSpool(t)
		v := b.openWriter(t, agentkeys.V1, wallet, &vault.Options{Spool: sp})
		for label, o := range map[string]vault.PutOptions{
			"labels": {Labels: map[string]string{"env": "prod"}}, "an expiry": {Expires: time.Now().Add(time.Hour)}, "a content type": {ContentType: "text/plain"},
			"a revision": {IfRevision: 7}, "a tag": {IfTag: "abc"},
		} {
			o.Spool = mode
			if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("x"), &o); !errors.Is(err, vault.ErrUnsupported) {
				t.Errorf("put with %s: %v", label, err)
			}
		}
		for _, name := range []vault.Name{"team/openrouter", "a b", "ü"} {
			if _, err := v.Put(t.Context(), name, strings.NewReader("x"), &vault.PutOptions{Spool: mode}); !errors.Is(err, vault.ErrUnsupported) {
				t.Errorf("put of %q: %v", name, err)
			}
		}
		if entries, err := sp.Entries(t.Context(), envelope.Ref{Tenant: wallet}); err != nil || len(entries) != 0 {
			t.Errorf("entries of puts that were refused before the value was read: %d, %v", len(entries), err)
		}
		if _, err := v.Rotate(t.Context(), "openrouter", nil); !errors.Is(err, vault.ErrUnsupported) {
			t.Errorf("rotate: %v", err)
		}
		for _, size := range []int{agentkeys.MaxValue, agentkeys.MaxValue + 1} {
			value := bytes.Repeat([]byte{'a'}, size)
			_, err := v.Put(t.Context(), "openrouter", bytes.NewReader(value), &vault.PutOptions{Spool: mode})
			var saved *vault.SpooledError
			switch {
			case size == agentkeys.MaxValue:
				if got, _ := b.clientReads(t, "openrouter"); err != nil || got != string(value) {
					t.Errorf("put of the longest value: %v", err)
				}
				b.Bucket.Delete(t.Context(), walletPrefix+"openrouter.enc")
			case !errors.Is(err, vault.ErrUnsupported):
				t.Errorf("put of a longer value: %v", err)
			case mode == vault.SpoolDefault && (!errors.As(err, &saved) || !saved.Refused):
				t.Errorf("a longer value is not kept on this machine: %v", err)
			}
		}
		if left := b.left(t); len(left) != 0 {
			t.Errorf("objects: %q", left)
		}
	}
	b := newBucket(t, nil)
	reader, err := agentkeys.NewReader(newSigner(t), wallet, nil)
	if err != nil {
		t.Fatal(err)
	}
	writer, err := agentkeys.NewWriter(reader, agentkeys.V1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.New(b.Store, wallet, nil, &vault.Options{LegacyWriter: writer, Collection: "other"}); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("another collection: %v", err)
	}
}

// TestNewWriter: the format must be that of the tenant's prefix.
func TestNewWriter(t *testing.T) {
	for _, tenant := range []string{wallet, omni} {
		reader, err := agentkeys.NewReader(newSigner(t), tenant, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []agentkeys.Format{agentkeys.V1, agentkeys.V2, agentkeys.Worker, 0} {
			_, err := agentkeys.NewWriter(reader, f)
			fits := f == agentkeys.V1 && tenant == wallet || f == agentkeys.V2 && tenant == omni
			if fits != (err == nil) || err != nil && !errors.Is(err, envelope.ErrInvalid) {
				t.Errorf("%v for tenant %s: %v", f, tenant, err)
			}
		}
	}
	if _, err := agentkeys.NewWriter(nil, agentkeys.V1); !errors.Is(err, envelope.ErrInvalid) {
		t.Errorf("without a reader: %v", err)
	}
}

// TestWriterShadowed: an object that agentKeys reads first makes a write of v1 fail, because no client
// would read the new object.
func TestWriterShadowed(t *testing.T) {
	for label, object := range map[string][]byte{"an object": sealedBy(t, agentkeys.V2, "openrouter", "old"), "an envelope": []byte("OVE1 of the other tenant"), "a truncated object": {2, 0}} {
		b := newBucket(t, map[string][]byte{omniPrefix + "openrouter.enc": object})
		sp := newSpool(t)
		v := b.openWriter(t, agentkeys.V1, wallet, &vault.Options{Spool: sp})
		for _, mode := range []vault.SpoolMode{vault.SpoolOff, vault.SpoolDefault} {
			_, err := v.Put(t.Context(), "openrouter", strings.NewReader("new"), &vault.PutOptions{Spool: mode})
			if !errors.Is(err, vault.ErrUnsupported) || !strings.Contains(err.Error(), omniPrefix) {
				t.Errorf("%s: put, spool %v: %v", label, mode, err)
			}
		}
		if left := b.left(t); len(left) != 1 {
			t.Errorf("%s: objects: %q", label, left)
		}
		b.fail["get "+omniPrefix] = vault.ErrPermission
		b.fail["list "+omniPrefix] = vault.ErrPermission
		if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("new"), nil); err != nil {
			t.Errorf("%s: put with a denied prefix: %v", label, err)
		}
	}
}

// TestWriterSpool: a value that waited in the spool is sent as an object of agentKeys, once.
func TestWriterSpool(t *testing.T) {
	for _, w := range written {
		for _, create := range []bool{false, true} {
			t.Run(fmt.Sprint(w.format, " create ", create), func(t *testing.T) {
				b := newBucket(t, nil)
				sp := newSpool(t)
				v := b.openWriter(t, w.format, w.tenant, &vault.Options{Spool: sp})
				puts := 0
				b.before = func(c intercept.Call) {
					if c.Op == "put" || c.Op == "create" || c.Op == "swap" {
						puts++
					}
				}
				put := func(value string) error {
					_, err := v.Put(t.Context(), "openrouter", strings.NewReader(value), &vault.PutOptions{Create: create})
					return err
				}
				b.fail["any bots/"] = vault.ErrUnavailable
				if err := put("sk-1"); !errors.Is(err, vault.ErrSpooled) {
					t.Fatal(err)
				}
				if got, info, err := get(t, v, "openrouter", nil); err != nil || got != "sk-1" || !info.Pending {
					t.Errorf("get of the pending value: %q, %+v, %v", got, info, err)
				}
				clear(b.fail)
				if sum, err := sp.Sync(t.Context(), v, nil); err != nil || sum.Sent != 1 || sum.Pending != 0 || sum.Refused != 0 {
					t.Fatalf("sync: %+v, %v", sum, err)
				}
				if got, f := b.clientReads(t, "openrouter"); got != "sk-1" || f != w.format {
					t.Errorf("an agentKeys client reads %q in format %v", got, f)
				}
				b.Bucket.Delete(t.Context(), w.prefix+"openrouter.enc")

				b.lost = true // the object is stored, and no response arrives
				if err := put("sk-2"); !errors.Is(err, vault.ErrSpooled) {
					t.Fatal(err)
				}
				b.lost, puts = false, 0
				other := b.openWriter(t, w.format, w.tenant, &vault.Options{Spool: sp}) // another process
				if sum, err := sp.Sync(t.Context(), other, nil); err != nil || sum.Sent != 1 || sum.Pending != 0 || sum.Refused != 0 || puts != 0 {
					t.Errorf("sync of a value that the store has: %+v, %v, %d writes", sum, err, puts)
				}
				if got, _ := b.clientReads(t, "openrouter"); got != "sk-2" {
					t.Errorf("an agentKeys client reads %q", got)
				}
			})
		}
	}
}

// TestWriterConflict: a pending value does not replace a value that an agentKeys client stored later, and
// a value of this machine is not taken for one, whatever the clocks show.
func TestWriterConflict(t *testing.T) {
	for label, clock := range map[string]time.Duration{"a correct clock": 0, "a slow clock": -time.Hour, "a fast clock": time.Hour} {
		t.Run(label, func(t *testing.T) {
			b := newBucket(t, nil)
			sp := newSpool(t)
			log, err := seen.Open(seen.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
			if err != nil {
				t.Fatal(err)
			}
			v := b.openWriter(t, agentkeys.V1, wallet, &vault.Options{Spool: sp, Seen: log, Now: func() time.Time { return time.Now().Add(clock) }})
			put := func(value string) error {
				_, err := v.Put(t.Context(), "openrouter", strings.NewReader(value), nil)
				return err
			}
			if err := put("first"); err != nil {
				t.Fatal(err)
			}
			b.fail["any bots/"] = vault.ErrUnavailable
			if err := put("second"); !errors.Is(err, vault.ErrSpooled) {
				t.Fatal(err)
			}
			clear(b.fail)
			if sum, err := sp.Sync(t.Context(), v, nil); err != nil || sum.Sent != 1 {
				t.Errorf("sync over this machine's value: %+v, %v", sum, err)
			}
			if got, _ := b.clientReads(t, "openrouter"); got != "second" {
				t.Errorf("an agentKeys client reads %q", got)
			}
			if clock > 0 {
				return // a fast clock makes the pending value the later one
			}
			b.fail["any bots/"] = vault.ErrUnavailable
			if err := put("third"); !errors.Is(err, vault.ErrSpooled) {
				t.Fatal(err)
			}
			clear(b.fail)
			if err := b.Bucket.WriteAll(t.Context(), walletPrefix+"openrouter.enc", sealedBy(t, agentkeys.V1, "openrouter", "of the client"), nil); err != nil {
				t.Fatal(err)
			}
			if sum, err := sp.Sync(t.Context(), v, nil); err != nil || sum.Refused != 1 {
				t.Errorf("sync over the client's value: %+v, %v", sum, err)
			}
			if got, _ := b.clientReads(t, "openrouter"); got != "of the client" {
				t.Errorf("an agentKeys client reads %q", got)
			}
		})
	}
}

// TestWriterCreate: a create detects an object of agentKeys.
func TestWriterCreate(t *testing.T) {
	b := newBucket(t, map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object)})
	v := b.openWriter(t, agentkeys.V1, wallet, nil)
	if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("x"), &vault.PutOptions{Create: true}); !errors.Is(err, vault.ErrExist) {
		t.Errorf("create: %v", err)
	}
	if err := v.Delete(t.Context(), "openrouter", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("x"), &vault.PutOptions{Create: true}); err != nil {
		t.Errorf("create of a name that was removed: %v", err)
	}
	if got, _, err := get(t, v, "openrouter", nil); err != nil || got != "x" {
		t.Errorf("get: %q, %v", got, err)
	}
}
