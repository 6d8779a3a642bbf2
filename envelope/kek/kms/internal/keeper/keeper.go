// Package keeper adapts a [secrets.Keeper] of gocloud.dev to a [kms.Service]. The drivers that it is
// used with name the key in every request.
package keeper

import (
	"bytes"
	"context"

	"gocloud.dev/secrets"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
)

// A Service is a Keeper as a [kms.Service].
type Service struct {
	Keeper *secrets.Keeper
	// Product names the service in errors, for example Vault.
	Product string
	// Explain sets the Kind of e and the fields that are known, for an error of the driver. Its Kind
	// is already [envelope.ErrUnavailable].
	Explain func(err error, e *kms.Error)
}

// Encrypt implements [kms.Service].
func (s Service) Encrypt(ctx context.Context, plaintext []byte) ([]byte, error) {
	return s.call(ctx, "Encrypt", plaintext, s.Keeper.Encrypt)
}

// Decrypt implements [kms.Service].
func (s Service) Decrypt(ctx context.Context, blob []byte) ([]byte, error) {
	return s.call(ctx, "Decrypt", blob, s.Keeper.Decrypt)
}

// Close closes the keeper.
func (s Service) Close() error { return s.Keeper.Close() }

// call runs an operation of the driver. A driver may ignore its context, and panic if a response has
// another form than expected. After ctx has ended, the operation may continue until its own time
// limit, so it gets a copy of the input.
func (s Service) call(ctx context.Context, name string, in []byte, do func(context.Context, []byte) ([]byte, error)) ([]byte, error) {
	type outcome struct {
		out []byte
		err error
	}
	done := make(chan outcome, 1)
	in = bytes.Clone(in)
	go func() {
		defer clear(in)
		defer func() {
			if recover() != nil { // the value may quote the response
				done <- outcome{nil, &kms.Error{Kind: envelope.ErrUnavailable, State: "this is not a response of " + s.Product, Operation: s.Product + " " + name}}
			}
		}()
		out, err := do(ctx, in)
		if err != nil {
			e := &kms.Error{Kind: envelope.ErrUnavailable, Operation: s.Product + " " + name}
			s.Explain(err, e)
			err = e
		}
		done <- outcome{out, err}
	}()
	select {
	case o := <-done:
		if o.err != nil && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return o.out, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
