package oldserver

import (
	"cmp"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A limit counts the reads of each token in a minute, which starts with the first read.
type limit struct {
	reads int

	mu      sync.Mutex
	minutes map[string]minute
}

type minute struct {
	start time.Time
	reads int
}

func newLimit(reads int) *limit {
	return &limit{reads: cmp.Or(reads, 100), minutes: make(map[string]minute)}
}

// take counts a read, or returns how long the client must wait.
func (l *limit) take(token string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.minutes[token]
	if now.Sub(m.start) >= time.Minute {
		m = minute{start: now}
	}
	if m.reads >= l.reads {
		return m.start.Add(time.Minute).Sub(now)
	}
	m.reads++
	l.minutes[token] = m
	return 0
}

// limited is the error of a read that must wait.
type limited time.Duration

func (limited) Error() string { return "too many reads" }

// respond sends the wait in whole seconds, rounded up.
func (d limited) respond(w http.ResponseWriter) {
	seconds := int((time.Duration(d) + time.Second - 1) / time.Second)
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	respond(w, http.StatusTooManyRequests, map[string]any{
		"error": "rate_limited", "message": "too many reads in a minute", "retry_after_seconds": seconds,
	})
}
