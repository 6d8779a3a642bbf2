package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Metadata is sealed with the payload, so the store cannot read it.
type Metadata struct {
	ContentType string            // at most 255 bytes
	Expires     time.Time         // zero for none; sealed in UTC, cut to whole seconds; informational, not an access control
	Labels      map[string]string // at most 64
}

const (
	maxMetadata    = 4096 // bytes of JSON
	maxContentType = 255
	maxLabels      = 64
	expiresLayout  = "2006-01-02T15:04:05Z"
)

// marshal returns the metadata as JSON, or nil if it is empty.
func (m Metadata) marshal() ([]byte, error) {
	out := struct {
		ContentType string            `json:"content_type,omitempty"`
		Expires     string            `json:"expires,omitempty"`
		Labels      map[string]string `json:"labels,omitempty"`
	}{ContentType: m.ContentType, Labels: m.Labels}
	if len(m.ContentType) > maxContentType || !utf8.ValidString(m.ContentType) {
		return nil, fmt.Errorf("content type: not UTF-8 of at most %d bytes", maxContentType)
	}
	if len(m.Labels) > maxLabels {
		return nil, fmt.Errorf("%d labels, the most is %d", len(m.Labels), maxLabels)
	}
	for k, v := range m.Labels {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return nil, fmt.Errorf("label %q: not UTF-8", k)
		}
	}
	if !m.Expires.IsZero() {
		t := m.Expires.UTC().Truncate(time.Second)
		if t.Year() < 0 || t.Year() > 9999 || t.IsZero() {
			return nil, fmt.Errorf("the expiry is in the year %d, which is out of range", t.Year())
		}
		out.Expires = t.Format(expiresLayout)
	}
	if out.ContentType == "" && out.Expires == "" && len(out.Labels) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(out); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(text) > maxMetadata {
		return nil, fmt.Errorf("metadata of %d bytes, the most is %d", len(text), maxMetadata)
	}
	return text, nil
}

var errMetadata = errors.New("malformed metadata")

// parseMetadata is stricter than encoding/json, which ignores the case of names, accepts the
// last of two equal names, and replaces invalid Unicode.
func parseMetadata(text []byte) (m Metadata, err error) {
	padless := bytes.TrimRight(text, " ")
	if len(text) > maxMetadata || !bytes.HasPrefix(text, []byte("{")) || !bytes.HasSuffix(padless, []byte("}")) ||
		!utf8.Valid(text) || !json.Valid(text) || loneSurrogate(text) {
		return Metadata{}, errMetadata
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = object(d, func(name string) error {
		switch name {
		case "content_type":
			m.ContentType, err = text1(d)
			if len(m.ContentType) > maxContentType {
				return errMetadata
			}
			return err
		case "expires":
			s, err := text1(d)
			if err != nil {
				return err
			}
			m.Expires, err = parseExpires(s)
			return err
		case "labels":
			m.Labels = make(map[string]string)
			return object(d, func(label string) error {
				m.Labels[label], err = text1(d)
				if len(m.Labels) > maxLabels {
					return errMetadata
				}
				return err
			})
		}
		switch asciiLower(name) {
		case "content_type", "expires", "labels":
			return errMetadata // some parsers would accept it as the known name
		}
		return skip(d)
	})
	if err != nil {
		return Metadata{}, errMetadata
	}
	return m, nil
}

// object reads an object. After each name it calls member, which must read the value.
func object(d *json.Decoder, member func(name string) error) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errMetadata
	}
	return members(d, member)
}

func members(d *json.Decoder, member func(name string) error) error {
	seen := make(map[string]bool)
	for d.More() {
		name, err := text1(d)
		if err != nil || seen[name] {
			return errMetadata
		}
		seen[name] = true
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// skip reads a value of any kind. It rejects repeated names inside the value, too.
func skip(d *json.Decoder) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		return members(d, func(string) error { return skip(d) })
	case json.Delim('['):
		for d.More() {
			if err := skip(d); err != nil {
				return err
			}
		}
		_, err = d.Token()
	}
	return err
}

func text1(d *json.Decoder) (string, error) {
	t, err := d.Token()
	s, ok := t.(string)
	if err != nil || !ok {
		return "", errMetadata
	}
	return s, nil
}

// parseExpires accepts only the form that marshal writes, and only an existing date.
func parseExpires(s string) (time.Time, error) {
	t, err := time.Parse(expiresLayout, s)
	if err != nil || t.Format(expiresLayout) != s {
		return time.Time{}, errMetadata
	}
	return t, nil
}

// loneSurrogate reports whether text, which is valid JSON, contains an escape of half a
// surrogate pair, which encoding/json replaces silently.
func loneSurrogate(text []byte) bool {
	unit := func(i int) (uint64, bool) {
		if i+6 > len(text) || text[i] != '\\' || text[i+1] != 'u' {
			return 0, false
		}
		u, err := strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
		return u, err == nil
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		u, ok := unit(i)
		switch {
		case !ok:
			i++ // \\, \", \n and the like
		case u>>10 == 0xD800>>10:
			if low, ok := unit(i + 6); !ok || low>>10 != 0xDC00>>10 {
				return true
			}
			i += 11
		case u>>10 == 0xDC00>>10:
			return true
		default:
			i += 5
		}
	}
	return false
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
