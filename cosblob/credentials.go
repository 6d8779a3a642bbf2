package cosblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Credentials returns the keys that sign requests. Get is called for every request, also
// concurrently. An implementation should cache the keys until they expire.
type Credentials interface {
	Get(ctx context.Context) (Snapshot, error)
}

// A Renewer is a [Credentials] that can renew a key. Several requests may report the same key, also
// after it was replaced.
type Renewer interface {
	// Expired is called when the service refuses a key as expired or unknown. The Renewer must then
	// get a new key, unless it already has one.
	Expired(secretID string)
	// Renew is called when the service denies a request, and the reason may be that the key has
	// expired. It tries to get another key. Until then, or if this fails, the current key stays in
	// use. Renew reports whether Get now returns another key.
	Renew(ctx context.Context, secretID string) bool
}

// ErrCredentials means that no credentials were available to sign a request. The error of
// [Credentials] is also wrapped.
var ErrCredentials = errors.New("cosblob: no credentials")

// A Snapshot is a secret ID with its key and token. It cannot be printed by accident. With the zero
// Snapshot, requests are not signed; use it for public buckets.
type Snapshot struct {
	id         string
	key, token *string // pointers, because fmt prints the content of unexported fields without calling their methods
	until      time.Time
}

// NewSnapshot returns a snapshot of a SecretId and its SecretKey. Temporary keys also have a
// token.
func NewSnapshot(secretID, secretKey, token string) Snapshot {
	return Snapshot{id: secretID, key: &secretKey, token: &token}
}

// Until returns the same keys with their expiry time. COS does not document the error code for an
// expired temporary key. Clocks may differ by 15 minutes. Therefore, starting 15 minutes before the
// expiry time, a denied request counts as a sign that the key has expired.
func (s Snapshot) Until(t time.Time) Snapshot {
	s.until = t
	return s
}

// SecretID returns the public part of the keys.
func (s Snapshot) SecretID() string { return s.id }

func (s Snapshot) reveal() (key, token string) {
	if s.key == nil {
		return "", ""
	}
	return *s.key, *s.token
}

// Format prints [redacted] for every verb.
func (Snapshot) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// MarshalText returns [redacted], so JSON does not contain the keys.
func (Snapshot) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Static returns credentials that never change. For permanent keys the token is "".
func Static(secretID, secretKey, token string) Credentials {
	return static{NewSnapshot(secretID, secretKey, token)}
}

type static struct{ Snapshot }

func (s static) Get(context.Context) (Snapshot, error) { return s.Snapshot, nil }
