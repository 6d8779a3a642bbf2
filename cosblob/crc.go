package cosblob

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"net/http"
	"strconv"
)

// crcTable is the table of CRC-64/XZ, which COS uses.
var crcTable = crc64.MakeTable(crc64.ECMA)

// crcOf returns the CRC64 of the object or part in a response, big-endian, if there is one.
func crcOf(h http.Header) ([]byte, bool) {
	n, err := strconv.ParseUint(h.Get("X-Cos-Hash-Crc64ecma"), 10, 64)
	if err != nil {
		return nil, false
	}
	return binary.BigEndian.AppendUint64(nil, n), true
}

// checkCRC compares the CRC64 in a response, if there is one, with the CRC64 of the data that was
// sent.
func checkCRC(h http.Header, sent uint64) error {
	if got, ok := crcOf(h); ok && binary.BigEndian.Uint64(got) != sent {
		return fmt.Errorf("%w: the CRC64 in the response does not match the data that was sent", ErrChecksum)
	}
	return nil
}

// A matrix over GF(2) maps the 64 bits of a CRC.
type matrix [64]uint64

func (m *matrix) times(v uint64) (sum uint64) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func (m *matrix) squared() *matrix {
	var s matrix
	for i := range m {
		s[i] = m.times(m[i])
	}
	return &s
}

// joinCRC returns the CRC64 of a concatenation from the CRC64s a and b of its two pieces. The
// second piece has n bytes. As in zlib, a is extended by n zero bytes, by repeated squaring of
// the matrix for one zero bit.
func joinCRC(a, b uint64, n int64) uint64 {
	m := &matrix{crc64.ECMA}
	for i := 1; i < len(m); i++ {
		m[i] = 1 << (i - 1)
	}
	m = m.squared().squared().squared() // one byte
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			a = m.times(a)
		}
		m = m.squared()
	}
	return a ^ b
}
