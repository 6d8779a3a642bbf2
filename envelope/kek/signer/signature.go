package signer

import (
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/sha3"
)

// digest returns the hash that personal_sign of EIP-191 signs.
func digest(text string) [32]byte {
	return keccak([]byte("\x19Ethereum Signed Message:\n" + strconv.Itoa(len(text)) + text))
}

func keccak(b []byte) [32]byte {
	h := sha3.NewLegacyKeccak256()
	h.Write(b)
	return [32]byte(h.Sum(nil))
}

// address returns the Ethereum address of a public key, in lower case.
func address(key *secp256k1.PublicKey) string {
	hash := keccak(key.SerializeUncompressed()[1:])
	return "0x" + hex.EncodeToString(hash[12:])
}

var errSignature = errors.New("not a signature")

// recoverAddress returns the address that made the signature r ‖ s or r ‖ s ‖ v of hash. If v does
// not select one of the possible keys, it returns expected if this is the address of one of them.
func recoverAddress(hash [32]byte, sig []byte, expected string) (string, error) {
	if len(sig) != 64 && len(sig) != 65 {
		return "", errSignature
	}
	codes := []byte{0, 1, 2, 3}
	if len(sig) == 65 {
		switch v := sig[64]; v {
		case 0, 1:
			codes = []byte{v}
		case 27, 28:
			codes = []byte{v - 27}
		}
	}
	compact := make([]byte, 65)
	defer clear(compact)
	copy(compact[1:], sig[:64])
	first := ""
	for _, code := range codes {
		compact[0] = 27 + code
		key, _, err := ecdsa.RecoverCompact(compact, hash[:])
		if err != nil {
			continue
		}
		if a := address(key); a == expected {
			return a, nil
		} else if first == "" {
			first = a
		}
	}
	if first == "" {
		return "", errSignature
	}
	return first, nil
}

// withRecoveryID returns r ‖ s ‖ v of a signature of hash by the address signer, with v as 0 or 1.
func withRecoveryID(hash [32]byte, sig []byte, signer string) ([]byte, error) {
	raw := make([]byte, 65)
	copy(raw, sig[:64])
	for raw[64] = range byte(2) {
		if a, err := recoverAddress(hash, raw, signer); err == nil && a == signer {
			return raw, nil
		}
	}
	clear(raw)
	return nil, errSignature
}

// root returns r ‖ s with the smaller of the two values s of the signature. The signature was
// verified.
func root(sig []byte) []byte {
	secret := make([]byte, 64)
	copy(secret, sig[:64])
	var s secp256k1.ModNScalar
	defer s.Zero()
	s.SetByteSlice(secret[32:])
	if s.IsOverHalfOrder() {
		s.Negate().PutBytesUnchecked(secret[32:])
	}
	return secret
}
