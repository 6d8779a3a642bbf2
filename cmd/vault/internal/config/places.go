package config

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Places returns the locations of the command's files: the directories of the XDG specification
// or, if its variables are not set, the native directories of macOS and Windows.
type Places struct {
	GOOS   string
	Getenv func(string) string
	// UserHome returns this user's home directory in the user database, or "" if there is none.
	// It is used if the environment names no home directory. It may be nil.
	UserHome func() string
}

// Config returns the path of the configuration file.
func (p Places) Config() (string, error) {
	return p.place("XDG_CONFIG_HOME", ".config", "Library/Application Support", "AppData", "config.toml")
}

// RootKey returns the path of the root key.
func (p Places) RootKey() (string, error) {
	return p.place("XDG_DATA_HOME", ".local/share", "Library/Application Support", "LocalAppData", "root.key")
}

// Enrolments returns the directory of the records of enrolled key sources.
func (p Places) Enrolments() (string, error) {
	return p.place("XDG_DATA_HOME", ".local/share", "Library/Application Support", "LocalAppData", "keys")
}

// Store returns the directory of the default store.
func (p Places) Store() (string, error) {
	return p.place("XDG_DATA_HOME", ".local/share", "Library/Application Support", "LocalAppData", "store")
}

// Logins returns the directory that contains the credentials of logins until they expire.
func (p Places) Logins() (string, error) {
	return p.place("XDG_STATE_HOME", ".local/state", "Library/Application Support", "LocalAppData", "logins")
}

// Spool is the directory where values are saved until a store has them.
func (p Places) Spool() (string, error) {
	return p.place("XDG_STATE_HOME", ".local/state", "Library/Application Support", "LocalAppData", "spool")
}

// Owed is the directory that remembers which objects miss a key.
func (p Places) Owed() (string, error) {
	return p.place("XDG_STATE_HOME", ".local/state", "Library/Application Support", "LocalAppData", "owed")
}

// Seen returns the directory where this machine remembers what it has seen of the stores.
func (p Places) Seen() (string, error) {
	return p.place("XDG_STATE_HOME", ".local/state", "Library/Application Support", "LocalAppData", "seen")
}

// Verified returns the directory that remembers how far interrupted runs of verify came.
func (p Places) Verified() (string, error) {
	return p.place("XDG_STATE_HOME", ".local/state", "Library/Application Support", "LocalAppData", "verify")
}

// place returns the path of file in the directory of this program. A relative XDG variable is
// ignored, as the XDG specification requires.
func (p Places) place(xdg, home, darwin, windows, file string) (string, error) {
	if dir := p.Getenv(xdg); filepath.IsAbs(dir) {
		return filepath.Join(dir, "objectvault", file), nil
	}
	variable, below := "HOME", home // below the user's home
	switch p.GOOS {
	case "windows":
		variable, home, below = windows, "", windowsFolders[windows]
	case "darwin":
		home, below = darwin, darwin
	}
	dir := p.Getenv(variable)
	if !filepath.IsAbs(dir) && p.UserHome != nil {
		dir, home = p.UserHome(), below
	}
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("%w for %s: neither %s nor %s nor the user database contains an absolute path", ErrNoHome, file, xdg, variable)
	}
	return filepath.Join(dir, filepath.FromSlash(home), "objectvault", file), nil
}

// windowsFolders are the usual values of the variables, relative to the user's home directory.
var windowsFolders = map[string]string{"AppData": "AppData/Roaming", "LocalAppData": "AppData/Local"}

// ErrInvalid means that a flag, an environment variable or the configuration file is invalid. The
// message names the setting.
var ErrInvalid = errors.New("configuration")

// ErrNoHome means that neither the environment nor the user database names a home directory. It
// wraps [ErrInvalid].
var ErrNoHome = fmt.Errorf("%w: there is no directory", ErrInvalid)
