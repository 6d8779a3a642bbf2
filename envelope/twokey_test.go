package envelope_test

import (
	"crypto/aes"
	"encoding/binary"
)

// AES-GCM does not commit to its key: for any two keys and one free block there is a ciphertext
// that both keys open. This file computes the block.

// An element of GF(2^128) in the notation of GCM: bit 0 is the highest bit of hi.
type element struct{ hi, lo uint64 }

func elementOf(b []byte) element {
	return element{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (x element) bytes() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, x.hi), x.lo)
}

func (x element) add(y element) element { return element{x.hi ^ y.hi, x.lo ^ y.lo} }

func (x element) mul(y element) (z element) {
	for i := range 128 {
		word := x.hi
		if i >= 64 {
			word = x.lo
		}
		if word>>(63-i%64)&1 == 1 {
			z = z.add(y)
		}
		carry := y.lo & 1
		y = element{y.hi >> 1, y.lo>>1 | y.hi<<63}
		if carry == 1 {
			y.hi ^= 0xe1 << 56
		}
	}
	return z
}

// inverse returns x^(2^128-2).
func (x element) inverse() element {
	z := element{1 << 63, 0} // one
	for range 127 {
		x = x.mul(x)
		z = z.mul(x)
	}
	return z
}

// bothKeys returns first, a block chosen to fit, and a tag, which AES-GCM opens under
// key1 and under key2 with that nonce.
func bothKeys(key1, key2, nonce, first []byte) (sealed []byte) {
	type side struct{ h, h2, h3, mask element }
	of := func(key []byte) side {
		block, err := aes.NewCipher(key)
		if err != nil {
			panic(err)
		}
		b := make([]byte, 16)
		block.Encrypt(b, b)
		h := elementOf(b)
		copy(b, nonce)
		binary.BigEndian.PutUint32(b[12:], 1)
		block.Encrypt(b, b)
		return side{h, h.mul(h), h.mul(h).mul(h), elementOf(b)}
	}
	// tag = c0·H³ + c1·H² + lengths·H + mask must be equal for both keys.
	a, b := of(key1), of(key2)
	c0, lengths := elementOf(first), element{0, 256}
	rest := c0.mul(a.h3.add(b.h3)).add(lengths.mul(a.h.add(b.h))).add(a.mask).add(b.mask)
	c1 := rest.mul(a.h2.add(b.h2).inverse())
	tag := c0.mul(a.h3).add(c1.mul(a.h2)).add(lengths.mul(a.h)).add(a.mask)
	sealed = append(sealed, first...)
	sealed = append(sealed, c1.bytes()...)
	return append(sealed, tag.bytes()...)
}
