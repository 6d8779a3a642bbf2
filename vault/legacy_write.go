package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/objectvault/objectvault/envelope"
)

// This file stores objects of agentKeys, for programs that cannot read envelopes yet. The object has the
// key of the envelope, which is also the key of agentKeys. An entry of the spool is an envelope all the
// same. Its value is sealed as an object of agentKeys when it is sent.

// A LegacyWriter is a [Legacy] that also seals objects of agentKeys. The Writer of package agentkeys is
// one.
type LegacyWriter interface {
	Legacy
	// Seal seals a value as an object of name. format names its format.
	Seal(ctx context.Context, name string, value []byte) (object []byte, format string, err error)
}

// A legacySealed is a value that is sealed as an object of agentKeys.
type legacySealed struct {
	data     []byte
	format   string
	size     int64 // bytes of the value
	revision int64 // the time of the write, to compare it with the revisions of envelopes
}

const (
	errLegacyWriteTag      legacyLimit = "not possible: this vault stores objects in the format of agentKeys, which have no revision and no tag"
	errLegacyWriteMetadata legacyLimit = "not possible: this vault stores objects in the format of agentKeys, which have no labels, no expiry and no content type"
	errLegacyWriteName     legacyLimit = "not possible: this vault stores objects in the format of agentKeys, and agentKeys would not find this name: it has a slash, or characters that a vault escapes"
	errLegacyWriteSize     legacyLimit = "not possible: this vault stores objects in the format of agentKeys, whose values have at most 1 MiB"
)

// CheckLegacyPut returns an error that wraps [ErrLegacyLimit] if a Put is not possible in the format of
// agentKeys, whatever its value is. A Vault with an [Options].LegacyWriter returns the same error from
// [Vault.Put].
func CheckLegacyPut(name Name, o *PutOptions) error {
	if o == nil {
		o = &PutOptions{}
	}
	switch {
	case o.IfTag != "" || o.IfRevision != 0:
		return errLegacyWriteTag
	case o.ContentType != "" || !o.Expires.IsZero() || len(o.Labels) > 0:
		return errLegacyWriteMetadata
	case strings.Contains(string(name), "/") || encodeName(name) != string(name)+suffix:
		return errLegacyWriteName
	}
	return nil
}

// checkLegacyEntry returns an error for an entry that cannot be stored in the format of agentKeys. The
// entry stays pending, because a Vault without a LegacyWriter can send it.
func (v *Vault) checkLegacyEntry(name Name, e SpoolEntry, s *sealing) error {
	if v.writer == nil {
		return nil
	}
	o := &PutOptions{IfTag: e.IfTag, IfRevision: e.IfRevision, ContentType: s.metadata.ContentType, Expires: s.metadata.Expires, Labels: s.metadata.Labels}
	err := CheckLegacyPut(name, o)
	if err == nil && s.read > legacyMax-legacyMin {
		err = errLegacyWriteSize
	}
	if err != nil {
		err = fmt.Errorf("only a vault that stores envelopes can send this value: %v", err) // not wrapped: it is not final
	}
	return err
}

// sealLegacy seals the value of s as an object of agentKeys. whole reports whether s has read all of the
// value. sealLegacy fails if agentKeys would read another object of the name first.
func (v *Vault) sealLegacy(ctx context.Context, key string, s *sealing, whole bool) error {
	keys, err := v.legacyKeys(ctx, s.name)
	if err != nil {
		return err
	}
	own := slices.Index(keys, key)
	if own < 0 {
		return errLegacyWriteName
	}
	for _, first := range keys[:own] {
		_, kind, err := v.peekLegacy(ctx, first)
		if err != nil {
			return err
		}
		if kind != noObject {
			return legacyLimit("not possible: agentKeys would not read the new object, because it reads " + first + " first")
		}
	}
	value, err := v.plainOf(ctx, s, whole)
	if err != nil {
		return notOfStore(err)
	}
	o := &legacySealed{size: int64(len(value))}
	if s.header != nil {
		o.revision = s.header.Revision
	} else if o.revision, err = v.revisions.next(s.name); err != nil {
		return err
	}
	if o.data, o.format, err = v.writer.Seal(ctx, string(s.name), value); err != nil {
		return notOfStore(err)
	}
	s.object, s.read, s.written = o, o.size, int64(len(o.data))
	return nil
}

// plainOf returns the value of s.
func (v *Vault) plainOf(ctx context.Context, s *sealing, whole bool) ([]byte, error) {
	var sealed io.Reader
	switch {
	case s.replay != nil:
		entry, err := s.replay()
		if err != nil {
			return nil, err
		}
		defer entry.Close()
		sealed = entry
	case whole:
		return s.plain, nil
	case s.prefix != nil: // the spool has only the start of the envelope
		var all bytes.Buffer
		if err := s.fill(ctx, &boundedWriter{w: &all, left: legacyMax + envelope.MaxHeaderLen + legacyMax/16}); err != nil {
			return nil, err
		}
		sealed = &all
	default:
		return nil, errLegacyWriteSize
	}
	r, err := envelope.Open(ctx, sealed, s.ref, v.keys)
	if err != nil {
		return nil, err
	}
	value, err := io.ReadAll(io.LimitReader(r, legacyMax-legacyMin+1))
	if err == nil && len(value) > legacyMax-legacyMin {
		err = errLegacyWriteSize
	}
	return value, err
}

// A boundedWriter fails with errLegacyWriteSize after left bytes.
type boundedWriter struct {
	w    io.Writer
	left int
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errLegacyWriteSize
	}
	return b.w.Write(p)
}

// wroteLegacy records that the object of s is the current one. old is the state that was recorded before
// the write. Without the record, the object would be older than an envelope that it replaced.
func (v *Vault) wroteLegacy(ctx context.Context, s *sealing, old SeenState) {
	v.acceptLegacy(ctx, s.ref, old, legacyState(s.object.data, s.object.revision))
}

// acceptLegacy records that the current object of ref is one of agentKeys. old is the recorded state.
func (v *Vault) acceptLegacy(ctx context.Context, ref envelope.Ref, old, state SeenState) {
	v.revisions.accept(Name(ref.Name), 0)
	for n := 0; n < maxRecords && !v.record(ctx, ref, old, state); n++ {
		old = v.lastSeen(ctx, ref)
	}
}

// legacyState returns the state that is recorded for an object of agentKeys. revision is that of the write
// by this machine; 0: another program has stored the object.
func legacyState(object []byte, revision int64) SeenState {
	sum := sha256.Sum256(object)
	return SeenState{Revision: legacyRevision, Tag: fmt.Sprintf("%x%016x", sum[:hashSize], revision)}
}

// hashSize is the length of the hash in the tag of an object of agentKeys. The revision follows it, and
// together they are as long as the tag of an envelope.
const hashSize = 24

// isLastWritten reports whether last is the state of the object.
func isLastWritten(last SeenState, object []byte) bool {
	sum := sha256.Sum256(object)
	return last.Revision == legacyRevision && strings.HasPrefix(last.Tag, hex.EncodeToString(sum[:hashSize]))
}

// writtenRevision returns the revision of the write that recorded last; 0: it is not known.
func writtenRevision(last SeenState) int64 {
	revision, err := strconv.ParseInt(last.Tag[min(2*hashSize, len(last.Tag)):], 16, 64)
	if err != nil {
		return 0
	}
	return revision
}

// legacyApplied reports whether an earlier attempt to send the entry e as an object of agentKeys was
// applied: the object h at key then has the value of the entry. The bytes do not show it, because each
// attempt of a process seals the value again.
func (v *Vault) legacyApplied(ctx context.Context, key string, e SpoolEntry, s *sealing, h head) (bool, error) {
	if v.writer == nil || e.Unsent || e.Local || !isLegacy(h.data) || h.size > legacyMax {
		return false, nil
	}
	value, err := v.plainOf(ctx, s, true)
	if err != nil {
		return false, notOfStore(err)
	}
	o, data, err := v.openFound(ctx, s.name, place{key: key}, h)
	switch {
	case errors.Is(err, envelope.ErrDecrypt):
		return false, nil // of another account
	case err != nil:
		return false, err
	case !bytes.Equal(o.value, value):
		return false, nil
	}
	s.object = &legacySealed{data: data, format: o.info.Legacy, size: int64(len(value)), revision: e.Revision}
	v.wroteLegacy(ctx, s, v.lastSeen(ctx, s.ref))
	return true, nil
}

// legacyInfo describes the object of s, which was stored at key.
func (v *Vault) legacyInfo(s *sealing, key string) Info {
	return Info{
		Name: s.name, Tenant: v.tenant, Collection: v.collection, Legacy: s.object.format, LegacyKey: key,
		Size: s.object.size, SealedSize: int64(len(s.object.data)),
	}
}

// errLegacyWriter is the error of an operation that keeps envelopes, in a vault that stores objects of
// agentKeys.
var errLegacyWriter = fmt.Errorf("%w: this vault stores objects in the format of agentKeys", ErrUnsupported)
