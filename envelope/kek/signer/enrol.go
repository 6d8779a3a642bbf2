package signer

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/objectvault/objectvault/envelope"
)

// ErrNotDeterministic means that the signer made two different signatures of one text. It cannot be
// used, because its keys could not be derived again.
var ErrNotDeterministic = errors.New("the signer is not deterministic")

// An Enrolment records the signer that [Enrol] has examined. It contains no secret.
type Enrolment struct {
	Address    string `json:"address"` // of the wallet: 0x and 40 lower-case hex digits
	KeyVersion int    `json:"key_version"`
	Epoch      uint32 `json:"epoch"`
}

// Check returns an error that wraps [envelope.ErrInvalid] if e is malformed.
func (e *Enrolment) Check() error {
	switch {
	case e == nil:
		return invalid("there is no enrolment")
	case !isAddress(e.Address):
		return invalid("the enrolment contains no valid address: 0x and 40 lower-case hex digits")
	case e.KeyVersion < 0 || e.KeyVersion > 1<<31-1:
		return invalid("the enrolment contains no valid key version: 0 to 2147483647")
	case e.Epoch == 0:
		return invalid("the enrolment contains no valid epoch: 1 to 4294967295")
	}
	return nil
}

// Enrol asks the signer for its address, and requests the signature of one text twice. No object
// has this text. It returns the record with which [New] seals objects. If the two signatures
// differ, the error wraps [ErrNotDeterministic]. If the signatures are not from the address, it
// wraps [envelope.ErrUnavailable]. Enrol does not use c.Enrolment.
func Enrol(ctx context.Context, c Config) (Enrolment, error) {
	c.Enrolment = nil
	u, err := c.base()
	if err != nil {
		return Enrolment{}, err
	}
	client := newClient(c, u)
	defer client.close()
	token, err := client.token(ctx)
	if err != nil {
		return Enrolment{}, err
	}
	account, err := client.derive(ctx, token)
	if err != nil {
		return Enrolment{}, err
	}
	var first []byte
	defer func() { clear(first) }()
	for range 2 {
		sig, err := client.sign(ctx, token, text(envelope.Ref{}, c.epoch())) // no object has an empty name
		if err != nil {
			return Enrolment{}, err
		}
		switch {
		case sig.signer != sig.Address:
			err = errNotVerified
		case sig.derived != account:
			err = fmt.Errorf("%w: the responses name different addresses or key versions: %s version %d, and %s version %d",
				envelope.ErrUnavailable, account.Address, account.KeyVersion, sig.Address, sig.KeyVersion)
		case first != nil && !bytes.Equal(first, sig.secret):
			err = fmt.Errorf("%w: it made two different signatures of one text, so objects would be unrecoverable", ErrNotDeterministic)
		}
		clear(sig.signature)
		if err != nil {
			clear(sig.secret)
			return Enrolment{}, err
		}
		clear(first)
		first = sig.secret
	}
	return Enrolment{account.Address, account.KeyVersion, c.epoch()}, nil
}
