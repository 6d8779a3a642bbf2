package costest

import (
	"crypto/md5"
	"hash/crc64"
	"io"
	"net/http"
	"sync"
)

// A data is the immutable content of an object or a part. It is in memory if it is small, and
// otherwise in the spill. After a copy, several objects share one data.
type data struct {
	pieces []piece
	size   int64
}

// A piece is n bytes of b, or of a hold, starting at off.
type piece struct {
	b      []byte
	hold   *hold
	off, n int64
}

// inMemory is the largest size of a content that is kept in memory.
const inMemory = 256 << 10

var buffers = sync.Pool{New: func() any { return new([inMemory]byte) }}

// read stores the bytes of r, at most the given number.
func (s *Server) read(r io.Reader, most int64) (data, digest, error) {
	buf := buffers.Get().(*[inMemory]byte)
	defer buffers.Put(buf)
	h, crc := md5.New(), uint64(0)
	var d data
	var in *hold
	for {
		n, err := io.ReadFull(r, buf[:])
		h.Write(buf[:n])
		crc = crc64.Update(crc, crcTable, buf[:n])
		end := err == io.EOF || err == io.ErrUnexpectedEOF && !truncatedBody(r)
		if end && in == nil {
			b := append([]byte(nil), buf[:n]...)
			return data{[]piece{{b: b, n: int64(n)}}, int64(n)}, digest{[md5.Size]byte(h.Sum(nil)), crc}, nil
		}
		if !end && err != nil {
			return data{}, digest{}, errIncomplete
		}
		if d.size += int64(n); d.size > most {
			return data{}, digest{}, errTooLarge
		}
		if in == nil {
			in = s.spill.hold()
		}
		if n > 0 {
			p, err := in.write(buf[:n])
			if err != nil {
				return data{}, digest{}, err
			}
			d.pieces = append(d.pieces, p)
		}
		if end {
			return d, digest{[md5.Size]byte(h.Sum(nil)), crc}, nil
		}
	}
}

var errTooLarge = failure(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed object size.")

var errIncomplete = failure(http.StatusBadRequest, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header.")

// A bodyReader distinguishes a body that ended early from a complete one. [io.ReadFull] returns the
// same error for both.
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

// join concatenates several contents.
func join(all []data) (d data) {
	for _, one := range all {
		d.pieces = append(d.pieces, one.pieces...)
		d.size += one.size
	}
	return d
}

// slice returns the n bytes that start at off.
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
		cut := piece{hold: p.hold, off: p.off + off, n: take}
		if p.hold == nil {
			cut.b, cut.off = p.b[off:off+take], 0
		}
		out.pieces = append(out.pieces, cut)
		off, n = 0, n-take
	}
	return out
}

// WriteTo writes the complete content to w.
func (d data) WriteTo(w io.Writer) (total int64, err error) {
	buf := buffers.Get().(*[inMemory]byte)
	defer buffers.Put(buf)
	for _, p := range d.pieces {
		b := p.b
		if p.hold != nil {
			b = buf[:p.n]
			if _, err := p.hold.readAt(b, p.off); err != nil {
				return total, err
			}
		}
		n, err := w.Write(b)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// A dataReader reads a data once.
type dataReader struct{ rest []piece } // not shared with the data

func (r *dataReader) Read(b []byte) (n int, err error) {
	for len(r.rest) > 0 && r.rest[0].n == 0 {
		r.rest = r.rest[1:]
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	p := r.rest[0]
	if p.hold == nil {
		n = copy(b, p.b)
		p.b = p.b[n:]
	} else if n, err = p.hold.readAt(b[:min(int64(len(b)), p.n)], p.off); err != nil {
		return n, err
	}
	p.off, p.n = p.off+int64(n), p.n-int64(n)
	r.rest[0] = p
	return n, nil
}

// digest computes the checksums that the service stores.
func (d data) digest() (digest, error) {
	h, crc := md5.New(), crc64.New(crcTable)
	if _, err := d.WriteTo(io.MultiWriter(h, crc)); err != nil {
		return digest{}, err
	}
	return digest{[md5.Size]byte(h.Sum(nil)), crc.Sum64()}, nil
}
