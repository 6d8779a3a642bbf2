package main

import (
	"io"
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

// progress is nil, which shows nothing, unless somebody watches.
func (u *ui) progress(what string, total int64) *progress {
	if !u.errTTY || u.quiet || u.json || u.verbose {
		return nil
	}
	return &progress{u: u, what: visible(what), total: total, start: u.now()}
}

// reader counts what is read from r.
func (p *progress) reader(r io.Reader) io.Reader {
	if p == nil {
		return r
	}
	return &watched{p, r}
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
			// Where the length is unknown a goroutine of the bar would go on drawing after Clear.
			progressbar.OptionSetSpinnerChangeInterval(0),
		)
	}
	p.bar.Set64(p.moved)
}

// done takes the bar away.
func (p *progress) done() {
	if p != nil && p.bar != nil {
		p.bar.Clear()
	}
}
