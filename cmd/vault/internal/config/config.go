// Package config finds out what one run of the command shall use: flags win over the
// environment, which wins over the profile in the configuration file, which wins over
// the defaults.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// A Value is a setting and where it came from, for messages.
type Value struct {
	Text string
	From string // "--store", "OBJECTVAULT_STORE", "profile work"; empty for a default
}

// Settings is what a run shall use. Texts are as they were given.
type Settings struct {
	File       string // the configuration file, whether it is there or not
	Found      bool   // it is there
	Profile    string // empty: none
	Store      Value  // empty: the default store
	Tenant     Value
	Collection Value
	Keys       []Value // empty: the default key
	Identity   Value
	VaultID    Value
	Scope      []string // nil: everything; empty: nothing
	ReadOnly   bool
	Timeout    time.Duration
	Deadline   Value // empty: none
	Spool      Value // a directory, [SpoolOff], or empty: the default directory
	// SpoolRequired means that put fails unless the spool can be written.
	SpoolRequired bool
}

// The values of Spool that are no directories.
const (
	SpoolRequire = "require" // put fails unless the spool can be written
	SpoolOff     = "off"     // put saves nothing on this machine
)

// DefaultTimeout is how long anything may go without progress.
const DefaultTimeout = 30 * time.Second

// A Reader has the sources of the settings.
type Reader struct {
	Places
	// Flag returns what was given for a flag, several values for one that repeats;
	// nil means that it was not given.
	Flag func(name string) []string
	// ReadFile reads the configuration file.
	ReadFile func(name string) ([]byte, error)
}

// Read returns the settings. What does not make sense is [ErrInvalid].
func (r Reader) Read() (Settings, error) {
	var s Settings
	explicit, err := r.one("config", "OBJECTVAULT_CONFIG")
	if err != nil {
		return s, err
	}
	if s.File = explicit.Text; s.File == "" {
		// Without a home there is no file, which is no reason to stop: all that is
		// needed may have been given.
		s.File, _ = r.Config()
	}
	f, err := r.file(&s, explicit)
	if err != nil {
		return s, err
	}
	profile, err := r.one("profile", "OBJECTVAULT_PROFILE")
	if err != nil {
		return s, err
	}
	if profile.Text == "" && f.Profile != "" {
		profile = Value{f.Profile, s.File}
	}
	p, ok := f.Profiles[profile.Text]
	if profile.Text != "" && !s.Found {
		return s, fmt.Errorf("%w: %s selects profile %q, but there is no configuration file", ErrInvalid, profile.From, profile.Text)
	}
	if profile.Text != "" && !ok {
		return s, fmt.Errorf("%w: %s selects profile %q, which is not in %s", ErrInvalid, profile.From, profile.Text, s.File)
	}
	s.Profile = profile.Text
	s.Scope, s.ReadOnly = p.Scope, p.ReadOnly

	for _, v := range []struct {
		to            *Value
		flag, env, in string
	}{
		{&s.Store, "store", "OBJECTVAULT_STORE", p.Store},
		{&s.Tenant, "tenant", "OBJECTVAULT_TENANT", p.Tenant},
		{&s.Collection, "collection", "OBJECTVAULT_COLLECTION", p.Collection},
		{&s.Identity, "identity", "OBJECTVAULT_IDENTITY", p.Identity},
		{&s.VaultID, "vault-id", "", p.VaultID},
		{&s.Deadline, "deadline", "OBJECTVAULT_DEADLINE", p.Deadline},
		{&s.Spool, "spool", "OBJECTVAULT_SPOOL", p.Spool},
	} {
		if *v.to, err = r.one(v.flag, v.env); err != nil {
			return s, err
		}
		if v.to.Text == "" && v.in != "" {
			*v.to = Value{v.in, "profile " + s.Profile}
		}
	}
	if s.Keys, err = r.keys(p.Keys, s.Profile); err != nil {
		return s, err
	}
	if s.Timeout, err = r.timeout(); err != nil {
		return s, err
	}
	if s.SpoolRequired = p.Spool == SpoolRequire; s.Spool.Text == SpoolRequire {
		s.Spool.Text, s.SpoolRequired = "", true
	}
	if dir := s.Spool.Text; dir != "" && dir != SpoolOff && !filepath.IsAbs(dir) {
		return s, fmt.Errorf("%w: %s: %q is not an absolute path", ErrInvalid, s.Spool.From, dir)
	}
	_, err = s.TotalTime()
	return s, err
}

// TotalTime returns how long the whole command may take, or 0 where there is no limit.
func (s Settings) TotalTime() (time.Duration, error) {
	if s.Deadline.Text == "" {
		return 0, nil
	}
	return positive(s.Deadline)
}

// one is a setting that has one value, from its flag or else its variable.
func (r Reader) one(flag, env string) (Value, error) {
	if given := r.Flag(flag); len(given) > 0 {
		text := given[len(given)-1]
		if text == "" {
			// An unset variable in a script, most likely: a default would be a surprise.
			return Value{}, fmt.Errorf("%w: --%s is empty", ErrInvalid, flag)
		}
		return Value{text, "--" + flag}, nil
	}
	if env == "" {
		return Value{}, nil
	}
	return Value{r.Getenv(env), env}, nil
}

func (r Reader) keys(profile []string, name string) ([]Value, error) {
	const env = "OBJECTVAULT_KEYS"
	given, from := r.Flag("keys"), "--keys"
	if given == nil {
		if text := r.Getenv(env); text != "" {
			given, from = strings.Split(text, ","), env
		}
	}
	if given == nil {
		given, from = profile, "keys of profile "+name
	}
	var keys []Value
	for _, text := range given {
		if text == "" {
			return nil, fmt.Errorf("%w: %s has an empty entry", ErrInvalid, from)
		}
		keys = append(keys, Value{text, from})
	}
	return keys, nil
}

func (r Reader) timeout() (time.Duration, error) {
	v, err := r.one("timeout", "OBJECTVAULT_TIMEOUT")
	if err != nil || v.Text == "" {
		return DefaultTimeout, err
	}
	return positive(v)
}

// positive is a time above 0.
func positive(v Value) (time.Duration, error) {
	d, err := time.ParseDuration(v.Text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%w: %s: %q is not a duration such as 30s or 2m", ErrInvalid, v.From, v.Text)
	}
	return d, nil
}

// file reads the configuration file. The default file may be missing.
func (r Reader) file(s *Settings, explicit Value) (File, error) {
	if s.File == "" {
		return File{}, nil
	}
	text, err := r.ReadFile(s.File)
	if explicit.Text == "" && errors.Is(err, fs.ErrNotExist) {
		return File{}, nil
	}
	if err != nil {
		from := ""
		if explicit.From != "" {
			from = " (from " + explicit.From + ")"
		}
		return File{}, fmt.Errorf("%w%s: %w", ErrInvalid, from, err)
	}
	s.Found = true
	return ParseFile(s.File, string(text))
}
