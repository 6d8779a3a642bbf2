package memfs_test

import (
	"fmt"
	"io"
	"testing"

	"gocloud.dev/blob"
)

func BenchmarkStore(b *testing.B) {
	for name, c := range configs(b) {
		s := open(b, c)
		value := make([]byte, 1000)
		put := func(key string) {
			o := &blob.WriterOptions{ContentType: "application/octet-stream"}
			if err := s.Bucket.WriteAll(b.Context(), key, value, o); err != nil {
				b.Fatal(err)
			}
		}
		n := 0
		b.Run("Create/"+name, func(b *testing.B) {
			for b.Loop() {
				n++
				put(fmt.Sprintf("bots/t/credentials/%09d.enc", n))
			}
		})
		b.Run("Overwrite/"+name, func(b *testing.B) {
			for b.Loop() {
				put("bots/t/credentials/one.enc")
			}
		})
		b.Run("Read/"+name, func(b *testing.B) {
			for b.Loop() {
				r, err := s.Bucket.NewReader(b.Context(), "bots/t/credentials/one.enc", nil)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, r)
				r.Close()
			}
		})
		b.Run("List1000/"+name, func(b *testing.B) {
			for ; n < 1000; n++ {
				put(fmt.Sprintf("bots/t/credentials/%09d.enc", n))
			}
			for b.Loop() {
				if _, _, err := s.Bucket.ListPage(b.Context(), blob.FirstPageToken, 1000, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
