package text

import (
	"encoding/binary"
	"testing"
	"unicode/utf16"
)

func TestUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "\ufeffa=1": "a=1", "\ufeff": "", "a\ufeff": "a\ufeff", "\x00\x00": "\x00\x00", "é": "é", "\xff": "\xff",
	} {
		if got, err := UTF8([]byte(in)); string(got) != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, text := range []string{"a=1\n", "\ufeffa=1\n", "\ufeffé"} {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			var b []byte
			for _, unit := range utf16.Encode([]rune(text)) {
				b = order.AppendUint16(b, unit)
			}
			if got, err := UTF8(b); got != nil || err != ErrUTF16 {
				t.Errorf("UTF-16 %x: %q, %v", b, got, err)
			}
			b = nil
			for _, r := range text {
				b = order.AppendUint32(b, uint32(r))
			}
			if got, err := UTF8(b); text[0] != 'a' && (got != nil || err != ErrUTF16) {
				t.Errorf("UTF-32 %x: %q, %v", b, got, err)
			}
		}
	}
}
