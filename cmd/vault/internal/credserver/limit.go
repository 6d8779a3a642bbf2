package credserver

import (
	"maps"
	"sync"
	"time"
)

const (
	window = time.Minute
	// maxWindows is the number of windows from which the ended ones are removed. There is one for
	// each valid token that was used.
	maxWindows = 1024
)

// A limiter limits the reads of each caller. A window starts with the first read of a caller and
// takes a minute.
type limiter struct {
	most int // reads in a window; negative: no limit
	now  func() time.Time

	mu      sync.Mutex
	windows map[string]*reads
}

// reads are the reads of one caller.
type reads struct {
	start time.Time
	n     int
}

// over reports whether the window has ended. A clock that was set back also ends it.
func (r *reads) over(now time.Time) bool {
	return now.Before(r.start) || now.Sub(r.start) >= window
}

// take counts a read of the caller id. It returns 0 if the read is within the limit, and otherwise
// how long the caller must wait.
func (l *limiter) take(id string) time.Duration {
	if l.most < 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	r := l.windows[id]
	if r == nil || r.over(now) {
		if len(l.windows) >= maxWindows {
			maps.DeleteFunc(l.windows, func(_ string, r *reads) bool { return r.over(now) })
		}
		if l.windows == nil {
			l.windows = make(map[string]*reads)
		}
		r = &reads{start: now}
		l.windows[id] = r
	}
	if r.n >= l.most {
		return r.start.Add(window).Sub(now)
	}
	r.n++
	return 0
}
