package signer

// Exported for the tests of the format.
var (
	Text           = text
	Digest         = digest
	RecoverAddress = recoverAddress
	RootOf         = root
)

// ParseSigned returns the address that a response claims, the address that signed, and the root.
func ParseSigned(body []byte, hash [32]byte) (claimed, signer string, root []byte, err error) {
	s, err := parseSigned(body, hash)
	return s.Address, s.signer, s.secret, err
}

// ParseDerived returns the address and key version in a response.
func ParseDerived(body []byte) (string, int, error) {
	d, err := parseDerived(body)
	return d.Address, d.KeyVersion, err
}

// Held returns how many keys are in memory, and the secret of one of them, which is wiped later.
func (s *Source) Held() (int, []byte) {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	for _, h := range s.keys.held {
		return len(s.keys.held), h.secret
	}
	return 0, nil
}
