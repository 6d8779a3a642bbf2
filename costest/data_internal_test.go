package costest

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestRead: a body is stored up to the limit, with and without a Content-Length.
func TestRead(t *testing.T) {
	s, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, size := range []int{0, 1, inMemory - 1, inMemory, inMemory + 1, 3*inMemory + 7} {
		value := bytes.Repeat([]byte("0123456789abcde"), size/15+1)[:size]
		d, sum, err := s.read(bytes.NewReader(value), int64(size))
		if err != nil || d.size != int64(size) {
			t.Fatalf("%d bytes: %d were stored, %v", size, d.size, err)
		}
		var written bytes.Buffer
		if _, err := d.WriteTo(&written); err != nil || !bytes.Equal(written.Bytes(), value) {
			t.Errorf("%d bytes: %d different bytes were written, %v", size, written.Len(), err)
		}
		if read, err := io.ReadAll(&dataReader{append([]piece(nil), d.pieces...)}); err != nil || !bytes.Equal(read, value) {
			t.Errorf("%d bytes: %d different bytes were read, %v", size, len(read), err)
		}
		if again, err := d.digest(); err != nil || again != sum {
			t.Errorf("%d bytes: digest %v, then %v, %v", size, sum, again, err)
		}
		if size > inMemory {
			if _, _, err := s.read(bytes.NewReader(value), int64(size)-1); err != errTooLarge {
				t.Errorf("%d bytes, one too many: %v", size, err)
			}
		}
	}
}

// TestBlocksAreReused: blocks without references are reused.
func TestBlocksAreReused(t *testing.T) {
	s, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	value := strings.Repeat("v", 2*inMemory)
	if _, _, err := s.read(strings.NewReader(value), maxPut); err != nil {
		t.Fatal(err)
	}
	end := s.spill.end
	free := 0
	for n := 0; free == 0; n++ {
		if n == 1000 {
			t.Fatal("no block was reused")
		}
		runtime.GC()
		<-time.After(time.Millisecond)
		s.spill.mu.Lock()
		free = len(s.spill.free)
		s.spill.mu.Unlock()
	}
	if _, _, err := s.read(strings.NewReader(value), maxPut); err != nil {
		t.Fatal(err)
	}
	if s.spill.end != end {
		t.Errorf("the file grew from %d to %d bytes", end, s.spill.end)
	}
}
