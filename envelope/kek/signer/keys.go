package signer

import (
	"context"
	"sync"
	"time"
)

const (
	// handOver limits how long a key that Recognizes has requested waits for Unwrap. Other sources may
	// be asked in between.
	handOver = time.Minute
	maxKeys  = 256
)

// keys are the roots that are in memory, by the hash of the object's name.
type keys struct {
	keepFor time.Duration

	mu     sync.Mutex
	held   map[[32]byte]*heldKey
	count  uint64
	closed bool
}

type heldKey struct {
	secret []byte
	claims int    // how many calls of Recognizes and Unwrap use it
	number uint64 // grows with each key
	timer  *time.Timer
	stop   func() bool
}

func newKeys(keepFor time.Duration) *keys {
	return &keys{keepFor: keepFor, held: make(map[[32]byte]*heldKey)}
}

// get returns a copy of the secret, which the caller wipes, or nil. It adds claims to the key.
func (k *keys) get(id [32]byte, claims int) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.held[id]
	if h == nil {
		return nil
	}
	h.claims += claims
	return append([]byte(nil), h.secret...)
}

// put keeps a copy of secret, unless k has a key for id, and adds claims to the key. The key is wiped
// after a time. Without keepFor, it is also wiped after the last claim was released, or when ctx ends
// and there is no claim.
func (k *keys) put(ctx context.Context, id [32]byte, secret []byte, claims int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	if h := k.held[id]; h != nil {
		h.claims += claims
		return
	}
	for len(k.held) >= maxKeys {
		k.dropOldest()
	}
	k.count++
	h := &heldKey{secret: append([]byte(nil), secret...), claims: claims, number: k.count}
	k.held[id] = h
	drop := func(claimed bool) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.held[id] == h && (claimed || h.claims == 0) {
			k.drop(id)
		}
	}
	if k.keepFor > 0 {
		h.timer = time.AfterFunc(k.keepFor, func() { drop(true) })
		return
	}
	h.timer = time.AfterFunc(handOver, func() { drop(true) })
	h.stop = context.AfterFunc(ctx, func() { drop(false) })
}

// release takes a claim back. If last is true, it wipes the key after the last claim.
func (k *keys) release(id [32]byte, last bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.held[id]
	if h == nil {
		return
	}
	if h.claims > 0 {
		h.claims--
	}
	if last && h.claims == 0 && k.keepFor == 0 {
		k.drop(id)
	}
}

func (k *keys) drop(id [32]byte) {
	h := k.held[id]
	delete(k.held, id)
	clear(h.secret)
	h.timer.Stop()
	if h.stop != nil {
		h.stop()
	}
}

func (k *keys) dropOldest() {
	var oldest [32]byte
	number := uint64(0)
	for id, h := range k.held {
		if number == 0 || h.number < number {
			oldest, number = id, h.number
		}
	}
	k.drop(oldest)
}

func (k *keys) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for id := range k.held {
		k.drop(id)
	}
}

func (k *keys) isClosed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}
