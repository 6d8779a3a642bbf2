package federation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/objectvault/objectvault/internal/durable"
)

// A Cache keeps the temporary credentials of logins in a directory, mode 0700, one file
// 0600 a login. The secrets are in the clear there, which is what a login asks for.
type Cache struct {
	Dir string           // absolute; made by Save
	Now func() time.Time // nil means [time.Now]
}

// A Login is what a login obtained, and for what.
type Login struct {
	Credentials
	Tenant          string
	Store, Identity string // as shown to the user, without what may be secret
	Source          string // the [CacheKey] of the identity, which tells it from others
}

// CacheKey is the name of a login: the SHA-256 over parts, each after its length, in hex.
func CacheKey(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		io.WriteString(h, part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// loginFormat is in the first line of each file.
const loginFormat = "objectvault login 1"

// A loginFile is the JSON in the file of a login.
type loginFile struct {
	Format       string    `json:"format"`
	AccessKeyID  string    `json:"access_key_id"`
	SecretKey    string    `json:"secret_key"`
	SessionToken string    `json:"session_token"`
	Issued       time.Time `json:"issued"`
	Expires      time.Time `json:"expires"`
	Role         string    `json:"role,omitempty"`
	Session      string    `json:"session,omitempty"`
	Account      string    `json:"account,omitempty"`
	Subject      string    `json:"subject,omitempty"`
	Issuer       string    `json:"issuer,omitempty"`
	Tenant       string    `json:"tenant,omitempty"`
	Store        string    `json:"store,omitempty"`
	Identity     string    `json:"identity,omitempty"`
	Source       string    `json:"source,omitempty"`
}

// maxLogin bounds a file; the session token is what may be long.
const maxLogin = 256 << 10

// Load returns the login of key. None is [fs.ErrNotExist], one that has expired is
// a [*LoginExpiredError]; a
// file that others may use, or that is malformed, is [ErrLoginFile] and stays.
func (c Cache) Load(key string) (Login, error) {
	path, err := c.path(key)
	if err != nil {
		return Login{}, err
	}
	f, err := openLogin(path)
	if err != nil {
		return Login{}, err
	}
	defer f.Close()
	if err := c.checkDir(); err != nil {
		return Login{}, err
	}
	info, err := f.Stat() // of what was opened: path may mean another file by now
	if err != nil {
		return Login{}, err
	}
	if err := checkOwn(path, info, "600"); err != nil {
		return Login{}, err
	}
	if !info.Mode().IsRegular() {
		return Login{}, fmt.Errorf("%w: %s is not a regular file: remove it, and log in again", ErrLoginFile, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxLogin+1))
	defer clear(text)
	if err != nil {
		return Login{}, err
	}
	l, ok := parseLogin(text)
	if !ok {
		return Login{}, fmt.Errorf("%w: %s is malformed: log out, and log in again", ErrLoginFile, path)
	}
	if l.expired(c.now()) {
		return Login{}, &LoginExpiredError{l.Expires}
	}
	return l, nil
}

func parseLogin(text []byte) (Login, bool) {
	var v loginFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if len(text) > maxLogin || d.Decode(&v) != nil || v.Format != loginFormat || v.AccessKeyID == "" || v.Expires.IsZero() {
		return Login{}, false
	}
	if _, err := d.Token(); err != io.EOF {
		return Login{}, false
	}
	return Login{
		Credentials: Credentials{
			AccessKeyID: v.AccessKeyID, SecretKey: NewSecret(v.SecretKey), SessionToken: NewSecret(v.SessionToken),
			Issued: v.Issued, Expires: v.Expires,
			Role: v.Role, Session: v.Session, Account: v.Account, Subject: v.Subject, Issuer: v.Issuer,
		},
		Tenant: v.Tenant, Store: v.Store, Identity: v.Identity, Source: v.Source,
	}, true
}

// Save writes the login of key in place of one that may be there. It is on disk when
// Save returns; on error the old one, or none, is there as before.
func (c Cache) Save(key string, l Login) error {
	path, err := c.path(key)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(loginFile{
		Format: loginFormat, AccessKeyID: l.AccessKeyID, SecretKey: l.SecretKey.Reveal(), SessionToken: l.SessionToken.Reveal(),
		Issued: l.Issued.UTC(), Expires: l.Expires.UTC(),
		Role: l.Role, Session: l.Session, Account: l.Account, Subject: l.Subject, Issuer: l.Issuer,
		Tenant: l.Tenant, Store: l.Store, Identity: l.Identity, Source: l.Source,
	}, "", "\t")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	defer clear(text)
	if _, ok := parseLogin(text); !ok {
		return errors.New("a login without key id or expiry, or larger than 256 KiB, is not kept")
	}
	if err := durable.MakeDir(c.Dir); err != nil {
		return err
	}
	if err := c.checkDir(); err != nil {
		return err
	}
	return durable.Replace(path, text)
}

// Remove removes the login of key, and what a Save that was killed left of it, whatever
// state they are in. It returns false when there was none.
func (c Cache) Remove(key string) (bool, error) {
	path, err := c.path(key)
	if err != nil {
		return false, err
	}
	paths := []string{path}
	entries, err := os.ReadDir(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if ok, _ := filepath.Match(durable.TempPattern(key), e.Name()); ok {
			paths = append(paths, filepath.Join(c.Dir, e.Name()))
		}
	}
	removed := false
	for _, p := range paths {
		switch err := os.Remove(p); {
		case err == nil:
			removed = removed || p == path
		case !errors.Is(err, fs.ErrNotExist):
			return removed, err
		}
	}
	if err := durable.SyncDir(c.Dir); err != nil && !durable.NoSync(err) {
		return removed, err
	}
	return removed, nil
}

// path is the file of key, which must be one: a name with a separator would lead
// elsewhere.
func (c Cache) path(key string) (string, error) {
	if b, err := hex.DecodeString(key); err != nil || len(b) != sha256.Size {
		return "", errors.New("federation: a key of a login is made by CacheKey")
	}
	if !filepath.IsAbs(c.Dir) {
		return "", errors.New("federation: a Cache needs an absolute directory")
	}
	return filepath.Join(c.Dir, key), nil
}

func (c Cache) checkDir() error {
	info, err := os.Stat(c.Dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: %s is not a directory", ErrLoginFile, c.Dir)
	}
	return checkOwn(c.Dir, info, "700")
}

func (c Cache) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}
