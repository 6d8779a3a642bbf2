package config

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Places says where things are kept: what XDG asks for, and the native folders of
// macOS and Windows where its variables are not set.
type Places struct {
	GOOS   string
	Getenv func(string) string
	// UserHome returns the home directory that the user database has for this user, for where
	// the environment names none; empty: it has none. Nil means that it is not asked.
	UserHome func() string
}

// Config is the configuration file.
func (p Places) Config() (string, error) {
	return p.place("XDG_CONFIG_HOME", ".config", "Library/Application Support", "AppData", "config.toml")
}

// RootKey is the file of the root key.
func (p Places) RootKey() (string, error) {
	return p.place("XDG_DATA_HOME", ".local/share", "Library/Application Support", "LocalAppData", "root.key")
}

// Store is the directory of the store that is used where none was named.
func (p Places) Store() (string, error) {
	return p.place("XDG_DATA_HOME", ".local/share", "Library/Application Support", "LocalAppData", "store")
}

// Logins is the directory where the credentials of a login are kept until they expire.
func (p Places) Logins() (string, error) {
	return p.place("XDG_STATE_HOME", ".local/state", "Library/Application Support", "LocalAppData", "logins")
}

// Spool is the directory where values are saved until a store has them.
func (p Places) Spool() (string, error) {
	return p.place("XDG_STATE_HOME", ".local/state", "Library/Application Support", "LocalAppData", "spool")
}

// place is file in our folder. A relative XDG variable is ignored, as its
// specification asks.
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
		return "", fmt.Errorf("%w for %s: neither %s nor %s names a directory, nor does the user database", ErrNoHome, file, xdg, variable)
	}
	return filepath.Join(dir, filepath.FromSlash(home), "objectvault", file), nil
}

// windowsFolders are the values that the variables have, below the user's home.
var windowsFolders = map[string]string{"AppData": "AppData/Roaming", "LocalAppData": "AppData/Local"}

// ErrInvalid means that flags, environment or configuration file do not make sense;
// the message names the one to blame.
var ErrInvalid = errors.New("configuration")

// ErrNoHome means that neither the environment nor the user database names a home directory. It is [ErrInvalid].
var ErrNoHome = fmt.Errorf("%w: no place", ErrInvalid)
