package memfs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"

	"gocloud.dev/blob/driver"
)

// octetStream is the default content type.
const octetStream = "application/octet-stream"

// maxAttrs limits the encoded attributes of one object.
const maxAttrs = 64 << 10

// attrs are the attributes that gocloud lets a writer set. The zero value represents an object
// without attributes.
type attrs struct {
	ContentType        string            `json:"content_type,omitempty"` // empty means octetStream
	CacheControl       string            `json:"cache_control,omitempty"`
	ContentDisposition string            `json:"content_disposition,omitempty"`
	ContentEncoding    string            `json:"content_encoding,omitempty"`
	ContentLanguage    string            `json:"content_language,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
}

func newAttrs(contentType string, o *driver.WriterOptions) attrs {
	a := attrs{
		ContentType:        contentType,
		CacheControl:       o.CacheControl,
		ContentDisposition: o.ContentDisposition,
		ContentEncoding:    o.ContentEncoding,
		ContentLanguage:    o.ContentLanguage,
		Metadata:           maps.Clone(o.Metadata),
	}
	if a.ContentType == octetStream {
		a.ContentType = ""
	}
	return a
}

func (a attrs) contentType() string {
	if a.ContentType == "" {
		return octetStream
	}
	return a.ContentType
}

// encode returns the bytes to store, or none if there are no attributes.
func (a attrs) encode() ([]byte, error) {
	b, err := json.Marshal(a)
	switch {
	case err != nil:
		return nil, err
	case string(b) == "{}":
		return nil, nil
	case len(b) >= maxAttrs:
		return nil, fmt.Errorf("attributes of %d bytes, and at most %d can be stored", len(b), maxAttrs-1)
	}
	return append(b, '\n'), nil
}

// decodeAttrs parses the bytes that encode returned; anything else is an error.
func decodeAttrs(b []byte) (a attrs, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return attrs{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return attrs{}, errors.New("text after the attributes")
	}
	return a, nil
}
