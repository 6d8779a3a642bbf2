package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// An entry is one file. FORMAT.md, section "Spool", specifies it:
//
//	magic[4] headLen[4] envelopeLen[8] head[headLen] envelope[envelopeLen] digest[32] attempts
//
// Numbers are big-endian. The head is JSON. The digest is SHA-256 of the head, the envelope and the
// first 16 bytes. Attempts are lines of JSON, which are appended.

const (
	magic        = "OVS1"
	preambleLen  = 16
	digestLen    = sha256.Size
	maxHeadLen   = 16 << 10
	maxAttempts  = 64 // attempts that are kept
	keptAttempts = 16 // attempts that remain when there are more
)

// ErrDamaged means that the file of an entry is damaged or belongs to another store. The spool sets
// the file aside.
// [vault.Spooled].Lock returns this error, and [Config].Warn receives it.
var ErrDamaged = errors.New("damaged entry of the spool")

// A head describes the envelope of an entry.
type head struct {
	ID         string    `json:"id"`
	Store      string    `json:"store"` // [StoreID]
	Vault      string    `json:"vault,omitempty"`
	Tenant     string    `json:"tenant,omitempty"`
	Collection string    `json:"collection"`
	Name       string    `json:"name"`
	Revision   int64     `json:"revision"`
	Created    time.Time `json:"created"`
	Create     bool      `json:"create,omitempty"`
	IfTag      string    `json:"if_tag,omitempty"`
	IfRevision int64     `json:"if_revision,omitempty"`
	IfRewrap   int       `json:"if_rewrap,omitempty"`
	Local      bool      `json:"local,omitempty"` // sealed for the key of the spool
	Identity   string    `json:"identity,omitempty"`
	Replaces   string    `json:"replaces,omitempty"`
	Overwrite  bool      `json:"overwrite,omitempty"`
	Mirrored   bool      `json:"mirrored,omitempty"` // there is no envelope
	Deleted    bool      `json:"deleted,omitempty"`
}

// A line is the JSON of an attempt in the file of an entry.
type line struct {
	Time      time.Time `json:"time"`
	Reason    string    `json:"reason,omitempty"`
	Refused   bool      `json:"refused,omitempty"`
	Unsent    bool      `json:"unsent,omitempty"`
	Sending   bool      `json:"sending,omitempty"`
	Retry     bool      `json:"retry,omitempty"`
	Overwrite bool      `json:"overwrite,omitempty"`
}

func headOf(store string, e vault.SpoolEntry) head {
	return head{
		ID: e.ID, Store: store, Vault: e.Ref.Vault, Tenant: e.Ref.Tenant, Collection: e.Ref.Collection, Name: e.Ref.Name,
		Revision: e.Revision, Created: e.Created.UTC(), Create: e.Create, IfTag: e.IfTag, IfRevision: e.IfRevision, IfRewrap: e.IfRewrap,
		Local: e.Local, Identity: e.Identity, Replaces: e.Replaces, Overwrite: e.Overwrite, Mirrored: e.Mirrored, Deleted: e.Deleted,
	}
}

func (h head) entry() vault.SpoolEntry {
	return vault.SpoolEntry{
		ID: h.ID, Ref: envelope.Ref{Vault: h.Vault, Tenant: h.Tenant, Collection: h.Collection, Name: h.Name},
		Revision: h.Revision, Created: h.Created, Create: h.Create, IfTag: h.IfTag, IfRevision: h.IfRevision, IfRewrap: h.IfRewrap,
		Local: h.Local, Identity: h.Identity, Replaces: h.Replaces, Overwrite: h.Overwrite, Mirrored: h.Mirrored, Deleted: h.Deleted,
	}
}

// A layout is where the parts of an entry are in its file.
type layout struct {
	head     int64 // length
	envelope int64 // length
}

func (l layout) start() int64    { return preambleLen + l.head }
func (l layout) end() int64      { return l.start() + l.envelope }
func (l layout) attempts() int64 { return l.end() + digestLen }

// bytes returns the first bytes of the file.
func (l layout) bytes() []byte {
	b := append(make([]byte, 0, preambleLen), magic...)
	b = binary.BigEndian.AppendUint32(b, uint32(l.head))
	return binary.BigEndian.AppendUint64(b, uint64(l.envelope))
}

func damagedf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// readEntry reads the head and the attempts of an entry. It does not verify the digest.
func readEntry(file *os.File, store, id string) (vault.SpoolEntry, layout, error) {
	fi, err := file.Stat()
	if err != nil {
		return vault.SpoolEntry{}, layout{}, err
	}
	f, err := readStart(file)
	if err != nil {
		return vault.SpoolEntry{}, layout{}, err
	}
	preamble := make([]byte, preambleLen)
	if _, err := f.ReadAt(preamble, 0); err == io.EOF {
		return vault.SpoolEntry{}, layout{}, damagedf("it has %d bytes", fi.Size())
	} else if err != nil {
		return vault.SpoolEntry{}, layout{}, err
	}
	if string(preamble[:len(magic)]) != magic {
		return vault.SpoolEntry{}, layout{}, damagedf("it does not start with %s", magic)
	}
	l := layout{int64(binary.BigEndian.Uint32(preamble[4:])), int64(binary.BigEndian.Uint64(preamble[8:]))}
	if l.head > maxHeadLen || l.envelope < 0 || l.envelope > fi.Size() || l.attempts() > fi.Size() {
		return vault.SpoolEntry{}, layout{}, damagedf("its end is missing")
	}
	text := make([]byte, l.head)
	if _, err := f.ReadAt(text, preambleLen); err != nil {
		return vault.SpoolEntry{}, layout{}, err
	}
	var h head
	if err := json.Unmarshal(text, &h); err != nil {
		return vault.SpoolEntry{}, layout{}, damagedf("its head is not JSON")
	}
	switch {
	case h.Store != store:
		return vault.SpoolEntry{}, layout{}, damagedf("it belongs to the store %s, not to %s", h.Store, store)
	case h.ID != id:
		return vault.SpoolEntry{}, layout{}, damagedf("it is the entry %s, not %s", h.ID, id)
	}
	e := h.entry()
	e.Size = l.envelope
	attempts, err := io.ReadAll(io.NewSectionReader(f, l.attempts(), min(fi.Size()-l.attempts(), 1<<20)))
	if err != nil {
		return vault.SpoolEntry{}, layout{}, err
	}
	for text := range bytes.Lines(attempts) {
		var a line
		if json.Unmarshal(text, &a) != nil {
			continue // a process was killed while it wrote the line
		}
		add(&e, vault.SpoolAttempt(a))
	}
	return e, l, nil
}

// add adds an attempt to the entry.
func add(e *vault.SpoolEntry, a vault.SpoolAttempt) {
	if a.Sending {
		e.Unsent = false
		return
	}
	e.Attempts = append(e.Attempts, a)
	switch {
	case a.Retry:
		e.Refused = a.Refused
	default:
		e.Refused = e.Refused || a.Refused
		e.Unsent = a.Unsent
	}
	e.Overwrite = e.Overwrite || a.Overwrite
}

// A startReader is a file whose start was read. The entry of a short value is read in one request.
type startReader struct {
	f     *os.File
	start []byte
}

func readStart(f *os.File) (*startReader, error) {
	start := make([]byte, 2<<10)
	n, err := f.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return &startReader{f, start[:n]}, nil
}

func (r *startReader) ReadAt(p []byte, offset int64) (int, error) {
	if offset+int64(len(p)) <= int64(len(r.start)) {
		return copy(p, r.start[offset:]), nil
	}
	return r.f.ReadAt(p, offset)
}

// verify compares the digest.
func verify(file *os.File, l layout) error {
	f, err := readStart(file)
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, preambleLen, l.head+l.envelope)); err != nil {
		return err
	}
	sum.Write(l.bytes())
	want := make([]byte, digestLen)
	if _, err := f.ReadAt(want, l.end()); err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		return damagedf("its digest does not match")
	}
	return nil
}

// A writer writes the file of an entry.
type writer struct {
	f   *os.File
	sum hash.Hash
	layout
}

func newWriter(f *os.File, h head) (*writer, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if len(text) > maxHeadLen {
		return nil, fmt.Errorf("the head of an entry has %d bytes, and may have at most %d", len(text), maxHeadLen)
	}
	w := &writer{f: f, sum: sha256.New(), layout: layout{head: int64(len(text))}}
	w.sum.Write(text)
	_, err = f.Write(append(make([]byte, preambleLen), text...)) // without the preamble, until the length of the envelope is known
	return w, err
}

// Write adds p to the envelope. It does not buffer, so its result is exact: if the disk is full,
// the caller knows which bytes were not written.
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	w.sum.Write(p[:n])
	w.envelope += int64(n)
	return n, err
}

// finish completes the file and makes its content durable.
func (w *writer) finish(sync func(*os.File) error) error {
	preamble := w.bytes()
	w.sum.Write(preamble)
	if _, err := w.f.Write(w.sum.Sum(nil)); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(preamble, 0); err != nil {
		return err
	}
	return sync(w.f)
}
