package envelope

import (
	"bytes"
	"testing"
)

// TestDataKeyIsCleared: a data key, and what is derived from it, is overwritten when it is not needed any more.
// One that does not verify is overwritten, too.
func TestDataKeyIsCleared(t *testing.T) {
	cleared := func(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
	key := randomDataKey()
	if cleared(key.dek) || cleared(key.prk) {
		t.Fatal("the data key is zero")
	}
	if key.clear(); !cleared(key.dek) || !cleared(key.prk) {
		t.Error("clear did not overwrite the key")
	}
	h := Header{SegmentLog2: defaultSegmentLog2, Stanzas: []Stanza{{Type: 1, Body: make([]byte, 60)}}}
	for _, size := range []int{dataKeySize, dataKeySize - 1} {
		dek := bytes.Repeat([]byte{1}, size)
		if _, err := h.verify(dek, [32]byte{}); err != ErrDecrypt || !cleared(dek) {
			t.Errorf("a wrong data key of %d bytes: %v, %x", size, err, dek)
		}
	}
}
