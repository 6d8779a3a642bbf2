package envelope_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/objectvault/objectvault/envelope"
)

// A double is a key source that records its calls in calls. It recognizes a stanza by the type
// and the first id byte of its key; the body is the unencrypted data key.
type double struct {
	key       byte
	name      string
	calls     *[]string
	wrapped   byte  // number of stanzas made so far
	err       error // of Unwrap
	wrongKey  bool  // Unwrap returns another data key
	recognize error // of Recognizes, by a remoteDouble
}

const doubleType = 200

func (d *double) Name() string { return d.name }

func (d *double) call(what string, s envelope.Stanza) {
	if d.calls != nil {
		*d.calls = append(*d.calls, fmt.Sprintf("%s %s %02x%02x", d.name, what, s.ID[0], s.ID[1]))
	}
}

func (d *double) owns(s envelope.Stanza) bool { return s.Type == doubleType && s.ID[0] == d.key }

func (d *double) Wrap(_ context.Context, _ envelope.Ref, dek []byte, _ envelope.AAD) (envelope.Stanza, error) {
	d.wrapped++
	return envelope.Stanza{Type: doubleType, ID: [16]byte{d.key, d.wrapped}, Body: bytes.Clone(dek)}, nil
}

func (d *double) Unwrap(_ context.Context, _ envelope.Ref, s envelope.Stanza, _ envelope.AAD) ([]byte, error) {
	d.call("unwraps", s)
	switch {
	case !d.owns(s):
		return nil, envelope.ErrUnknownKey
	case d.err != nil:
		return nil, d.err
	case d.wrongKey:
		return make([]byte, 32), nil
	}
	return bytes.Clone(s.Body), nil
}

// A remoteDouble is a double that is remote.
type remoteDouble struct{ *double }

func (remoteDouble) Remote() bool { return true }

func (r remoteDouble) Recognizes(_ context.Context, _ envelope.Ref, s envelope.Stanza, _ envelope.AAD) (bool, error) {
	r.call("recognizes", s)
	return r.owns(s), r.recognize
}

// uncomparable is a remote source whose values cannot be compared with ==.
type uncomparable struct {
	remoteDouble
	_ []byte
}

// nearDouble implements Recognizer and is not remote.
type nearDouble struct{ remoteDouble }

func (nearDouble) Remote() bool { return false }

// unwrapping lists every function that unwraps a data key.
var unwrapping = map[string]func(object []byte, sources []envelope.KeySource) error{
	"Open": func(object []byte, sources []envelope.KeySource) error {
		r, err := envelope.Open(ctx, bytes.NewReader(object), testRef, sources)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		return err
	},
	"OpenHeader": func(object []byte, sources []envelope.KeySource) error {
		_, err := envelope.OpenHeader(ctx, bytes.NewReader(object), testRef, sources)
		return err
	},
	"Rewrap": func(object []byte, sources []envelope.KeySource) error {
		h, err := envelope.ReadHeader(bytes.NewReader(object))
		if err == nil {
			_, err = envelope.Rewrap(ctx, h, testRef, sources, fixed)
		}
		return err
	},
	"Move": func(object []byte, sources []envelope.KeySource) error {
		h, err := envelope.ReadHeader(bytes.NewReader(object))
		if err == nil {
			to := testRef
			to.Name = "moved"
			_, err = envelope.Move(ctx, h, testRef, to, sources, fixed)
		}
		return err
	},
}

// Each case seals an object for recipients, which are given by the first byte of their key ids, and
// opens it with sources. It compares the exact list of calls.
func TestOrderOfSources(t *testing.T) {
	var calls []string
	source := func(key byte, name string) *double { return &double{key: key, name: name, calls: &calls} }
	local := func(key byte) *double { return source(key, "local") }
	near := func(key byte) envelope.KeySource { return nearDouble{remoteDouble{source(key, "near")}} }
	remote := func(key byte) remoteDouble { return remoteDouble{source(key, "remote")} }
	with := func(r remoteDouble, change func(*double)) remoteDouble { change(r.double); return r }
	away, login := fmt.Errorf("dial: %w", envelope.ErrUnavailable), fmt.Errorf("403: %w", envelope.ErrUnauthenticated)
	odd := errors.New("broken")

	others := func(n int) string { return strings.Repeat("o", n) }
	asksOthers := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("remote recognizes 6f%02x", i+1))
		}
		return list
	}
	remoteTwice, localTwice := remote('r'), local('l')
	odder := uncomparable{remoteDouble: remote('r')}
	for _, tc := range []struct {
		name    string
		stanzas string
		sources []envelope.KeySource
		calls   []string
		errs    []error // nil: the object opens
	}{
		{"15 stanzas of other recipients", others(15) + "r", []envelope.KeySource{remote('r')},
			append(asksOthers(15), "remote recognizes 7201", "remote unwraps 7201"), nil},
		{"no stanza for the source", others(16), []envelope.KeySource{remote('r')}, asksOthers(16), []error{envelope.ErrUnknownKey}},
		{"no further stanza after a recognized one", "rrro", []envelope.KeySource{remote('r')},
			[]string{"remote recognizes 7201", "remote unwraps 7201"}, nil},
		{"local before remote", "rl", []envelope.KeySource{remote('r'), local('l')},
			[]string{"local unwraps 7201", "local unwraps 6c01"}, nil},
		{"a recognizer that is not remote is local", "rl", []envelope.KeySource{remote('r'), near('l')},
			[]string{"near unwraps 7201", "near unwraps 6c01"}, nil},
		{"local sources try all stanzas before remote ones", "oor", []envelope.KeySource{remote('r'), local('l')},
			[]string{"local unwraps 6f01", "local unwraps 6f02", "local unwraps 7201",
				"remote recognizes 6f01", "remote recognizes 6f02", "remote recognizes 7201", "remote unwraps 7201"}, nil},
		{"remote sources in header order", "br", []envelope.KeySource{remote('r'), remoteDouble{source('b', "backup")}},
			[]string{"remote recognizes 6201", "backup recognizes 6201", "backup unwraps 6201"}, nil},
		{"Recognizes unavailable, next source opens", "orb", []envelope.KeySource{
			with(remote('r'), func(d *double) { d.recognize = away }), remoteDouble{source('b', "backup")}},
			[]string{"remote recognizes 6f01", "backup recognizes 6f01", "backup recognizes 7201", "backup recognizes 6201", "backup unwraps 6201"}, nil},
		{"Unwrap unauthenticated, next source opens", "rrb", []envelope.KeySource{
			with(remote('r'), func(d *double) { d.err = login }), remoteDouble{source('b', "backup")}},
			[]string{"remote recognizes 7201", "remote unwraps 7201", "backup recognizes 7201", "backup recognizes 7202", "backup recognizes 6201", "backup unwraps 6201"}, nil},
		{"all sources unavailable or unauthenticated", "orb", []envelope.KeySource{
			with(remote('r'), func(d *double) { d.recognize = away }), with(remoteDouble{source('b', "backup")}, func(d *double) { d.err = login })},
			[]string{"remote recognizes 6f01", "backup recognizes 6f01", "backup recognizes 7201", "backup recognizes 6201", "backup unwraps 6201"},
			[]error{envelope.ErrUnavailable, envelope.ErrUnauthenticated}},
		{"stanza does not verify", "rrb", []envelope.KeySource{
			with(remote('r'), func(d *double) { d.err = envelope.ErrDecrypt }), remoteDouble{source('b', "backup")}},
			[]string{"remote recognizes 7201", "remote unwraps 7201"}, []error{envelope.ErrDecrypt}},
		{"Unwrap returns another data key", "rb", []envelope.KeySource{
			with(remote('r'), func(d *double) { d.wrongKey = true }), remoteDouble{source('b', "backup")}},
			[]string{"remote recognizes 7201", "remote unwraps 7201"}, []error{envelope.ErrDecrypt}},
		{"local stanza does not verify", "rl", []envelope.KeySource{
			remote('r'), &double{key: 'l', name: "local", calls: &calls, err: envelope.ErrDecrypt}},
			[]string{"local unwraps 7201", "local unwraps 6c01"}, []error{envelope.ErrDecrypt}},
		{"unknown error of Recognizes", "orb", []envelope.KeySource{
			with(remote('r'), func(d *double) { d.recognize = odd }), remoteDouble{source('b', "backup")}},
			[]string{"remote recognizes 6f01"}, []error{odd}},
		{"unknown error of Unwrap", "rb", []envelope.KeySource{
			with(remote('r'), func(d *double) { d.err = odd }), remoteDouble{source('b', "backup")}},
			[]string{"remote recognizes 7201", "remote unwraps 7201"}, []error{odd}},
		{"recognized, but not unwrapped", "rrb", []envelope.KeySource{
			with(remote('r'), func(d *double) { d.err = envelope.ErrUnknownKey }), remoteDouble{source('b', "backup")}},
			[]string{"remote recognizes 7201", "remote unwraps 7201", "backup recognizes 7201", "backup recognizes 7202", "backup recognizes 6201", "backup unwraps 6201"}, nil},
		{"Recognizes returns ErrUnknownKey", "o", []envelope.KeySource{with(remote('r'), func(d *double) { d.recognize = envelope.ErrUnknownKey })},
			[]string{"remote recognizes 6f01"}, []error{envelope.ErrUnknownKey}},
		{"same remote source twice", "or", []envelope.KeySource{remoteTwice, remoteTwice},
			[]string{"remote recognizes 6f01", "remote recognizes 7201", "remote unwraps 7201"}, nil},
		{"same uncomparable source twice", "r", []envelope.KeySource{odder, odder},
			[]string{"remote recognizes 7201", "remote unwraps 7201"}, nil},
		{"same local source twice", "l", []envelope.KeySource{localTwice, localTwice}, []string{"local unwraps 6c01"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			recipients := make(map[rune]*double)
			var all []envelope.KeySource
			for _, key := range tc.stanzas {
				if recipients[key] == nil {
					recipients[key] = &double{key: byte(key)}
				}
				all = append(all, recipients[key])
			}
			object := seal(t, all, []byte("sk-1"), nil)
			for name, unwrap := range unwrapping {
				calls = nil
				err := unwrap(object, tc.sources)
				if (err == nil) != (tc.errs == nil) {
					t.Errorf("%s: error %v, want %v", name, err, tc.errs)
				}
				for _, want := range tc.errs {
					if !errors.Is(err, want) {
						t.Errorf("%s: error %v, want %v", name, err, want)
					}
				}
				if diff := cmp.Diff(tc.calls, calls); diff != "" {
					t.Errorf("%s: calls (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

// If a source could not be reached, the error names the source. If an object is for other
// recipients, the error names their keys.
func TestSourcesInErrors(t *testing.T) {
	object := seal(t, []envelope.KeySource{&double{key: 'o'}, &double{key: 'r'}}, nil, nil)
	away := &double{key: 'r', name: "signer https://host", err: envelope.ErrUnavailable}
	for want, s := range map[string]envelope.KeySource{
		"signer https://host: key source unavailable": remoteDouble{away},
		"sealed for another name, vault or key: it was sealed for 200:6f010000000000000000000000000000, 200:72010000000000000000000000000000": remoteDouble{&double{key: 'x'}},
	} {
		if _, err := envelope.Open(ctx, bytes.NewReader(object), testRef, []envelope.KeySource{s}); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// A nil argument, or a method of a zero value, is an error, not a panic.
func TestMisuse(t *testing.T) {
	object := seal(t, fixed, []byte("sk-1"), nil)
	h, payload := header(t, object)
	o, err := envelope.OpenHeader(ctx, bytes.NewReader(object), testRef, fixed)
	if err != nil {
		t.Fatal(err)
	}
	span, err := o.Range(int64(len(object)), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	none := []envelope.KeySource{fixed[0], nil}
	read := func(r io.Reader) error {
		got, err := io.ReadAll(r)
		if len(got) > 0 {
			t.Errorf("%q was read", got)
		}
		return err
	}
	var w envelope.Writer
	var r envelope.Reader
	var zero envelope.Object
	for _, tc := range []struct {
		name string
		want error
		call func() error
	}{
		{"Seal to a nil writer", envelope.ErrInvalid, func() error { _, err := envelope.Seal(ctx, nil, testRef, fixed, nil); return err }},
		{"Seal for a nil source", envelope.ErrInvalid, func() error { _, err := envelope.Seal(ctx, &bytes.Buffer{}, testRef, none, nil); return err }},
		{"ReadHeader of a nil reader", envelope.ErrInvalid, func() error { _, err := envelope.ReadHeader(nil); return err }},
		{"Open of a nil reader", envelope.ErrInvalid, func() error { _, err := envelope.Open(ctx, nil, testRef, fixed); return err }},
		{"Open with a nil source", envelope.ErrInvalid, func() error {
			_, err := envelope.Open(ctx, bytes.NewReader(object), testRef, none)
			return err
		}},
		{"OpenHeader of a nil reader", envelope.ErrInvalid, func() error { _, err := envelope.OpenHeader(ctx, nil, testRef, fixed); return err }},
		{"OpenHeader with a nil source", envelope.ErrInvalid, func() error {
			_, err := envelope.OpenHeader(ctx, bytes.NewReader(object), testRef, none)
			return err
		}},
		{"Rewrap of a nil header", envelope.ErrInvalid, func() error { _, err := envelope.Rewrap(ctx, nil, testRef, fixed, fixed); return err }},
		{"Rewrap with a nil source", envelope.ErrInvalid, func() error { _, err := envelope.Rewrap(ctx, h, testRef, none, fixed); return err }},
		{"Rewrap for a nil source", envelope.ErrInvalid, func() error { _, err := envelope.Rewrap(ctx, h, testRef, fixed, none); return err }},
		{"Move with a nil source", envelope.ErrInvalid, func() error { _, err := envelope.Move(ctx, h, testRef, testRef, none, fixed); return err }},
		{"write to a zero Writer", envelope.ErrInvalid, func() error { _, err := w.Write([]byte("x")); return err }},
		{"close of a zero Writer", envelope.ErrInvalid, func() error { return w.Close() }},
		{"read from a zero Reader", envelope.ErrInvalid, func() error { return read(&r) }},
		{"range of a zero Object", envelope.ErrInvalid, func() error { _, err := zero.Range(100, 0, 1); return err }},
		{"zero span of a zero Object", envelope.ErrInvalid, func() error { return read(zero.OpenRange(bytes.NewReader(payload), envelope.Span{})) }},
		{"zero span of an Object", envelope.ErrInvalid, func() error { return read(o.OpenRange(bytes.NewReader(payload), envelope.Span{})) }},
		{"range of a nil reader", envelope.ErrInvalid, func() error { return read(o.OpenRange(nil, span)) }},
		{"plaintext size of a zero Header", envelope.ErrFormat, func() error {
			_, err := (&envelope.Header{}).PlaintextSize(200)
			return err
		}},
		{"plaintext size of an impossible Header", envelope.ErrFormat, func() error { _, err := (&envelope.Header{SegmentLog2: -1}).PlaintextSize(200); return err }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("panic: %v", r)
				}
			}()
			if err := tc.call(); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
		})
	}
	if w.Header() != nil || r.Header() != nil || zero.Header() != nil || r.Complete() {
		t.Error("a zero value has a header, or is complete")
	}
	w.Abort()
	if _, err := envelope.Open(ctx, bytes.NewReader(object), testRef, none); err == nil || err.Error() != "envelope: key source 2 of 2 is nil" {
		t.Errorf("error %v", err)
	}
}
