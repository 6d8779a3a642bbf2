package tencent

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/objectvault/objectvault/internal/requestid"
	"github.com/objectvault/objectvault/vault"
)

// A version is one entry of a listing.
type version struct {
	key string
	vault.Version
}

// A listing is the response to GET ?versions (436/31551). The type of the SDK has a separate list of
// delete markers, so it loses the order of entries with the same time.
type listing struct {
	XMLName       xml.Name `xml:"ListVersionsResult"`
	EncodingType  string
	IsTruncated   bool
	NextKeyMarker string
	NextVersion   string  `xml:"NextVersionIdMarker"`
	Entries       []entry `xml:",any"` // all other elements, in the order of the response
	err           error   // of parsing the response
}

type entry struct {
	XMLName      xml.Name // Version, DeleteMarker, or an element that is ignored
	Key          string
	VersionID    string `xml:"VersionId"`
	IsLatest     bool
	LastModified string
	Size         int64
}

func (e *entry) isVersion() bool {
	return e.XMLName.Local == "Version" || e.XMLName.Local == "DeleteMarker"
}

// listingKey is the context key for the listing that a request fills.
type listingKey struct{}

// maxListing limits the response: 1000 keys of up to 850 bytes, and each byte may be
// percent-encoded.
const maxListing = 8 << 20

// listings is a transport that fills the listing in the context of a request, if there is one. The
// SDK also reads the response. If the response is no listing, [cosblob.CheckResponse] or the SDK return
// an error for it.
type listings struct{ base requestid.Transport }

func (t listings) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(r)
	into, ok := r.Context().Value(listingKey{}).(*listing)
	if err != nil || !ok || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxListing+1))
	resp.Body.Close()
	if err == nil && len(body) > maxListing {
		err = fmt.Errorf("%w: a list of versions is too long to come from COS", vault.ErrUnavailable)
	}
	if err != nil {
		return nil, err
	}
	into.err = xml.Unmarshal(body, into)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// CloseIdleConnections closes the idle connections of the base transport.
func (t listings) CloseIdleConnections() { t.base.CloseIdleConnections() }

func (l *listing) versions() ([]version, error) {
	all := make([]version, 0, len(l.Entries))
	for _, e := range l.Entries {
		if !e.isVersion() {
			continue
		}
		key, err := l.decode(e.Key)
		if err != nil {
			return nil, err
		}
		modified, err := time.Parse(time.RFC3339, e.LastModified)
		if err != nil {
			return nil, fmt.Errorf("%w: a list of versions contains an invalid time", vault.ErrUnavailable)
		}
		v := version{key, vault.Version{ID: e.VersionID, Modified: modified, Size: e.Size, Deleted: e.XMLName.Local == "DeleteMarker", Current: e.IsLatest}}
		if v.ID == "" {
			v.ID = "null"
		}
		all = append(all, v)
	}
	return all, nil
}

// next returns the marker of the next page. key and id are the marker of this page. It returns an
// error if the marker is missing, does not change, or would skip versions of a key: a marker has no
// ID only after a version without an ID (436/31551).
func (l *listing) next(key, id string) (nextKey, nextID string, err error) {
	nextKey, err = l.decode(l.NextKeyMarker)
	if err != nil {
		return "", "", err
	}
	last := ""
	for _, e := range l.Entries {
		if e.isVersion() {
			last = e.VersionID
		}
	}
	if nextKey == "" || nextKey == key && l.NextVersion == id || l.NextVersion == "" && last != "" && last != "null" {
		return "", "", fmt.Errorf("%w: a list of versions is truncated, but has no valid marker for the next page", vault.ErrUnavailable)
	}
	return nextKey, l.NextVersion, nil
}

func (l *listing) decode(key string) (string, error) {
	if l.EncodingType != "url" {
		return key, nil
	}
	key, err := url.PathUnescape(key)
	if err != nil {
		return "", fmt.Errorf("%w: a list of versions contains a key that is not percent-encoded", vault.ErrUnavailable)
	}
	return key, nil
}
