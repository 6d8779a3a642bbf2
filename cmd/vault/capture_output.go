package main

import (
	"bytes"
	"context"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault/spool"
)

const (
	maxHead = 15 << 20
	maxTail = 1 << 20

	// saveEach is the length of an output that is saved with every write; a longer one is saved once
	// a second.
	saveEach = 64 << 10
)

// A recording keeps the first 15 MiB and the last MiB of an output, in memory and, sealed, on this
// machine, so that the output of a program survives the end of this process.
type recording struct {
	spool *spool.Spool
	ref   envelope.Ref
	// memory means that the output is not saved while the program runs.
	memory bool

	head, tail []byte
	total, cut int64

	saved    string // the id of the entry with what was saved last; empty: nothing was
	savedLen int64  // its length
	last     time.Time
}

func (r *recording) Write(p []byte) (int, error) {
	n := len(p)
	r.total += int64(n)
	if room := maxHead - len(r.head); room > 0 {
		room = min(room, len(p))
		r.head, p = append(r.head, p[:room]...), p[room:]
	}
	r.tail = append(r.tail, p...)
	if drop := len(r.tail) - maxTail; drop > 0 {
		r.cut += int64(drop)
		r.tail = append(r.tail[:0], r.tail[drop:]...)
	}
	if r.memory {
		return n, nil
	}
	if r.total <= saveEach || time.Since(r.last) >= time.Second {
		r.save("output of a program that has not ended") // an error is reported when the program has ended
		r.last = time.Now()
	}
	return n, nil
}

func (r *recording) bytes() []byte {
	if len(r.tail) == 0 {
		return r.head
	}
	return append(append(make([]byte, 0, len(r.head)+len(r.tail)), r.head...), r.tail...)
}

// save saves the output in place of what was saved before, and returns the id of the entry.
func (r *recording) save(reason string) (id string, err error) {
	return r.saveBytes(r.bytes(), reason)
}

func (r *recording) saveBytes(b []byte, reason string) (id string, err error) {
	id, err = r.spool.KeepAside(context.Background(), r.ref, bytes.NewReader(b), reason)
	if err != nil {
		return "", err
	}
	r.discard()
	r.saved, r.savedLen = id, int64(len(b))
	return id, nil
}

// saveAll is save. If there is not enough space for two entries, it first removes what was saved before.
// If the output cannot be saved even then, it saves that part again, and returns its id and the error.
func (r *recording) saveAll(reason string) (id string, err error) {
	if id, err = r.save(reason); err == nil || r.saved == "" {
		return id, err
	}
	part := r.bytes()[:r.savedLen] // the part is a start: only the end of a long output is cut
	r.discard()
	if id, err := r.save(reason); err == nil {
		return id, nil
	}
	id, _ = r.saveBytes(part, reason)
	return id, err
}

// discard removes what was saved.
func (r *recording) discard() {
	if r.saved != "" {
		r.spool.Forget(r.saved)
		r.saved = ""
	}
}
