package agentkeys

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/objectvault/objectvault/envelope"
)

// A Wallet is the wallet of an operator. The Source of package signer is one.
type Wallet interface {
	Signer
	// Omni returns the omni account of the wallet.
	Omni() string
	// Address returns the address of the wallet. It may send a request.
	Address(ctx context.Context) (string, error)
}

// A Reader opens the objects of one account. It is the vault.Legacy of a Vault:
//
//	wallet, err := signer.New(signer.Config{URL: url, Omni: omni})
//	reader, err := agentkeys.NewReader(wallet, tenant, nil)
//	v, err := vault.New(store, tenant, keys, &vault.Options{Legacy: reader})
//
// It is safe for concurrent use.
type Reader struct {
	wallet  Wallet
	tenant  string
	options ReaderOptions

	known atomic.Pointer[Account] // nil: the address of the wallet was not requested yet
}

// ReaderOptions configures a [Reader]. Nil, or the zero value, opens the objects of an operator who is
// the only actor of the account.
type ReaderOptions struct {
	Operator string // see [Account].Operator
	Epochs   uint64 // see [Account].Epochs
}

// NewReader returns a Reader for a tenant, which is the address or the omni account of the wallet.
// It sends no request. The error wraps [envelope.ErrInvalid] if tenant cannot be either of them. If
// tenant is the address of another wallet, the Reader finds no objects.
func NewReader(w Wallet, tenant string, o *ReaderOptions) (*Reader, error) {
	r := &Reader{wallet: w, tenant: strings.ToLower(tenant)}
	if o != nil {
		r.options = *o
	}
	switch {
	case w == nil:
		return nil, invalid("there is no wallet")
	case IsWallet(r.tenant), r.tenant == w.Omni() && IsOmni(r.tenant):
		return r, nil
	}
	return nil, invalid("the tenant is neither a wallet address nor the omni account of the signer")
}

// Account returns the account of the tenant. If the tenant is a wallet address that is not that of
// the wallet, there is none, and ok is false. It asks the wallet for its address, once: the wallet
// of an omni account may have been replaced. The error is that of the wallet.
func (r *Reader) Account(ctx context.Context) (a Account, ok bool, err error) {
	if known := r.known.Load(); known != nil {
		return *known, known.Wallet != "", nil
	}
	address, err := r.wallet.Address(ctx)
	if err != nil {
		return Account{}, false, err
	}
	if IsWallet(r.tenant) && address != r.tenant {
		r.known.Store(&Account{})
		return Account{}, false, nil
	}
	if a, err = NewAccount(address, r.wallet.Omni()); err != nil {
		return Account{}, false, err
	}
	a.Operator, a.Epochs = r.options.Operator, r.options.Epochs
	r.known.Store(&a)
	return a, true, nil
}

// Keys returns the keys at which agentKeys may have stored a service: see [Account.Keys]. It returns
// none for a name that cannot be a service.
func (r *Reader) Keys(ctx context.Context, name string) ([]string, error) {
	if checkService(name) != nil {
		return nil, nil
	}
	a, ok, err := r.Account(ctx)
	if err != nil || !ok {
		return nil, err
	}
	return a.Keys(name)
}

// Prefixes returns the prefixes of all objects of the account.
func (r *Reader) Prefixes(ctx context.Context) ([]string, error) {
	a, ok, err := r.Account(ctx)
	if err != nil || !ok {
		return nil, err
	}
	return a.Prefixes(), nil
}

// NameOf returns the service of the object at key. ok is false if the key is not one of the account, or
// if the address of the wallet cannot be requested.
func (r *Reader) NameOf(ctx context.Context, key string) (name string, ok bool) {
	a, ok, err := r.Account(ctx)
	if err != nil || !ok {
		return "", false
	}
	return a.ServiceOf(key)
}

// Open opens an object of a service. It requests one signature. format is the text of a [Format]. The
// errors are those of [DeriveKEK] and [Open].
func (r *Reader) Open(ctx context.Context, name string, object []byte) (value []byte, format string, err error) {
	a, ok, err := r.Account(ctx)
	switch {
	case err != nil:
		return nil, "", err
	case !ok:
		return nil, "", fmt.Errorf("%w: the signer has another wallet than %s", envelope.ErrDecrypt, r.tenant)
	}
	kek, err := DeriveKEK(ctx, r.wallet, a, name)
	if err != nil {
		return nil, "", err
	}
	defer clear(kek)
	value, f, err := Open(kek, a, name, object)
	if err != nil {
		return nil, "", err
	}
	return value, f.String(), nil
}

// A Writer is a [Reader] that also seals objects. It is the vault.LegacyWriter of a Vault. An agentKeys
// client reads what such a Vault stores.
type Writer struct {
	*Reader
	format Format
}

// NewWriter returns a Writer of the format V1 or V2. Objects of V1 belong to the wallet as tenant, and
// objects of V2 to the omni account. If the tenant of the Reader is the other one, or if format is
// another format, the error wraps [envelope.ErrInvalid].
func NewWriter(r *Reader, format Format) (*Writer, error) {
	switch {
	case r == nil:
		return nil, invalid("there is no reader")
	case format == V1 && !IsWallet(r.tenant):
		return nil, invalid("objects of the format v1 have the prefix of the wallet: the tenant must be the address of the wallet")
	case format == V2 && !IsOmni(r.tenant):
		return nil, invalid("objects of the format v2 have the prefix of the omni account: the tenant must be the omni account")
	case format != V1 && format != V2:
		return nil, invalid("only the formats v1 and v2 can be written")
	}
	return &Writer{r, format}, nil
}

// Seal seals a value as an object of a service. It requests one signature. format is the text of the
// [Format]. The errors are those of [DeriveKEK] and [Seal].
func (w *Writer) Seal(ctx context.Context, name string, value []byte) (object []byte, format string, err error) {
	a, ok, err := w.Account(ctx)
	switch {
	case err != nil:
		return nil, "", err
	case !ok:
		return nil, "", fmt.Errorf("%w: the signer has another wallet than %s", envelope.ErrInvalid, w.tenant)
	}
	kek, err := DeriveKEK(ctx, w.wallet, a, name)
	if err != nil {
		return nil, "", err
	}
	defer clear(kek)
	object, err = Seal(kek, a, w.format, name, value)
	return object, w.format.String(), err
}
