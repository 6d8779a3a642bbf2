package costest

import (
	"errors"
	"os"
	"runtime"
	"sync"
)

// A spill is a file for contents that are too large for memory. It consists of blocks, so any
// number of contents needs only one file descriptor.
type spill struct {
	dir  string
	mu   sync.Mutex
	f    *os.File // nil until it is created; unlinked, if the system allows it
	free []int64  // offsets of unused blocks
	end  int64
}

// blockSize is the size of a block.
const blockSize = inMemory

// A hold is the blocks of one content. The runtime frees them when nothing refers to the hold any
// more.
type hold struct{ blocks *blocks }

type blocks struct {
	spill *spill
	offs  []int64
}

func (s *spill) hold() *hold {
	h := &hold{&blocks{spill: s}}
	runtime.AddCleanup(h, func(b *blocks) {
		b.spill.mu.Lock()
		defer b.spill.mu.Unlock()
		b.spill.free = append(b.spill.free, b.offs...)
	}, h.blocks)
	return h
}

// write stores at most blockSize bytes.
func (h *hold) write(b []byte) (piece, error) {
	off, err := h.blocks.spill.block()
	if err != nil {
		return piece{}, err
	}
	h.blocks.offs = append(h.blocks.offs, off)
	_, err = h.blocks.spill.f.WriteAt(b, off)
	return piece{hold: h, off: off, n: int64(len(b))}, err
}

// readAt reads the bytes of the blocks from off.
func (h *hold) readAt(b []byte, off int64) (int, error) {
	n, err := h.blocks.spill.f.ReadAt(b, off)
	runtime.KeepAlive(h)
	return n, err
}

// block returns the offset of an unused block.
func (s *spill) block() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		f, err := os.CreateTemp(s.dir, "data")
		if err != nil {
			return 0, err
		}
		os.Remove(f.Name()) // if the system does not allow this, Close removes the directory
		s.f = f
	}
	if n := len(s.free); n > 0 {
		off := s.free[n-1]
		s.free = s.free[:n-1]
		return off, nil
	}
	off := s.end
	s.end += blockSize
	return off, nil
}

func (s *spill) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return nil
	}
	if err := s.f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
