package credserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/objectvault/objectvault/internal/filelock"
	"github.com/objectvault/objectvault/vault"
)

// A TokenFile is a [Verifier] that knows the tokens of a file. Each line is a JSON object; scope and
// expires are optional, and so are the members of scope:
//
//	{"sha256":"<64 hex digits>","wallet":"0x…","scope":{"services":["openrouter"],"read_only":true},"expires":"2027-01-31T12:00:00Z"}
//
// The file contains the SHA-256 of each token, and not the token. Only its owner may have access to
// it (mode 0600 or stricter, except on Windows), because a user who can write it can add a token.
//
// Verify reads the file again when it has changed. If the file is then malformed, or another user may
// have access to it, the tokens stay as they were, and one line is logged. If the file was removed, no
// token is valid.
type TokenFile struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	info   fs.FileInfo // of the file that was read last, or could not be read; nil: it did not exist
	grants map[[sha256.Size]byte]Grant
}

// maxTokenFile is the maximum length of a token file in bytes.
const maxTokenFile = 1 << 20

// OpenTokenFile reads the token file at path. log receives later problems; it may be nil. If the file
// does not exist, the error wraps [fs.ErrNotExist]. If it is malformed, or other users may have access
// to it, the error wraps [vault.ErrConfig].
func OpenTokenFile(path string, log *slog.Logger) (*TokenFile, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &TokenFile{path: path, log: log}
	var err error
	f.grants, f.info, err = readTokens(path)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Verify implements [Verifier]. It does not fail, except with [ErrToken].
func (f *TokenFile) Verify(_ context.Context, token string) (Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	// The hash of a guess says nothing about the hash of a token, so the time of the look-up may
	// depend on it.
	g, found := f.grants[sha256.Sum256([]byte(token))]
	if !found {
		return Grant{}, ErrToken
	}
	return g, nil
}

// refresh reads the file again, if it has changed.
func (f *TokenFile) refresh() {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if f.info != nil {
			f.log.Error("the token file is gone, so no token is valid", "path", f.path)
		}
		f.info, f.grants = nil, nil
		return
	case err != nil: // for example too many open files
		return
	case f.info != nil && os.SameFile(f.info, info) && f.info.ModTime().Equal(info.ModTime()) && f.info.Size() == info.Size() && f.info.Mode() == info.Mode():
		return
	}
	grants, read, err := readTokens(f.path)
	if err != nil {
		f.info = info // log it once
		f.log.Error("the token file has changed and cannot be used; the tokens stay as they were", "path", f.path, "error", err)
		return
	}
	f.info, f.grants = read, grants
}

// readTokens reads the token file at path.
func readTokens(path string) (map[[sha256.Size]byte]Grant, fs.FileInfo, error) {
	f, err := openPrivate(path, os.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	return parseTokens(f)
}

func parseTokens(f *os.File) (map[[sha256.Size]byte]Grant, fs.FileInfo, error) {
	info, err := f.Stat() // before it is read: a later change is then noticed
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	switch {
	case err != nil:
		return nil, nil, err
	case len(text) > maxTokenFile:
		return nil, nil, fmt.Errorf("%w: %s has more than 1 MiB", vault.ErrConfig, f.Name())
	}
	grants := make(map[[sha256.Size]byte]Grant)
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := addToken(grants, line); err != nil {
			return nil, nil, fmt.Errorf("%w: %s, line %d: %w", vault.ErrConfig, f.Name(), n, err)
		}
	}
	return grants, info, nil
}

// addToken adds the token of a line.
func addToken(grants map[[sha256.Size]byte]Grant, line []byte) error {
	o, err := parseObject(line)
	if err != nil {
		return err
	}
	text, err := o.text("sha256")
	if err != nil {
		return err
	}
	hash, err := hex.DecodeString(text)
	if err != nil || len(hash) != sha256.Size {
		return errors.New("sha256 is not 64 hex digits")
	}
	if _, twice := grants[[sha256.Size]byte(hash)]; twice {
		return errors.New("the token of an earlier line occurs again")
	}
	grants[[sha256.Size]byte(hash)], err = parseGrant(o)
	return err
}

// parseScope adds the scope of a token to g.
func parseScope(text json.RawMessage, g *Grant) error {
	o, err := parseObject(text)
	if err != nil {
		return fmt.Errorf("scope: %w", err)
	}
	for name, value := range o {
		switch name {
		case "services":
			// A null would mean all services.
			if err := json.Unmarshal(value, &g.Services); err != nil || g.Services == nil {
				return errors.New("scope: services is not a list of names")
			}
		case "read_only":
			var readOnly *bool
			if err := json.Unmarshal(value, &readOnly); err != nil || readOnly == nil {
				return errors.New("scope: read_only is not true or false")
			}
			g.ReadOnly = *readOnly
		default:
			return fmt.Errorf("scope: it has the unknown member %q", name)
		}
	}
	return nil
}

// A tokenLine is a line of a token file.
type tokenLine struct {
	SHA256  string     `json:"sha256"`
	Wallet  string     `json:"wallet"`
	Scope   *lineScope `json:"scope,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
}

type lineScope struct {
	Services *[]string `json:"services,omitempty"`
	ReadOnly bool      `json:"read_only"`
}

// NewToken adds a new token with the given grant to the token file at path, and returns the token. It
// creates the file, with mode 0600, if it does not exist. The token is not stored anywhere: the caller
// must show it once. A running server accepts it from its next request. If NewToken fails, it has
// added no token. If the file is malformed, or other users may have access to it, the error wraps
// [vault.ErrConfig].
func NewToken(ctx context.Context, path string, g Grant) (token string, err error) {
	if g.Wallet == "" {
		return "", fmt.Errorf("%w: the wallet of the token is missing", vault.ErrConfig)
	}
	f, err := openPrivate(path, os.O_RDWR|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			token, err = "", cerr
		}
	}()
	if err := filelock.Lock(ctx, f); err != nil { // until it is closed
		return "", err
	}
	if _, _, err := parseTokens(f); err != nil {
		return "", err
	}
	var secret [32]byte
	rand.Read(secret[:]) // it does not fail
	token = base64.RawURLEncoding.EncodeToString(secret[:])
	hash := sha256.Sum256([]byte(token))
	line := tokenLine{SHA256: hex.EncodeToString(hash[:]), Wallet: g.Wallet}
	if !g.unscoped() {
		line.Scope = &lineScope{ReadOnly: g.ReadOnly}
		if g.Services != nil {
			line.Scope.Services = &g.Services
		}
	}
	if !g.Expires.IsZero() {
		expires := g.Expires.UTC().Truncate(time.Second)
		line.Expires = &expires
	}
	text, err := json.Marshal(line)
	if err != nil {
		return "", fmt.Errorf("%w: the expiry of the token: %w", vault.ErrConfig, err)
	}
	if err := appendLine(f, text); err != nil {
		return "", err
	}
	return token, nil
}

// appendLine appends a line to f, in one write, so that a reader does not find a part of it. If it
// fails, it removes the part that was written.
func appendLine(f *os.File, line []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	text := append(bytes.Clone(line), '\n')
	if size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			text = append([]byte{'\n'}, text...)
		}
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Truncate(size)
	}
	return err
}
