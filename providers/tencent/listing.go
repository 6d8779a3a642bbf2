package tencent

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

// A version is one entry of a listing.
type version struct {
	key string
	vault.Version
}

// A listing is the answer to GET ?versions (436/31551). The SDK's own type has the delete
// markers apart, and what was written in the same second then has no order.
type listing struct {
	XMLName       xml.Name `xml:"ListVersionsResult"`
	EncodingType  string
	IsTruncated   bool
	NextKeyMarker string
	NextVersion   string  `xml:"NextVersionIdMarker"`
	Entries       []entry `xml:",any"` // whatever is not named above, in the order of the answer
}

type entry struct {
	XMLName      xml.Name // Version or DeleteMarker, or else of no interest
	Key          string
	VersionID    string `xml:"VersionId"`
	IsLatest     bool
	LastModified string
	Size         int64
}

func (e *entry) isVersion() bool {
	return e.XMLName.Local == "Version" || e.XMLName.Local == "DeleteMarker"
}

// listingKey is under which the context of a request has the listing to fill.
type listingKey struct{}

// maxListing bounds the answer: 1000 keys of up to 850 bytes, each of which may be
// percent-encoded.
const maxListing = 8 << 20

// listings fills the listing of a request's context, if there is one, while the SDK
// reads the same answer.
type listings struct{ base transport.Failures }

func (t listings) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(r)
	into, ok := r.Context().Value(listingKey{}).(*listing)
	if err != nil || !ok || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxListing+1))
	resp.Body.Close()
	if err == nil && len(body) > maxListing {
		err = fmt.Errorf("%w: a list of versions is longer than any that COS gives", vault.ErrUnavailable)
	}
	if err == nil {
		err = xml.Unmarshal(body, into)
	}
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// CloseIdleConnections closes those of the transport below.
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
			return nil, fmt.Errorf("%w: a list of versions has a time that is none", vault.ErrUnavailable)
		}
		v := version{key, vault.Version{ID: e.VersionID, Modified: modified, Size: e.Size, Deleted: e.XMLName.Local == "DeleteMarker", Current: e.IsLatest}}
		if v.ID == "" {
			v.ID = "null"
		}
		all = append(all, v)
	}
	return all, nil
}

// next is where a listing that was asked for from key and id goes on. It is an error if it
// would not go on, or leave out versions of a key: a marker is without id only after a
// version that has none (436/31551).
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
		return "", "", fmt.Errorf("%w: a list of versions is cut and does not say where it goes on", vault.ErrUnavailable)
	}
	return nextKey, l.NextVersion, nil
}

func (l *listing) decode(key string) (string, error) {
	if l.EncodingType != "url" {
		return key, nil
	}
	key, err := url.PathUnescape(key)
	if err != nil {
		return "", fmt.Errorf("%w: a list of versions has a key that is not percent-encoded", vault.ErrUnavailable)
	}
	return key, nil
}
