package envelope

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// A KeySource wraps data keys of objects, and unwraps the data keys that it wrapped. It must be
// safe for concurrent use. Wrap and Unwrap may do I/O. A source that sends requests to a service
// should also implement [Recognizer], so that it sends no request for the stanza of another source.
type KeySource interface {
	// Name identifies the source in messages and logs, for example "local". It never contains a
	// secret, such as a key, a passphrase, or the user info of a URL. Name does no I/O and always
	// returns the same text.
	Name() string
	// Wrap seals dek, the data key of the object ref, into a stanza that is bound to aad. Wrap may
	// change dek but must not keep it. If the source cannot be reached, the error wraps
	// [ErrUnavailable]. If the credentials of the source are missing or were rejected, the error
	// wraps [ErrUnauthenticated]. Other errors of a source are [ErrDenied], [ErrChanged] and
	// [ErrNotEnrolled].
	Wrap(ctx context.Context, ref Ref, dek []byte, aad AAD) (Stanza, error)
	// Unwrap opens s and returns the data key, which the caller clears. If another source made s,
	// the error wraps [ErrUnknownKey]. If this source made s, but s does not verify, the error
	// wraps [ErrDecrypt]. The other errors are those of Wrap. If the error wraps [ErrUnknownKey] or
	// one of the errors of Wrap, Open tries the other sources. After any other error it fails.
	Unwrap(ctx context.Context, ref Ref, s Stanza, aad AAD) (dek []byte, err error)
}

// A [KeySource] may also implement Recognizer, if it can detect its stanzas without opening them. A
// source that does not implement it is a local source.
type Recognizer interface {
	// Recognizes reports whether this source made s for the object ref. For a stanza of another
	// source it returns false and no error. The errors are those of Unwrap.
	//
	// A source may do I/O here only if it must request its key from a service. It sends at most one
	// request for each object, and reuses the response in Unwrap and for the other stanzas of the
	// object. Other sources compare key ids. A source with a passphrase may derive its key here, once
	// for each salt, after it has checked the limits of the stanza's parameters.
	//
	// If Recognizes returns true, or an error that does not wrap [ErrUnknownKey], Open does not
	// call it for another stanza of the object.
	Recognizes(ctx context.Context, ref Ref, s Stanza, aad AAD) (bool, error)
	// Remote reports whether the source sends requests to a service. Open calls remote sources only
	// after all local sources have failed. Remote does no I/O and always returns the same value.
	Remote() bool
}

// A remoteSource is a KeySource whose Remote reports true.
type remoteSource interface {
	KeySource
	Recognizer
}

// unwrap finds the data key among the stanzas and compares the commitment. It passes all stanzas to
// the local sources first, in header order, and then to the remote sources. Each remote source
// unwraps at most one stanza, the first one that it recognizes. If the first stanza that a source
// has made does not verify, no other stanza is tried.
func (h *Header) unwrap(ctx context.Context, ref Ref, aad AAD, sources []KeySource) (dataKey, error) {
	local, remote := splitSources(sources)
	var away failures
	for _, s := range h.Stanzas {
		for _, source := range local {
			dek, err := source.Unwrap(ctx, ref, s, aad)
			if err == nil {
				return h.verify(dek, aad.Ctx)
			}
			if !away.skip(source, err) {
				return dataKey{}, err
			}
		}
	}
	for _, s := range h.Stanzas {
		for i, source := range remote {
			if source == nil {
				continue // it recognized an earlier stanza, or could not be reached
			}
			recognized, err := source.Recognizes(ctx, ref, s, aad)
			if err == nil && !recognized || errors.Is(err, ErrUnknownKey) {
				continue
			}
			remote[i] = nil
			if err == nil {
				var dek []byte
				if dek, err = source.Unwrap(ctx, ref, s, aad); err == nil {
					return h.verify(dek, aad.Ctx)
				}
			}
			if !away.skip(source, err) {
				return dataKey{}, err
			}
		}
	}
	if len(away) > 0 {
		return dataKey{}, errors.Join(away...)
	}
	return dataKey{}, fmt.Errorf("%w: it was sealed for %s", ErrUnknownKey, h.keyNames())
}

// failures are the errors of sources that could not be used.
type failures []error

// skip reports whether other sources may still be tried after err.
func (f *failures) skip(source KeySource, err error) bool {
	switch {
	case errors.Is(err, ErrUnknownKey):
		return true
	case isAway(err):
		*f = append(*f, fmt.Errorf("%s: %w", source.Name(), err))
		return true
	}
	return false
}

// isAway reports whether err is the error of a source that cannot be used now, by this caller.
func isAway(err error) bool {
	for _, sentinel := range []error{ErrUnavailable, ErrUnauthenticated, ErrDenied, ErrChanged, ErrNotEnrolled} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// splitSources separates the remote sources from the others. A remote source that was given
// twice is returned once, if Go can compare it.
func splitSources(sources []KeySource) (local []KeySource, remote []remoteSource) {
	for _, s := range sources {
		r, ok := s.(remoteSource)
		switch {
		case !ok || !r.Remote():
			local = append(local, s)
		case !containsSource(remote, r):
			remote = append(remote, r)
		}
	}
	return local, remote
}

func containsSource(sources []remoteSource, source remoteSource) bool {
	if !reflect.ValueOf(source).Comparable() { // == would panic
		return false
	}
	for _, s := range sources {
		if s == source {
			return true
		}
	}
	return false
}

// checkSources rejects a nil source before any source is called.
func checkSources(sources []KeySource) error {
	for i, s := range sources {
		if s == nil {
			return misuse(fmt.Sprintf("key source %d of %d is nil", i+1, len(sources)))
		}
	}
	return nil
}

// keyNames lists the keys that h was sealed for, as type:id.
func (h *Header) keyNames() string {
	var names []string
	for _, s := range h.Stanzas {
		names = append(names, fmt.Sprintf("%d:%s", s.Type, hex.EncodeToString(s.ID[:])))
	}
	return strings.Join(names, ", ")
}
