package main

import (
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A progress shows a bar once a transfer takes more than a second.
type progress struct {
	u     *ui
	what  string
	total int64
	start time.Time

	mu    sync.Mutex // several goroutines may read parts of a value
	moved int64
	bar   *progressbar.ProgressBar
}

// progress returns nil, which shows nothing, unless standard error is a terminal.
func (u *ui) progress(what string, total int64) *progress {
	if !u.errTTY || u.quiet || u.json || u.verbose {
		return nil
	}
	return &progress{u: u, what: visible(what), total: total, start: u.now()}
}

// reader returns a reader that counts the bytes read from r.
func (p *progress) reader(r io.Reader) io.Reader {
	if p == nil {
		return r
	}
	if s, ok := r.(io.Seeker); ok {
		if start, err := s.Seek(0, io.SeekCurrent); err == nil {
			w := &rewindable{watched{p, r}, s, start}
			if f, ok := r.(regularFile); ok {
				if fi, err := f.Stat(); err == nil && fi.Mode().IsRegular() {
					return &randomFile{rewindable: w, f: f}
				}
			}
			return w
		}
	}
	return &watched{p, r}
}

// A rewindable is a watched reader that can seek. Seek also sets the position of the bar.
type rewindable struct {
	watched
	s     io.Seeker
	start int64
}

func (w *rewindable) Seek(offset int64, whence int) (int64, error) {
	at, err := w.s.Seek(offset, whence)
	if err == nil {
		w.p.set(at - w.start)
	}
	return at, err
}

// A randomFile is a rewindable regular file. Parts of it can be read in any order.
type randomFile struct {
	*rewindable
	f     regularFile
	again sync.Once
}

// A regularFile is an open file.
type regularFile interface {
	io.ReaderAt
	io.Seeker
	Stat() (fs.FileInfo, error)
}

func (r *randomFile) ReadAt(p []byte, offset int64) (int, error) {
	r.again.Do(func() { r.p.set(0) }) // the start was read before, too
	n, err := r.f.ReadAt(p, offset)
	r.p.add(int64(n))
	return n, err
}

// Size returns the number of bytes that are left. Package vault asks for it.
func (r *randomFile) Size() (int64, bool) {
	fi, err := r.f.Stat()
	if err != nil {
		return 0, false
	}
	at, err := r.f.Seek(0, io.SeekCurrent)
	return max(0, fi.Size()-at), err == nil
}

// Stat describes the file. Package vault compares it before and after the file was read.
func (r *randomFile) Stat() (fs.FileInfo, error) { return r.f.Stat() }

type watched struct {
	p *progress
	r io.Reader
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	w.p.add(int64(n))
	return n, err
}

// add counts n bytes.
func (p *progress) add(n int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved += n
	p.show()
}

// set sets the number of bytes.
func (p *progress) set(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved = n
}

// show draws the bar. The caller holds mu.
func (p *progress) show() {
	if p.bar == nil {
		if p.u.now().Sub(p.start) < time.Second {
			return
		}
		p.bar = progressbar.NewOptions64(p.total,
			progressbar.OptionSetWriter(p.u.err),
			progressbar.OptionSetDescription(p.what),
			progressbar.OptionShowBytes(true),
			progressbar.OptionUseIECUnits(true),
			progressbar.OptionSetWidth(24),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			// If the length is unknown, a goroutine of the bar would continue to draw after Clear.
			progressbar.OptionSetSpinnerChangeInterval(0),
		)
	}
	p.bar.Set64(p.moved)
}

// done removes the bar from the screen.
func (p *progress) done() {
	if p != nil && p.bar != nil {
		p.bar.Clear()
	}
}
