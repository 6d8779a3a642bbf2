package envelope_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
)

// A brokenSource cannot wrap.
type brokenSource struct {
	*double
	err error
}

func (b brokenSource) Wrap(context.Context, envelope.Ref, []byte, envelope.AAD) (envelope.Stanza, error) {
	return envelope.Stanza{}, b.err
}

// With OneSuffices, a source that cannot be used now is omitted and returned as missing. Any other
// failure, or the failure of all sources, is an error, and nothing is written.
func TestOneSuffices(t *testing.T) {
	a, b := &double{key: 1, name: "a"}, &double{key: 2, name: "b"}
	other := errors.New("broken")
	broken := func(err error) envelope.KeySource { return brokenSource{b, fmt.Errorf("%w: now", err)} }
	for _, tc := range []struct {
		sources []envelope.KeySource
		missing int
		err     error
	}{
		{[]envelope.KeySource{a, b}, 0, nil},
		{[]envelope.KeySource{a, broken(envelope.ErrUnavailable)}, 1, nil},
		{[]envelope.KeySource{broken(envelope.ErrUnauthenticated), a}, 1, nil},
		{[]envelope.KeySource{a, broken(envelope.ErrDenied), broken(envelope.ErrChanged)}, 2, nil},
		{[]envelope.KeySource{a, broken(envelope.ErrNotEnrolled)}, 0, envelope.ErrNotEnrolled},
		{[]envelope.KeySource{a, broken(envelope.ErrUnknownKey)}, 0, envelope.ErrUnknownKey},
		{[]envelope.KeySource{a, broken(other)}, 0, other},
		{[]envelope.KeySource{broken(envelope.ErrUnavailable)}, 0, envelope.ErrUnavailable},
	} {
		var sealed bytes.Buffer
		w, err := envelope.Seal(t.Context(), &sealed, someRef, tc.sources, &envelope.SealOptions{OneSuffices: true})
		if !errors.Is(err, tc.err) {
			t.Errorf("%v: %v, want %v", names(tc.sources), err, tc.err)
		}
		if err != nil {
			if sealed.Len() > 0 {
				t.Errorf("%v: %d bytes were written", names(tc.sources), sealed.Len())
			}
			continue
		}
		if len(w.Missing()) != tc.missing || len(w.Header().Stanzas) != len(tc.sources)-tc.missing {
			t.Errorf("%v: %d stanzas, missing %v", names(tc.sources), len(w.Header().Stanzas), names(w.Missing()))
		}
		io.WriteString(w, "x")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := envelope.Open(t.Context(), &sealed, someRef, []envelope.KeySource{a}); err != nil {
			t.Errorf("%v: %v", names(tc.sources), err)
		}
		// Without OneSuffices, the same sources return an error.
		_, err = envelope.Seal(t.Context(), io.Discard, someRef, tc.sources, nil)
		if (err != nil) != (tc.missing > 0) {
			t.Errorf("%v without OneSuffices: %v", names(tc.sources), err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "b: ") {
			t.Errorf("%v: the error does not begin with the name of the source: %v", names(tc.sources), err)
		}
	}
}

// Open tries the other sources after one that is denied, has changed or is not enrolled.
func TestOpenAfterAway(t *testing.T) {
	a, b := &double{key: 1, name: "a"}, &double{key: 2, name: "b"}
	var sealed bytes.Buffer
	w, err := envelope.Seal(t.Context(), &sealed, someRef, []envelope.KeySource{a, b}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	for _, away := range []error{envelope.ErrUnavailable, envelope.ErrUnauthenticated, envelope.ErrDenied, envelope.ErrChanged, envelope.ErrNotEnrolled} {
		a.err = away
		if _, err := envelope.Open(t.Context(), bytes.NewReader(sealed.Bytes()), someRef, []envelope.KeySource{a, b}); err != nil {
			t.Errorf("after %v: %v", away, err)
		}
		if _, err := envelope.Open(t.Context(), bytes.NewReader(sealed.Bytes()), someRef, []envelope.KeySource{a}); !errors.Is(err, away) {
			t.Errorf("only %v: %v", away, err)
		}
	}
}

var someRef = envelope.Ref{Tenant: "acme", Collection: "credentials", Name: "openrouter"}

func names(sources []envelope.KeySource) (list []string) {
	for _, s := range sources {
		list = append(list, s.Name())
	}
	return list
}
