package tencentkms

// DecryptResponse returns the plaintext in a response with status 200 to Decrypt.
func DecryptResponse(keyID string, text []byte) ([]byte, error) {
	s := &service{config: Config{KeyID: keyID}}
	got, _, err := s.read("Decrypt", 200, text, "", "")
	if err != nil {
		return nil, err
	}
	return s.plaintext(got)
}
