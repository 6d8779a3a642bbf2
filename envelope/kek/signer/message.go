package signer

import "context"

// Omni returns the account of the signer: [Config].Omni.
func (s *Source) Omni() string { return s.config.Omni }

// Address returns the address of the wallet, 0x and 40 lower-case hex digits. It is the address of the
// enrolment, or else that of the signer, for which Address sends one request. The errors are those of
// [Source.Recognizes].
func (s *Source) Address(ctx context.Context) (string, error) {
	if err := s.ready(); err != nil {
		return "", err
	}
	if s.config.Enrolment != nil {
		return s.config.Enrolment.Address, nil
	}
	token, err := s.client.token(ctx)
	if err != nil {
		return "", err
	}
	account, err := s.client.derive(ctx, token)
	return account.Address, err
}

// SignMessage returns the signature of message by EIP-191 personal_sign: r ‖ s ‖ v, 65 bytes, with v
// as 0 or 1. It sends one request, and verifies the signature as for an object. Package agentkeys
// derives the keys of agentKeys' objects from such signatures. The signature is a secret key: the
// caller must wipe it after use. The errors are those of [Source.Recognizes]. A message of objectvault
// itself, whose signature is the key of an object, is refused with [envelope.ErrInvalid].
func (s *Source) SignMessage(ctx context.Context, message string) ([]byte, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	if isText(message) {
		return nil, invalid("the message starts like the text of an object of objectvault")
	}
	sig, err := s.request(ctx, message)
	if err != nil {
		return nil, whileReading(err)
	}
	clear(sig.secret)
	return sig.signature, nil
}
