package costest

import (
	"crypto/md5"
	"errors"
	"hash/crc64"
	"io"
	"net/http"
	"os"
	"sync"
)

// A data is the content of an object or a part, which never changes: in memory if it is
// small, else in files. Several objects may share one, after a copy.
type data struct {
	pieces []piece
	size   int64
}

// A piece is n bytes of a file from off on, or of b.
type piece struct {
	b      []byte
	f      *os.File // without a name; the runtime closes it when nobody refers to it any more
	off, n int64
}

// inMemory is up to how many bytes a content is kept in memory.
const inMemory = 256 << 10

var buffers = sync.Pool{New: func() any { return new([inMemory]byte) }}

// read keeps what r yields.
func (s *Server) read(r io.Reader) (data, digest, error) {
	buf := buffers.Get().(*[inMemory]byte)
	defer buffers.Put(buf)
	h, crc := md5.New(), uint64(0)
	var d data
	var f *os.File
	for {
		n, err := io.ReadFull(r, buf[:])
		h.Write(buf[:n])
		crc = crc64.Update(crc, crcTable, buf[:n])
		end := err == io.EOF || err == io.ErrUnexpectedEOF && !truncatedBody(r)
		if end && f == nil {
			b := append([]byte(nil), buf[:n]...)
			return data{[]piece{{b: b, n: int64(n)}}, int64(n)}, digest{[md5.Size]byte(h.Sum(nil)), crc}, nil
		}
		if !end && err != nil {
			return data{}, digest{}, errIncomplete
		}
		if f == nil {
			if f, err = s.tempFile(); err != nil {
				return data{}, digest{}, err
			}
		}
		if _, err := f.Write(buf[:n]); err != nil {
			return data{}, digest{}, err
		}
		d.size += int64(n)
		if end {
			d.pieces = []piece{{f: f, n: d.size}}
			return d, digest{[md5.Size]byte(h.Sum(nil)), crc}, nil
		}
	}
}

var errIncomplete = failure(http.StatusBadRequest, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header.")

// A bodyReader tells a body that ended early from one that ended: [io.ReadFull] gives
// both the same error.
type bodyReader struct {
	r   io.Reader
	err error
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

func truncatedBody(r io.Reader) bool {
	b, ok := r.(*bodyReader)
	return ok && b.err != nil
}

// tempFile makes a file that is gone when it is closed.
func (s *Server) tempFile() (*os.File, error) {
	f, err := os.CreateTemp(s.dir, "data")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name()) // where the system forbids it, Close removes the directory
	return f, nil
}

// join is the content of several one after the other.
func join(all []data) (d data) {
	for _, one := range all {
		d.pieces = append(d.pieces, one.pieces...)
		d.size += one.size
	}
	return d
}

// slice is n bytes from off on.
func (d data) slice(off, n int64) data {
	out := data{size: n}
	for _, p := range d.pieces {
		if off >= p.n {
			off -= p.n
			continue
		}
		take := min(p.n-off, n)
		if take == 0 {
			break
		}
		cut := piece{f: p.f, off: p.off + off, n: take}
		if p.f == nil {
			cut.b, cut.off = p.b[off:off+take], 0
		}
		out.pieces = append(out.pieces, cut)
		off, n = 0, n-take
	}
	return out
}

// WriteTo writes all of it to w.
func (d data) WriteTo(w io.Writer) (int64, error) {
	buf := buffers.Get().(*[inMemory]byte)
	defer buffers.Put(buf)
	var total int64
	for _, p := range d.pieces {
		if p.f == nil {
			n, err := w.Write(p.b)
			total += int64(n)
			if err != nil {
				return total, err
			}
			continue
		}
		for r := io.NewSectionReader(p.f, p.off, p.n); ; {
			n, err := r.Read(buf[:])
			m, werr := w.Write(buf[:n])
			total += int64(m)
			if werr != nil {
				return total, werr
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return total, err
			}
		}
	}
	return total, nil
}

// digest computes what the service keeps of it.
func (d data) digest() (digest, error) {
	h, crc := md5.New(), crc64.New(crcTable)
	if _, err := d.WriteTo(io.MultiWriter(h, crc)); err != nil {
		return digest{}, err
	}
	return digest{[md5.Size]byte(h.Sum(nil)), crc.Sum64()}, nil
}
