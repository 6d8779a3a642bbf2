package doctor

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/objectvault/objectvault/envelope"
)

// keys seals a value in memory, under a name that does not exist, and opens it with each key.
func (e *checker) keys(ctx context.Context) {
	switch {
	case e.KeysErr != nil:
		e.add(ctx, "keys", found(Fail, "the keys cannot be used: %v", e.KeysErr).hinted(e.advice(nil, e.KeysErr, "")))
		return
	case len(e.Keys) == 0:
		e.add(ctx, "keys", found(Warning, "there is no key, so values can be neither sealed nor opened").
			hinted("run {vault} init to create one, or {vault} init --import FILE to copy it from another machine"))
		return
	}
	ref := envelope.Ref{Vault: e.VaultID, Tenant: string(e.Tenant), Collection: string(e.Collection), Name: e.run}
	value := random()
	var sealed bytes.Buffer
	if err := seal(ctx, &sealed, ref, e.Keys, value); err != nil {
		e.add(ctx, "keys", found(Fail, "sealing with the keys failed: %v", err).hinted(e.advice(nil, err, "")))
		return
	}
	for i, key := range e.Keys {
		r, err := envelope.Open(ctx, bytes.NewReader(sealed.Bytes()), ref, []envelope.KeySource{key})
		if err == nil {
			var opened []byte
			if opened, err = io.ReadAll(r); err == nil && string(opened) != value {
				err = errors.New("the opened bytes differ from the sealed bytes")
			}
		}
		if err != nil {
			e.add(ctx, "keys", found(Fail, "key %d of %d cannot open a value that it sealed: %v", i+1, len(e.Keys), err).hinted(e.advice(nil, err, "")))
			return
		}
	}
	e.add(ctx, "keys", found(OK, "the keys seal and open a value"))
}

func seal(ctx context.Context, w io.Writer, ref envelope.Ref, keys []envelope.KeySource, value string) error {
	sealed, err := envelope.Seal(ctx, w, ref, keys, nil)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(sealed, value); err != nil {
		return err
	}
	return sealed.Close()
}
