package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/objectvault/objectvault/envelope"
)

// Put seals a value of up to 1 MiB in memory, so that it can send the same bytes again. It
// streams a longer value. It reads a long value again from its start only if its reader can
// seek and the store reports that it applied nothing and needs a new upload.

// A sealing turns one value into an envelope.
type sealing struct {
	ref       envelope.Ref
	keys      []envelope.KeySource
	oneKey    bool // one of keys suffices
	metadata  envelope.Metadata
	value     io.Reader // the rest of the value; nil after it was sealed
	source    *source   // the reader of the value; nil if it cannot be read again
	revisions *revisions
	name      Name
	revision  int64 // of a value that was stored before in another form; 0: the next one

	header  *envelope.Header // header of the last envelope that was written
	missing []string         // names of the key sources without a stanza in it
	read    int64            // plaintext bytes
	written int64            // sealed bytes
	// unfinished is the size of the uploads that failed before the write succeeded and that may remain.
	unfinished int64

	plain  []byte // the whole value, if it is short
	sealed []byte // its envelope

	// With a spool: see journal.go.
	sealer *envelope.Writer              // seals the rest of the value; nil: there is none left
	out    redirect                      // where sealer writes
	start  []byte                        // the header, which was sealed before the entry was created
	prefix func() (io.ReadCloser, error) // the start of the envelope; nil: there is none
	rest   []byte                        // what follows prefix, and could not be written to the entry
	replay func() (io.ReadCloser, error) // the whole envelope; nil: it is not on this machine
	local  error                         // why the envelope is for the key of the spool; nil: it is not

	waiting bool // later values of the name are in the spool, so Deliver must send this one

	splice *Splice // replaces the start of the current object; nil: the whole envelope is sent

	copy     func(context.Context, io.Writer) error // writes an envelope of another store; nil: there is none
	unopened bool                                   // no key has opened the envelope of copy, so its revision is not recorded

	quorum    int      // stores that must have the value of a Put: see Mirror
	notes     *changes // for the mirrors; nil: nothing was stored, or there are none
	mirrored  int      // mirrors that have it
	mirrorErr error    // of a mirror that does not

	writer LegacyWriter  // seals the object to send; nil: the envelope is sent
	object *legacySealed // what writer has sealed; nil: nothing yet
}

// replayable is the maximum length of a value that is held in memory.
const replayable = 1 << 20

// readStart reads the start of the value. It reports whether it read all of it, so that the
// value can be sealed and sent again.
func (s *sealing) readStart() (again bool, err error) {
	switch {
	case s.replay != nil, s.splice != nil, s.copy != nil:
		return true, nil
	case s.prefix != nil:
		return false, nil
	case len(s.keys) == 0:
		return false, fmt.Errorf("%w: the vault has no key source to seal the value with", envelope.ErrUnknownKey)
	}
	var start bytes.Buffer
	if _, err := io.CopyN(&start, s.value, replayable+1); err != nil && err != io.EOF {
		return false, err
	}
	if start.Len() > replayable {
		s.value = io.MultiReader(&start, s.value)
		return false, nil
	}
	s.plain = start.Bytes()
	return true, nil
}

// sealAgain seals a short value under a new revision.
func (s *sealing) sealAgain(ctx context.Context) error {
	s.value = bytes.NewReader(s.plain)
	var sealed bytes.Buffer
	if err := s.seal(ctx, &sealed); err != nil {
		return err
	}
	s.sealed = sealed.Bytes()
	return nil
}

// refresh seals a short value. If an object with a later revision was stored in the meantime,
// it seals the value again. The caller must not have sent any of the old envelope.
func (s *sealing) refresh(ctx context.Context) error {
	if s.plain == nil {
		return nil
	}
	// Sealing may take long if a key source uses the network.
	for s.sealed == nil || s.revisions.latest(s.name) > s.header.Revision {
		if err := s.sealAgain(ctx); err != nil {
			return err
		}
	}
	return nil
}

// identity returns the start of the bytes that are sent. No other write shares it: the commitment in a
// header depends on a fresh key, and an object of agentKeys has a random nonce.
func (s *sealing) identity() []byte {
	if s.object != nil {
		return s.object.data[:legacyMin]
	}
	return s.header.Bytes()
}

// sentRevision returns the revision of the value that is sent.
func (s *sealing) sentRevision() int64 {
	if s.object != nil {
		return s.object.revision
	}
	return s.header.Revision
}

var errTwice = errors.New("the store requested a streamed value twice")

// rewind seeks to the start of a streamed value. The store must not have stored any of its old
// envelope.
func (s *sealing) rewind() error {
	if err := s.source.rewind(); err != nil {
		return err
	}
	s.value = s.source
	return nil
}

// fill writes the envelope.
func (s *sealing) fill(ctx context.Context, w io.Writer) error {
	switch {
	case s.object != nil:
		_, err := w.Write(s.object.data)
		return err
	case s.copy != nil:
		return s.copy(ctx, w)
	case s.replay != nil:
		return copyParts(w, s.replay)
	case s.sealed != nil:
		_, err := w.Write(s.sealed)
		return err
	case s.prefix != nil:
		start, rest := s.prefix, s.value
		s.prefix, s.value = nil, nil
		if err := s.sealRest(w, start, rest); err != nil {
			return err
		}
	case s.value == nil: // never store the rest of a value as the whole value
		return errTwice
	default:
		defer func() { s.value = nil }()
		if err := s.seal(ctx, w); err != nil {
			return err
		}
	}
	if s.revisions.latest(s.name) > s.header.Revision {
		return fmt.Errorf("%w: a value with a later revision was stored while this one was being written", ErrConflict)
	}
	return nil
}

func (s *sealing) options(revision int64) *envelope.SealOptions {
	return &envelope.SealOptions{Revision: revision, Metadata: s.metadata, OneSuffices: s.oneKey}
}

// sealedFor remembers the header of an envelope, and the key sources that cannot open it.
func (s *sealing) sealedFor(header *envelope.Header, missing []envelope.KeySource) {
	s.header, s.missing = header, nil
	for _, k := range missing {
		s.missing = append(s.missing, k.Name())
	}
}

// seal takes a revision and seals the value.
func (s *sealing) seal(ctx context.Context, w io.Writer) (err error) {
	revision, err := s.revisions.from(s.name, s.revision)
	if err != nil {
		return err
	}
	if parts, ok := w.(PartWriter); ok {
		if value := s.randomAccess(); value != nil {
			return s.sealParts(ctx, parts, value, revision)
		}
	}
	count := &counter{w: w}
	sealer, err := envelope.Seal(ctx, count, s.ref, s.keys, s.options(revision))
	if err != nil {
		return err
	}
	s.sealedFor(sealer.Header(), sealer.Missing())
	if s.read, err = io.Copy(sealer, s.value); err != nil {
		sealer.Abort()
		return err
	}
	err = sealer.Close()
	s.written = count.n
	return err
}

// A source reads the caller's reader until ctx ends. It wraps errors of the reader in a
// SourceError, to distinguish them from errors of the store.
type source struct {
	ctx   context.Context
	r     io.Reader
	start int64        // initial position of r, if r can seek
	again func() error // returns to the initial position of r; nil if r cannot be read again
}

func newSource(ctx context.Context, r io.Reader) *source {
	s := &source{ctx: ctx, r: r}
	if c, ok := r.(*Content); ok {
		s.again = c.rewind
		return s
	}
	if seeker, ok := r.(io.Seeker); ok {
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil { // a pipe is an *os.File, too
			s.start = start
			s.again = func() error {
				_, err := seeker.Seek(start, io.SeekStart)
				return err
			}
		}
	}
	return s
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		err = &SourceError{err}
	}
	return n, err
}

// inMemory reports whether reading cannot block.
func (s *source) inMemory() bool {
	switch s.r.(type) {
	case *bytes.Reader, *strings.Reader:
		return true
	}
	return false
}

// rewind seeks to the initial position of the reader.
func (s *source) rewind() error {
	if err := s.again(); err != nil {
		return &SourceError{err}
	}
	return nil
}
