package passphrase

import (
	"context"
	"errors"
	"fmt"

	"github.com/objectvault/objectvault/envelope"
)

// maxRoots bounds the memory for roots of foreign salts, which an object may contain.
const maxRoots = 1024

// A root is the result of one run of Argon2id.
type root struct {
	done    chan struct{} // closed after the run
	secret  []byte        // nil before the run
	waiters int
	number  uint64 // grows with each root
}

// root returns a copy of the root for p, which the caller wipes. The first caller for p starts
// Argon2id, and the others wait for the result. If ctx ends, root returns. A run that has started
// goes on for later callers.
func (s *Source) root(ctx context.Context, p params) ([]byte, error) {
	if err := s.learn(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	r := s.roots[p]
	if r == nil {
		if len(s.roots) >= maxRoots {
			s.dropOldest()
		}
		s.count++
		r = &root{done: make(chan struct{}), number: s.count}
		s.roots[p] = r
		go s.compute(r, p)
	}
	r.waiters++
	defer func() { r.waiters-- }()
	s.mu.Unlock()
	var err error
	select {
	case <-r.done:
	case <-ctx.Done():
		err = ended(ctx)
	}
	s.mu.Lock()
	switch {
	case s.closed:
		return nil, errClosed
	case err != nil:
		return nil, err
	}
	return append([]byte(nil), r.secret...), nil
}

// compute runs Argon2id, one run at a time. It runs it only if a caller still waits.
func (s *Source) compute(r *root, p params) {
	s.run <- struct{}{}
	defer func() { <-s.run }()
	defer close(r.done)
	s.mu.Lock()
	if s.closed || r.waiters == 0 {
		if s.roots[p] == r {
			delete(s.roots, p)
		}
		s.mu.Unlock()
		return
	}
	phrase := append([]byte(nil), s.phrase...)
	s.mu.Unlock()
	defer clear(phrase)
	secret := s.idKey(phrase, p.salt[:], uint32(p.time), p.memory, p.threads, 32)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		clear(secret)
		return
	}
	r.secret = secret
}

// dropOldest forgets the oldest root that is not the root of the enrolment. A caller that waits for
// it still gets it.
func (s *Source) dropOldest() {
	var oldest params
	number := uint64(0)
	for p, r := range s.roots {
		if number == 0 || r.number < number {
			if s.record == nil || p != s.own {
				oldest, number = p, r.number
			}
		}
	}
	delete(s.roots, oldest)
}

// learn asks for the passphrase, unless it is known.
func (s *Source) learn(ctx context.Context) error {
	select {
	case s.asking <- struct{}{}:
	case <-ctx.Done():
		return ended(ctx)
	}
	defer func() { <-s.asking }()
	s.mu.Lock()
	known, failed, closed := s.phrase != nil, s.failed, s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return errClosed
	case failed != nil:
		return failed
	case known:
		return nil
	}
	raw, err := s.ask(ctx)
	defer clear(raw)
	if err != nil && ctx.Err() != nil {
		return ended(ctx) // the next caller asks again
	}
	var phrase []byte
	if err == nil {
		phrase, err = Clean(raw, false)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		clear(phrase)
		return errClosed
	case err == nil:
		s.phrase = phrase
		return nil
	case errors.Is(err, envelope.ErrUnauthenticated), errors.Is(err, envelope.ErrUnavailable), errors.Is(err, envelope.ErrInvalid):
		s.failed = err
	default:
		s.failed = fmt.Errorf("%w: the passphrase: %w", envelope.ErrUnauthenticated, err)
	}
	return s.failed
}

func ended(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); !errors.Is(cause, err) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
