// Package config reads the settings of one run of the command. Flags override environment
// variables, which override the profile in the configuration file, which overrides the defaults.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/objectvault/objectvault/internal/text"
)

// A Value is a setting and its origin, for messages.
type Value struct {
	Text string
	From string // "--store", "OBJECTVAULT_STORE", "profile work"; empty for a default
}

// Overrides reports whether v was set closer to the command than other: a flag overrides a variable, which
// overrides the profile, which overrides the default.
func (v Value) Overrides(other Value) bool { return v.precedence() > other.precedence() }

func (v Value) precedence() int {
	switch {
	case v.Text == "":
		return 0
	case strings.HasPrefix(v.From, "profile "):
		return 1
	case strings.HasPrefix(v.From, "--"):
		return 3
	}
	return 2
}

// Settings are the settings of a run. Their texts are unchanged and not yet parsed.
type Settings struct {
	File       string // the path of the configuration file, which may not exist
	Found      bool   // the configuration file exists
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
	KeysRequired  Value   // [KeysAll], [KeysOne], or empty: all
	Seen          Value   // a directory, [SeenOff], or empty: the default directory
	Mirrors       []Value // further stores: profiles, or URLs
	Quorum        int     // the number of stores that must have a value; 0: the first one must
	Log           Value   // a file; empty: none
	Write         Value   // [WriteAgentKeysV1], [WriteAgentKeysV2], or empty: envelopes
}

// The values of Spool that are no directories.
const (
	SpoolRequire = "require" // put fails unless the spool can be written
	SpoolOff     = "off"     // put saves nothing on this machine
)

// The values of KeysRequired: whether a put needs all of several key sources, or one.
const (
	KeysAll = "all"
	KeysOne = "one"
)

// SeenOff is the value of Seen that is no directory: nothing is remembered of the store.
const SeenOff = "off"

// The values of Write: put stores objects in a format of agentKeys instead of envelopes.
const (
	WriteAgentKeysV1 = "agentkeys-v1"
	WriteAgentKeysV2 = "agentkeys-v2"
)

// DefaultTimeout is the maximum time that a connection may be silent.
const DefaultTimeout = 30 * time.Second

// MirroredTimeout takes the place of DefaultTimeout in a profile with mirrors: another store can answer.
const MirroredTimeout = 10 * time.Second

// A Reader contains the sources of the settings.
type Reader struct {
	Places
	// Flag returns the values of a flag, which may be repeated. Nil means that the flag is not
	// set.
	Flag func(name string) []string
	// Profile is the profile, in place of that of the flag, the variable or the file. It may be empty.
	Profile string
	// ReadFile reads the configuration file.
	ReadFile func(name string) ([]byte, error)
}

// Read returns the settings. Invalid settings are [ErrInvalid].
func (r Reader) Read() (Settings, error) {
	var s Settings
	explicit, err := r.single("config", "OBJECTVAULT_CONFIG")
	if err != nil {
		return s, err
	}
	if s.File = explicit.Text; s.File == "" {
		// Without a home directory there is no configuration file. This is no error, because flags
		// and variables may be sufficient.
		s.File, _ = r.Config()
	}
	f, err := r.file(&s, explicit)
	if err != nil {
		return s, err
	}
	profile, err := r.profile(f, s.File)
	if err != nil {
		return s, err
	}
	p, ok := f.Profiles[profile.Text]
	if r.Profile != "" && !ok {
		return s, fmt.Errorf("%w: there is no profile %q in %s", ErrInvalid, r.Profile, cmp.Or(s.File, "a configuration file"))
	}
	if profile.Text != "" && !s.Found {
		return s, fmt.Errorf("%w: %s selects profile %q, but there is no configuration file", ErrInvalid, profile.From, profile.Text)
	}
	if profile.Text != "" && !ok {
		return s, fmt.Errorf("%w: %s selects profile %q, which is not in %s", ErrInvalid, profile.From, profile.Text, s.File)
	}
	s.Profile = profile.Text
	s.Scope, s.ReadOnly = p.Scope, p.ReadOnly
	if err := r.mirrors(&s, p); err != nil {
		return s, err
	}

	for _, v := range []struct {
		setting            *Value
		flag, env, profile string
	}{
		{&s.Store, "store", "OBJECTVAULT_STORE", p.Store},
		{&s.Tenant, "tenant", "OBJECTVAULT_TENANT", p.Tenant},
		{&s.Collection, "collection", "OBJECTVAULT_COLLECTION", p.Collection},
		{&s.Identity, "identity", "OBJECTVAULT_IDENTITY", p.Identity},
		{&s.VaultID, "vault-id", "", p.VaultID},
		{&s.Deadline, "deadline", "OBJECTVAULT_DEADLINE", p.Deadline},
		{&s.Spool, "spool", "OBJECTVAULT_SPOOL", p.Spool},
		{&s.Seen, "", "OBJECTVAULT_SEEN", p.Seen},
		{&s.Log, "log", "OBJECTVAULT_LOG", p.Log},
		{&s.KeysRequired, "", "OBJECTVAULT_KEYS_REQUIRED", p.KeysRequired},
		{&s.Write, "", "", p.Write},
	} {
		if *v.setting, err = r.single(v.flag, v.env); err != nil {
			return s, err
		}
		if v.setting.Text == "" && v.profile != "" {
			*v.setting = Value{v.profile, "profile " + s.Profile}
		}
	}
	if s.Keys, err = r.keys(p.Keys, s.Profile); err != nil {
		return s, err
	}
	if s.Timeout, err = r.timeout(s.Mirrors); err != nil {
		return s, err
	}
	if s.SpoolRequired = p.Spool == SpoolRequire; s.Spool.Text == SpoolRequire {
		s.Spool.Text, s.SpoolRequired = "", true
	}
	if dir := s.Spool.Text; dir != "" && dir != SpoolOff && !filepath.IsAbs(dir) {
		return s, fmt.Errorf("%w: %s: %q is not an absolute path", ErrInvalid, s.Spool.From, dir)
	}
	if dir := s.Seen.Text; dir != "" && dir != SeenOff && !filepath.IsAbs(dir) {
		return s, fmt.Errorf("%w: %s: %q must be \"off\" or an absolute path", ErrInvalid, s.Seen.From, dir)
	}
	if l := s.Log; l.Text != "" && l.From != "--log" && !filepath.IsAbs(l.Text) {
		return s, fmt.Errorf("%w: %s: %q is not an absolute path", ErrInvalid, l.From, l.Text)
	}
	if n := s.KeysRequired; n.Text != "" && n.Text != KeysAll && n.Text != KeysOne {
		return s, fmt.Errorf("%w: %s: %q must be \"all\" or \"one\"", ErrInvalid, n.From, n.Text)
	}
	if w := s.Write; w.Text != "" && w.Text != WriteAgentKeysV1 && w.Text != WriteAgentKeysV2 {
		return s, fmt.Errorf("%w: %s: write = %q must be %q or %q", ErrInvalid, w.From, w.Text, WriteAgentKeysV1, WriteAgentKeysV2)
	}
	_, err = s.TotalTime()
	return s, err
}

// profile returns the name of the selected profile.
func (r Reader) profile(f File, name string) (Value, error) {
	if r.Profile != "" {
		return Value{r.Profile, ""}, nil
	}
	profile, err := r.single("profile", "OBJECTVAULT_PROFILE")
	if err == nil && profile.Text == "" && f.Profile != "" {
		profile = Value{f.Profile, name}
	}
	return profile, err
}

// TotalTime returns the maximum time of the whole command, or 0 if there is no limit.
func (s Settings) TotalTime() (time.Duration, error) {
	if s.Deadline.Text == "" {
		return 0, nil
	}
	return positive(s.Deadline)
}

// single returns a setting with one value, from its flag, if it has one, or else from its variable.
func (r Reader) single(flag, env string) (Value, error) {
	var values []string
	if flag != "" {
		values = r.Flag(flag)
	}
	if len(values) > 0 {
		text := values[len(values)-1]
		if text == "" {
			// Probably a script used an unset variable, so the default would be a surprise.
			return Value{}, fmt.Errorf("%w: --%s is empty", ErrInvalid, flag)
		}
		return Value{text, "--" + flag}, nil
	}
	if env != "" {
		if text := r.Getenv(env); text != "" {
			return Value{text, env}, nil
		}
	}
	return Value{}, nil
}

// keyAfterComma finds a second URL of a key source in a list that is separated by commas.
var keyAfterComma = text.NewRegexp(`,(local|env|fd|exec|keyring|passphrase|signer\+https?|awskms|tencentkms|gcpkms|azurekeyvault|hashivault):`)

func (r Reader) keys(profile []string, name string) ([]Value, error) {
	const env = "OBJECTVAULT_KEYS"
	urls, from := r.Flag("keys"), "--keys"
	if urls == nil {
		if text := r.Getenv(env); text != "" {
			if urls, from = strings.Fields(text), env; len(urls) == 0 || keyAfterComma.MatchString(text) {
				return nil, fmt.Errorf("%w: %s is empty, or contains commas: separate the entries by blanks", ErrInvalid, env)
			}
		}
	}
	if urls == nil {
		urls, from = profile, "keys of profile "+name
	}
	var keys []Value
	for _, text := range urls {
		if text == "" {
			return nil, fmt.Errorf("%w: %s has an empty entry", ErrInvalid, from)
		}
		keys = append(keys, Value{text, from})
	}
	return keys, nil
}

// mirrors sets the mirrors of a profile. They belong to its store: another store has none.
func (r Reader) mirrors(s *Settings, p Profile) error {
	from := "profile " + s.Profile
	if p.Quorum != 0 && len(p.Mirrors) == 0 {
		return fmt.Errorf("%w: %s: quorum requires mirrors", ErrInvalid, from)
	}
	if p.Quorum < 0 || p.Quorum > 1+len(p.Mirrors) {
		return fmt.Errorf("%w: %s: quorum = %d must be between 1 and the number of stores, which is %d", ErrInvalid, from, p.Quorum, 1+len(p.Mirrors))
	}
	if len(p.Mirrors) > 0 && p.Store == "" {
		return fmt.Errorf("%w: %s: mirrors requires store", ErrInvalid, from)
	}
	store, err := r.single("store", "OBJECTVAULT_STORE")
	if err != nil || store.Text != "" {
		return err
	}
	for _, text := range p.Mirrors {
		if text == "" || text == s.Profile {
			return fmt.Errorf("%w: %s: %q cannot be a mirror", ErrInvalid, from, text)
		}
		s.Mirrors = append(s.Mirrors, Value{text, "mirrors of " + from})
	}
	s.Quorum = p.Quorum
	return nil
}

func (r Reader) timeout(mirrors []Value) (time.Duration, error) {
	v, err := r.single("timeout", "OBJECTVAULT_TIMEOUT")
	switch {
	case (err != nil || v.Text == "") && len(mirrors) > 0:
		return MirroredTimeout, err
	case err != nil || v.Text == "":
		return DefaultTimeout, err
	}
	return positive(v)
}

// positive parses a duration above 0.
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
		if explicit.Text != "" {
			from = " (from " + explicit.From + ")"
		}
		return File{}, fmt.Errorf("%w%s: %w", ErrInvalid, from, err)
	}
	s.Found = true
	return ParseFile(s.File, string(text))
}
