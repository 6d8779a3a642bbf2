package costest

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc64"
	"net/http"
	"strconv"
)

// crcTable is the table of CRC-64/XZ. COS sends this CRC as a decimal number in
// x-cos-hash-crc64ecma.
var crcTable = crc64.MakeTable(crc64.ECMA)

// A digest contains the checksums that COS stores.
type digest struct {
	md5 [md5.Size]byte
	crc uint64
}

func (d digest) etag() string { return `"` + hex.EncodeToString(d.md5[:]) + `"` }

// setCRC sets the header with the CRC.
func setCRC(h http.Header, crc uint64) { h.Set("X-Cos-Hash-Crc64ecma", strconv.FormatUint(crc, 10)) }

// checkMD5 compares the Content-MD5, if there is one, with the MD5 of the received bytes.
func checkMD5(header string, sum [md5.Size]byte) error {
	if header == "" {
		return nil
	}
	want, err := base64.StdEncoding.DecodeString(header)
	if err != nil || len(want) != md5.Size {
		return failure(http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified is not valid.")
	}
	if [md5.Size]byte(want) != sum {
		return failure(http.StatusBadRequest, "BadDigest", "The Content-MD5 you specified did not match what we received.")
	}
	return nil
}

// multipartETag returns the ETag of an object from a multipart upload. The algorithm of COS is not
// documented, and is not S3's MD5 of the MD5s of the parts, so a client that computes the ETag must
// fail here.
func multipartETag(parts []*part, s3 bool) string {
	h := md5.New()
	if !s3 {
		h.Write([]byte("costest"))
	}
	for _, p := range parts {
		h.Write(p.sum.md5[:])
	}
	return fmt.Sprintf(`"%x-%d"`, h.Sum(nil), len(parts))
}

// combineCRC returns the CRC of a followed by b, from their CRCs and the length n of b. As in
// zlib's crc32_combine, it applies the effect of n zero bytes to the CRC of a. This effect is a
// power of a matrix over GF(2).
func combineCRC(a, b uint64, n int64) uint64 {
	var op [64]uint64 // the effect of one zero bit
	op[0] = crc64.ECMA
	for i := 1; i < 64; i++ {
		op[i] = 1 << (i - 1)
	}
	times := func(m *[64]uint64, v uint64) (sum uint64) {
		for i := 0; v != 0; i, v = i+1, v>>1 {
			if v&1 != 0 {
				sum ^= m[i]
			}
		}
		return sum
	}
	square := func(m *[64]uint64) (out [64]uint64) {
		for i := range m {
			out[i] = times(m, m[i])
		}
		return out
	}
	for range 3 {
		op = square(&op) // two, four, eight zero bits
	}
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			a = times(&op, a)
		}
		op = square(&op)
	}
	return a ^ b
}
