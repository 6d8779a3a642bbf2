package main

import (
	"io"
	"runtime/debug"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A progress shows a bar once a transfer takes more than a second.
type progress struct {
	u     *ui
	what  string
	total int64
	start time.Time
	moved int64
	bar   *progressbar.ProgressBar
}

// limitMemory lets less garbage accumulate before a transfer of size bytes; negative: of unknown size. Most
// of the memory of a large transfer is in buffers that are used again, which a garbage collection does not
// look into, so that it costs next to nothing.
func limitMemory(size int64) {
	if size < 0 || size > 8<<20 {
		debug.SetGCPercent(10)
	}
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
			return &rewindable{watched{p, r}, s, start}
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
		w.p.moved = at - w.start
	}
	return at, err
}

type watched struct {
	p *progress
	r io.Reader
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	w.p.moved += int64(n)
	w.p.show()
	return n, err
}

// add counts n bytes.
func (p *progress) add(n int) {
	if p != nil {
		p.moved += int64(n)
		p.show()
	}
}

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
