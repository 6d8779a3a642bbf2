package envelope_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/objectvault/objectvault/envelope"
)

// A range of a megabyte, read into a buffer of the caller.
func BenchmarkRange(b *testing.B) {
	object := seal(b, fixed, pattern(4<<20), nil)
	o, err := envelope.OpenHeader(ctx, bytes.NewReader(object), testRef, fixed)
	if err != nil {
		b.Fatal(err)
	}
	s, err := o.Range(int64(len(object)), 1<<20, 1<<20)
	if err != nil {
		b.Fatal(err)
	}
	sealed, into := object[s.Offset:s.Offset+s.Length], make([]byte, 1<<20)
	for name, open := range map[string]func() io.Reader{
		"copied": func() io.Reader { return o.OpenRange(bytes.NewReader(sealed), s) },
		"direct": func() io.Reader { return o.OpenRangeInto(into, bytes.NewReader(sealed), s) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(into)))
			for b.Loop() {
				if _, err := io.ReadFull(open(), into); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
