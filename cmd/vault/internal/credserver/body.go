package credserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

// An object is a JSON object, by the names of its members.
type object map[string]json.RawMessage

// errObject is why text is not one JSON object. It does not repeat the text, which may be a secret.
var errObject = errors.New("it must be one JSON object in UTF-8, in which no name occurs twice")

// parseObject parses text as one JSON object. It is stricter than encoding/json, which accepts a
// second member of the same name, and replaces what is not UTF-8.
func parseObject(text []byte) (object, error) {
	if !utf8.Valid(text) {
		return nil, errObject
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, errObject
	}
	o := make(object)
	for d.More() {
		token, err := d.Token()
		name, isText := token.(string)
		if err != nil || !isText {
			return nil, errObject
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errObject
		}
		if _, twice := o[name]; twice {
			return nil, errObject
		}
		o[name] = value
	}
	if _, err := d.Token(); err != nil { // the end of the object
		return nil, errObject
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errObject
	}
	return o, nil
}

// text returns a member that must be a string.
func (o object) text(name string) (string, error) {
	value, found := o[name]
	if !found {
		return "", errors.New(name + " is missing")
	}
	var text *string
	if err := json.Unmarshal(value, &text); err != nil || text == nil {
		return "", errors.New(name + " is not a string")
	}
	// encoding/json decodes half of a surrogate pair as U+FFFD.
	if strings.ContainsRune(*text, utf8.RuneError) {
		return "", errors.New(name + " contains an invalid character")
	}
	return *text, nil
}

// body returns the members of the request's body with the given names, which must be strings.
func (c *call) body(names ...string) (members []string, err error) {
	text, err := io.ReadAll(http.MaxBytesReader(c.w.ResponseWriter, c.r.Body, maxBody))
	switch tooLong := (*http.MaxBytesError)(nil); {
	case errors.As(err, &tooLong):
		return nil, tooLarge()
	case err != nil:
		return nil, badRequest("the body of the request is incomplete")
	}
	o, err := parseObject(text)
	for _, name := range names {
		if err != nil {
			break
		}
		var member string
		member, err = o.text(name)
		members = append(members, member)
	}
	if err != nil {
		return nil, badRequest("the body of the request: " + err.Error())
	}
	return members, nil
}
