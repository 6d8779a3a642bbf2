package cosblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Credentials gives the keys that requests are signed with. Get is called for every
// request, by many at once: an implementation keeps what it has got until it expires.
type Credentials interface {
	Get(ctx context.Context) (Snapshot, error)
}

// A Renewer is a [Credentials] that can be told that the service refused a key as
// expired or unknown. It then gets another, unless it has another already: several
// requests may tell it the same.
type Renewer interface {
	Expired(secretID string)
}

// ErrCredentials means that there were no credentials to sign a request with. The
// error of [Credentials] is wrapped, too.
var ErrCredentials = errors.New("cosblob: no credentials")

// A Snapshot is one generation of keys. It cannot be printed by accident. The zero
// Snapshot leaves requests unsigned, for public buckets.
type Snapshot struct {
	id         string
	key, token *string // pointers: fmt calls no methods of unexported fields, it prints what they hold
	until      time.Time
}

// NewSnapshot returns a snapshot of a SecretId, its SecretKey and, if they are
// temporary, the token that goes with them.
func NewSnapshot(secretID, secretKey, token string) Snapshot {
	return Snapshot{id: secretID, key: &secretKey, token: &token}
}

// Until returns the same keys, with the time when they expire. The documents leave open
// with which code COS answers then: a denial of a temporary key that is within 15 minutes
// of its end, which is how far off a clock may be, is taken for that.
func (s Snapshot) Until(t time.Time) Snapshot {
	s.until = t
	return s
}

// SecretID is the public part.
func (s Snapshot) SecretID() string { return s.id }

func (s Snapshot) reveal() (key, token string) {
	if s.key == nil {
		return "", ""
	}
	return *s.key, *s.token
}

// Format prints [redacted], whatever the verb.
func (Snapshot) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// MarshalText is redacted too, so that JSON and the like are.
func (Snapshot) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Static returns credentials that do not change. The token is "" for permanent keys.
func Static(secretID, secretKey, token string) Credentials {
	return static{NewSnapshot(secretID, secretKey, token)}
}

type static struct{ Snapshot }

func (s static) Get(context.Context) (Snapshot, error) { return s.Snapshot, nil }
