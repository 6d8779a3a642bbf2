package vaulturl

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/keyring"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/envelope/kek/passphrase"
	"github.com/objectvault/objectvault/envelope/kek/signer"
	"github.com/objectvault/objectvault/internal/durable"
	"github.com/objectvault/objectvault/internal/filelock"
)

// An Enrolment is the record of a key source that was enrolled on this machine. It contains no
// secret. A source uses it when it seals: it makes sure that nothing is sealed for a key, an address
// or a passphrase that is not the enrolled one.
type Enrolment struct {
	Version  int       `json:"version"`  // 1
	Source   string    `json:"source"`   // the URL of the source, without parameters that only concern access
	Enrolled time.Time `json:"enrolled"` // when the source was enrolled
	// Fingerprint is a short identifier of the key, if it has one: compare it to find out whether
	// two machines have the same key.
	Fingerprint string                `json:"fingerprint,omitempty"`
	Keyring     *keyring.Enrolment    `json:"keyring,omitempty"`
	Passphrase  *passphrase.Enrolment `json:"passphrase,omitempty"`
	Signer      *signer.Enrolment     `json:"signer,omitempty"`
	KMS         *kms.Enrolment        `json:"kms,omitempty"`
}

// enrolmentVersion is the version of the record's format.
const enrolmentVersion = 1

// ErrEnrolment means that the record of a key source is damaged, or that another user could have
// written it. The error also wraps [kek.ErrKeyFile].
var ErrEnrolment error = badEnrolment{}

type badEnrolment struct{}

func (badEnrolment) Error() string { return "unusable enrolment" }
func (badEnrolment) Unwrap() error { return kek.ErrKeyFile }

// check returns an error if e cannot be the record of a source.
func (e *Enrolment) check() error {
	switch {
	case e.Version < 1:
		return fmt.Errorf("%w: it is not a record, because it has no version", ErrEnrolment)
	case e.Version > enrolmentVersion:
		return fmt.Errorf("%w: version %d needs a newer vault", ErrEnrolment, e.Version)
	}
	parts := e.parts()
	for _, part := range parts {
		if err := part.Check(); err != nil {
			return fmt.Errorf("%w: %w", ErrEnrolment, err)
		}
	}
	if len(parts) != 1 {
		return fmt.Errorf("%w: it has %d parts instead of one", ErrEnrolment, len(parts))
	}
	return nil
}

// parts returns the records of single kinds of sources. There is one.
func (e *Enrolment) parts() (list []interface{ Check() error }) {
	if e.Keyring != nil {
		list = append(list, e.Keyring)
	}
	if e.Passphrase != nil {
		list = append(list, e.Passphrase)
	}
	if e.Signer != nil {
		list = append(list, e.Signer)
	}
	if e.KMS != nil {
		list = append(list, e.KMS)
	}
	return list
}

// file returns the path of the record of the source id.
func (k *keyURL) file(id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(k.options.Records, hex.EncodeToString(sum[:8])+".json")
}

// enrolment reads the record. Without one it returns a zero Enrolment and no error.
func (k *keyURL) enrolment() (e Enrolment, err error) {
	if k.options.Records == "" {
		return Enrolment{}, nil
	}
	for _, id := range []string{k.id, k.general} {
		if id == "" {
			continue
		}
		if e, err = readEnrolment(k.file(id), id); !errors.Is(err, fs.ErrNotExist) {
			return e, err
		}
	}
	return Enrolment{}, nil
}

// maxEnrolment is the maximum length of a record.
const maxEnrolment = 64 << 10

func readEnrolment(path, id string) (e Enrolment, err error) {
	f, err := openNow(path)
	if err != nil {
		return Enrolment{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Enrolment{}, err
	}
	if err := checkOwner(path, info); err != nil {
		return Enrolment{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxEnrolment))
	if err != nil {
		return Enrolment{}, err
	}
	if e, err = ParseEnrolment(text); err == nil && e.Source != id {
		err = fmt.Errorf("%w: it is for the source %s", ErrEnrolment, e.Source)
	}
	if err != nil {
		return Enrolment{}, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

// ParseEnrolment parses the text of a record, for example that of another machine. If it is
// malformed, the error wraps [ErrEnrolment].
func ParseEnrolment(text []byte) (e Enrolment, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return Enrolment{}, fmt.Errorf("%w: it is not a record of this version of vault", ErrEnrolment)
	}
	if _, err := d.Token(); err != io.EOF {
		return Enrolment{}, fmt.Errorf("%w: text follows the record", ErrEnrolment)
	}
	return e, e.check()
}

// An Enrolled is the result of [EnrolKeySource].
type Enrolled struct {
	Enrolment
	Path    string // of the record
	Created bool   // false: the source had been enrolled before
}

// ErrNoEnrolment means that a key source needs no enrolment: its URL is enough.
var ErrNoEnrolment = errors.New("the key source needs no enrolment")

// EnrolOptions configures [EnrolKeySource]. Nil, or the zero value, creates a new enrolment.
type EnrolOptions struct {
	// Import is the record of another machine. Nil means that there is none.
	Import *Enrolment
	// Root is the root key of another machine, for a keyring: source. Zero means that there is none.
	Root kek.Root
}

// EnrolKeySource enrols the key source at a URL: it makes sure that the source works, and stores a
// record in the directory [Options].Records. If there is a record, it stays, and Created is false.
// Even then, an imported root key is stored in its keyring, if the keyring has none. For a source
// that needs no enrolment, the error wraps [ErrNoEnrolment]. If the import is for another source,
// the error wraps [ErrEnrolment]. If there is a record that differs from the import, it wraps
// [io/fs.ErrExist].
func EnrolKeySource(ctx context.Context, keyURL string, o *Options, how *EnrolOptions) (Enrolled, error) {
	k, err := parseKey(keyURL, o.orZero())
	switch {
	case err != nil:
		return Enrolled{}, err
	case k.enrol == nil:
		return Enrolled{}, ErrNoEnrolment
	case k.options.Records == "":
		return Enrolled{}, &URLError{"there is no directory for enrolments: Options.Records is empty", ""}
	}
	if how == nil {
		how = &EnrolOptions{}
	}
	if how.Root != (kek.Root{}) && !k.importsRoot {
		return Enrolled{}, fmt.Errorf("%w: the source has a key of its own, so a root key cannot be imported", ErrEnrolment)
	}
	if how.Import != nil && k.general != "" && how.Import.Source == k.general {
		k.id = k.general
	}
	if how.Import != nil && how.Import.Source != k.id {
		return Enrolled{}, fmt.Errorf("%w: it is for the source %s, not %s", ErrEnrolment, how.Import.Source, k.id)
	}
	unlock, err := k.lock(ctx)
	if err != nil {
		return Enrolled{}, err
	}
	defer unlock()
	result := Enrolled{Path: k.file(k.id)}
	result.Enrolment, err = readEnrolment(result.Path, k.id)
	switch {
	case err == nil && how.Import != nil && !sameSource(result.Enrolment, *how.Import):
		return Enrolled{}, fmt.Errorf("%s is another enrolment of the source: %w", result.Path, fs.ErrExist)
	case err == nil && how.Root != (kek.Root{}) && kek.NewLocal(how.Root).Fingerprint() != result.Fingerprint:
		return Enrolled{}, fmt.Errorf("%s is the enrolment of another root key: %w", result.Path, fs.ErrExist)
	case err == nil && how.Root != (kek.Root{}):
		// The keyring may have lost the root key, or the record was copied to this machine without it.
		_, err = k.enrol(ctx, how.Root)
		return result, err
	case !errors.Is(err, fs.ErrNotExist):
		return result, err
	case how.Import != nil:
		result.Enrolment = *how.Import
	default:
		if result.Enrolment, err = k.enrol(ctx, how.Root); err != nil {
			return Enrolled{}, err
		}
		result.Version, result.Source, result.Enrolled = enrolmentVersion, k.id, k.options.now().UTC().Truncate(time.Second)
	}
	if err := result.check(); err != nil {
		return Enrolled{}, err
	}
	text, err := json.MarshalIndent(result.Enrolment, "", "  ")
	if err != nil {
		return Enrolled{}, err
	}
	result.Created = true
	return result, durable.Create(result.Path, append(text, '\n'))
}

// sameSource reports whether two records are equal, apart from their time.
func sameSource(a, b Enrolment) bool {
	a.Enrolled, b.Enrolled = time.Time{}, time.Time{}
	ta, erra := json.Marshal(a)
	tb, errb := json.Marshal(b)
	return erra == nil && errb == nil && bytes.Equal(ta, tb)
}

// lock makes sure that only one process enrols a source at a time, because two could create two keys.
func (k *keyURL) lock(ctx context.Context) (unlock func(), err error) {
	if err := durable.MakeDir(k.options.Records); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(k.options.Records, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, k.options.timeout())
	defer cancel()
	if err := filelock.Lock(ctx, f); err != nil {
		f.Close()
		return nil, fmt.Errorf("another process enrols a key source: %w", err)
	}
	return func() { f.Close() }, nil
}

// A KeyInfo describes a key source: see [InspectKeySource].
type KeyInfo struct {
	Enrolment *Enrolment // nil: there is none
	Path      string     // where the record is, or would be; empty for a source that needs none
	// Fingerprint identifies the root key that the source has now; empty if it has none that can be
	// read without a request.
	Fingerprint string
	// Err is the reason why the source cannot be used now; nil means that it can.
	Err error
}

// InspectKeySource opens the key source at a URL and tries it: it seals and opens a data key. It
// returns an error only if the URL is invalid.
func InspectKeySource(ctx context.Context, keyURL string, o *Options) (KeyInfo, error) {
	k, err := parseKey(keyURL, o.orZero())
	if err != nil {
		return KeyInfo{}, err
	}
	var info KeyInfo
	if k.enrol != nil && k.options.Records != "" {
		info.Path = k.file(k.id)
		e, err := k.enrolment()
		switch {
		case err != nil:
			info.Err = err
			return info, nil
		case e.Version != 0:
			info.Path, info.Enrolment, info.Fingerprint = k.file(e.Source), &e, e.Fingerprint
		}
	}
	source, err := k.open(ctx)
	if err == nil {
		if l, ok := source.(*kek.Local); ok {
			info.Fingerprint = l.Fingerprint()
		}
		err = TryKeySource(ctx, source)
	}
	info.Err = err
	return info, nil
}

// TryKeySource seals a random data key with source, and opens it again.
func TryKeySource(ctx context.Context, source envelope.KeySource) error {
	if c, ok := source.(io.Closer); ok {
		defer c.Close()
	}
	ref := envelope.Ref{Vault: "objectvault", Collection: "test", Name: "test"}
	var sealed bytes.Buffer
	w, err := envelope.Seal(ctx, &sealed, ref, []envelope.KeySource{source}, nil)
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		_, err = envelope.Open(ctx, &sealed, ref, []envelope.KeySource{source})
	}
	return err
}
