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

// A Cache stores the temporary credentials of logins in a directory of mode 0700, in one file
// of mode 0600 for each login. The secrets in it are not encrypted.
type Cache struct {
	Dir string           // absolute; created by Save
	Now func() time.Time // nil means [time.Now]
}

// A Login contains temporary credentials and the store and identity that they were obtained
// for.
type Login struct {
	Credentials
	Tenant          string
	Store, Identity string // for display, without secrets
	Source          string // the [CacheKey] of the identity
}

// CacheKey returns a key for the methods of [Cache]: the SHA-256, in hex, of the length and the
// bytes of each part. The parts must distinguish the login from others: for example, pass the
// tenant and the URL of the store.
func CacheKey(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		io.WriteString(h, part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// loginFormat is the first line of each file.
const loginFormat = "objectvault login 1"

// A loginFile is the JSON document in the file of a login.
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

// maxLogin is the maximum size of a file; session tokens may be long.
const maxLogin = 256 << 10

// Load returns the login of key. If there is none, the error is [fs.ErrNotExist]. If the login has
// expired, the error is a [*LoginExpiredError]. If the file is malformed, or other users may access
// it, the error is [ErrLoginFile], and the file is not removed.
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
	info, err := f.Stat() // check the open file, because path may already be another file
	if err != nil {
		return Login{}, err
	}
	if err := checkPrivateFile(path, info, "600"); err != nil {
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
		return Login{}, &LoginExpiredError{At: l.Expires, Tenant: l.Tenant, Source: l.Source}
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

// Save stores the login of key and replaces any other. When Save returns nil, the login is on
// disk; when it fails, the previous state is unchanged.
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
		return errors.New("cannot save a login without key id or expiry, or larger than 256 KiB")
	}
	if err := durable.MakeDir(c.Dir); err != nil {
		return err
	}
	if err := c.checkDir(); err != nil {
		return err
	}
	return durable.Replace(path, text)
}

// Remove removes the login of key, even if it is expired or malformed, and the temporary files of an
// interrupted Save. It returns false if there was no login.
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

// path returns the path of the login's file. It rejects a key that CacheKey cannot return, because a
// separator in the key would lead to another directory.
func (c Cache) path(key string) (string, error) {
	if b, err := hex.DecodeString(key); err != nil || len(b) != sha256.Size {
		return "", errors.New("federation: invalid key of a login: use CacheKey to create it")
	}
	if !filepath.IsAbs(c.Dir) {
		return "", errors.New("federation: the directory of a Cache must be absolute")
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
	return checkPrivateFile(c.Dir, info, "700")
}

func (c Cache) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}
