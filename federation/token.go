package federation

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A Token is an OIDC token: a signed JWT of RFC 7519 in compact form. It is parsed, not
// verified: use its claims for display and for checks before it is sent. The cloud verifies it.
type Token struct {
	Raw    Secret
	Claims Claims
}

// Claims contains the claims of a token that this package uses.
type Claims struct {
	Issuer, Subject              string
	Audience                     []string  // a string or a list in the token
	Expires, NotBefore, IssuedAt time.Time // zero if the token does not have the claim
	// Tags are the session tags that the cloud reads from the token.
	Tags map[string][]string
	// Ignored are the names of claims that contain session tags in a form that AWS does not
	// document, such as the form of SeaweedFS. These tags are not in Tags.
	Ignored []string
}

// Tag looks up keys in order. It returns the first key that is a tag of the token, and the first
// value of that tag. If the token has none of them, ok is false. Like AWS, Tag ignores the case of
// keys.
func (c Claims) Tag(keys ...string) (key, value string, ok bool) {
	for _, key := range keys {
		if values, _ := c.tag(key); len(values) > 0 {
			return key, values[0], true
		}
	}
	return "", "", false
}

// tag returns the values of a tag, possibly none, and reports whether the token has the tag.
func (c Claims) tag(key string) (values []string, ok bool) {
	for _, k := range slices.Sorted(maps.Keys(c.Tags)) {
		if strings.EqualFold(k, key) {
			values, ok = append(values, c.Tags[k]...), true
		}
	}
	return values, ok
}

// maxToken is the maximum length of a token; AWS accepts at most 20,000 characters.
const maxToken = 64 << 10

// ParseToken parses the claims of a token, but does not verify it. The token must have exactly
// three parts: two JSON objects and a signature. Otherwise the error wraps [ErrTokenInvalid]. No
// error contains the token.
func ParseToken(raw string) (Token, error) {
	claims, err := parse(raw)
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrTokenInvalid, err)
	}
	return Token{NewSecret(raw), claims}, nil
}

func parse(raw string) (Claims, error) {
	switch {
	case raw == "":
		return Claims{}, errors.New("it is empty")
	case len(raw) > maxToken:
		return Claims{}, errTooLong
	case strings.ContainsAny(raw, "\r\n"): // package base64 would ignore them
		return Claims{}, errors.New("it has more than one line")
	}
	parts := strings.SplitN(raw, ".", 4)
	if len(parts) != 3 {
		return Claims{}, errors.New("it is not a signed JWT, which consists of three parts separated by dots")
	}
	header, err := part(parts[0])
	if err != nil {
		return Claims{}, fmt.Errorf("its header %w", err)
	}
	var alg string
	if err := header.read("alg", &alg, "a string"); err != nil {
		return Claims{}, err
	}
	if parts[2] == "" || strings.EqualFold(alg, "none") {
		return Claims{}, errors.New("it is not signed")
	}
	if _, err := encoding.DecodeString(parts[2]); err != nil {
		return Claims{}, errors.New("its signature is not base64url")
	}
	payload, err := part(parts[1])
	if err != nil {
		return Claims{}, fmt.Errorf("its payload %w", err)
	}
	return payload.claims()
}

var (
	encoding   = base64.RawURLEncoding.Strict()
	errTooLong = errors.New("it is longer than 64 KiB")
)

// An object is a JSON object with unique, case-sensitive names. Package json would accept "ISS"
// for "iss", and the last of two equal names.
type object map[string]json.RawMessage

func part(s string) (object, error) {
	b, err := encoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("is not base64url")
	}
	o, err := readObject(b)
	if err != nil {
		return nil, fmt.Errorf("is %w", err)
	}
	return o, nil
}

var errNoObject = errors.New("not a JSON object")

func readObject(b []byte) (object, error) {
	if !utf8.Valid(b) {
		return nil, errNoObject
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNoObject
	}
	o := make(object)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errNoObject
		}
		if _, twice := o[name]; twice {
			return nil, fmt.Errorf("a JSON object with %s twice", shown(name))
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errNoObject
		}
		o[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errNoObject
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errNoObject
	}
	return o, nil
}

// read stores the value of name in v. If it is absent or null, v stays unchanged.
func (o object) read(name string, v any, kind string) error {
	if raw, ok := o[name]; ok && json.Unmarshal(raw, v) != nil {
		return fmt.Errorf("its %s is not %s", shown(name), kind)
	}
	return nil
}

func (o object) claims() (Claims, error) {
	var c Claims
	var err error
	for name, field := range map[string]*string{"iss": &c.Issuer, "sub": &c.Subject} {
		if err := o.read(name, field, "a string"); err != nil {
			return Claims{}, err
		}
	}
	for name, field := range map[string]*time.Time{"exp": &c.Expires, "nbf": &c.NotBefore, "iat": &c.IssuedAt} {
		if *field, err = o.date(name); err != nil {
			return Claims{}, err
		}
	}
	if c.Audience, err = o.list("aud"); err != nil {
		return Claims{}, err
	}
	if c.Tags, err = o.tags(); err != nil {
		return Claims{}, err
	}
	if _, ok := o[flatTagsClaim]; ok {
		c.Ignored = []string{flatTagsClaim}
	}
	return c, nil
}

// date reads seconds since 1970, with or without a fraction.
func (o object) date(name string) (time.Time, error) {
	var seconds *float64
	if err := o.read(name, &seconds, "a number"); err != nil || seconds == nil {
		return time.Time{}, err
	}
	if *seconds < 0 || *seconds > 253402300799 { // the end of the year 9999
		return time.Time{}, fmt.Errorf("its %s is not a time", shown(name))
	}
	return time.Unix(int64(*seconds), 0).UTC(), nil
}

// list reads a string or a list of strings.
func (o object) list(name string) ([]string, error) {
	var single *string
	if o.read(name, &single, "") == nil {
		if single == nil {
			return nil, nil
		}
		return []string{*single}, nil
	}
	var several []*string
	if err := o.read(name, &several, "a string or a list of strings"); err != nil {
		return nil, err
	}
	list := make([]string, len(several))
	for i, s := range several {
		if s == nil {
			return nil, fmt.Errorf("its %s contains an entry that is not a string", shown(name))
		}
		list[i] = *s
	}
	return list, nil
}
