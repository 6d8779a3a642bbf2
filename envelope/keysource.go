package envelope

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// A KeySource wraps the data keys of objects, and unwraps what it wrapped. It must be safe
// for concurrent use. Wrap and Unwrap may do I/O. A source that sends requests to a service
// should also implement [Recognizer], so that it is not asked about stanzas of other
// recipients.
type KeySource interface {
	// Name identifies the source in messages and logs: "local", "signer https://host". It
	// never contains a secret, such as a key, a passphrase, or the user info of a URL. Name
	// does no I/O and always returns the same text.
	Name() string
	// Wrap seals dek for the object ref into a stanza, bound to aad. Wrap may change dek but
	// must not keep it. A source that cannot be reached returns an error wrapping
	// [ErrUnavailable], one that needs other credentials [ErrUnauthenticated].
	Wrap(ctx context.Context, ref Ref, dek []byte, aad AAD) (Stanza, error)
	// Unwrap opens s and returns the data key, which the caller clears. For a stanza that is
	// not its own a source returns an error wrapping [ErrUnknownKey], and for one that is its
	// own and does not verify, [ErrDecrypt]. A source that cannot be reached returns
	// [ErrUnavailable], one that needs other credentials [ErrUnauthenticated]; the search then
	// goes on with the other sources. Any other error ends it.
	Unwrap(ctx context.Context, ref Ref, s Stanza, aad AAD) (dek []byte, err error)
}

// A Recognizer is a [KeySource] that can detect its own stanzas without opening them. A
// source that does not implement it counts as one that is not remote.
type Recognizer interface {
	// Recognizes reports whether s is a stanza of this source for the object ref. For a stanza
	// of another recipient it returns false and no error. The errors are those of Unwrap.
	//
	// Only a source that must ask a service for its key does I/O here, such as a signer. It
	// sends at most one request per object: the calls for other stanzas of the object, and
	// Unwrap, reuse the response. A local key and a KMS key compare key ids and do no I/O. A
	// passphrase may derive a key from the stanza's parameters, after it checked their limits,
	// once per salt and process.
	//
	// After true, or an error that does not wrap [ErrUnknownKey], Recognizes is not called again
	// for that object.
	Recognizes(ctx context.Context, ref Ref, s Stanza, aad AAD) (bool, error)
	// Remote reports whether the source sends requests to a service. Remote sources are asked
	// after all others. Remote does no I/O and always returns the same value.
	Remote() bool
}

// A remoteSource is a KeySource whose Remote reports true.
type remoteSource interface {
	KeySource
	Recognizer
}

// unwrap finds the data key among the stanzas and compares the commitment. Sources that are
// not remote look at all stanzas first, in header order. Then remote sources do, in header
// order; each of them is asked to unwrap one stanza at most, the first that it recognizes.
// The first stanza that is a source's own decides: if it does not verify, no other is tried.
func (h *Header) unwrap(ctx context.Context, ref Ref, aad AAD, sources []KeySource) (dataKey, error) {
	local, remote := splitSources(sources)
	var unreachable failures
	for _, s := range h.Stanzas {
		for _, source := range local {
			dek, err := source.Unwrap(ctx, ref, s, aad)
			if err == nil {
				return h.verify(dek, aad.Ctx)
			}
			if !unreachable.skip(source, err) {
				return nil, err
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
				var dek dataKey
				if dek, err = source.Unwrap(ctx, ref, s, aad); err == nil {
					return h.verify(dek, aad.Ctx)
				}
			}
			if !unreachable.skip(source, err) {
				return nil, err
			}
		}
	}
	if len(unreachable) > 0 {
		return nil, errors.Join(unreachable...)
	}
	return nil, fmt.Errorf("%w: the object was sealed for the keys %s", ErrUnknownKey, h.keyNames())
}

// failures are the errors of sources that could not be reached.
type failures []error

// skip reports whether other sources may still be tried after err.
func (f *failures) skip(source KeySource, err error) bool {
	switch {
	case errors.Is(err, ErrUnknownKey):
		return true
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrUnauthenticated):
		*f = append(*f, fmt.Errorf("%s: %w", source.Name(), err))
		return true
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

// checkSources refuses a nil source before any is asked.
func checkSources(sources []KeySource) error {
	for i, s := range sources {
		if s == nil {
			return misuse(fmt.Sprintf("key source %d of %d is nil", i+1, len(sources)))
		}
	}
	return nil
}

// keyNames lists the keys that h is sealed for, as type:id.
func (h *Header) keyNames() string {
	var names []string
	for _, s := range h.Stanzas {
		names = append(names, fmt.Sprintf("%d:%s", s.Type, hex.EncodeToString(s.ID[:])))
	}
	return strings.Join(names, ", ")
}
