package costest

import (
	"crypto/md5"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
)

// deleteObject handles DELETE Object, which succeeds even if the object does not exist.
func (x *exchange) deleteObject() error {
	x.s.mu.Lock()
	b := x.currentBucket()
	done := b.remove(x.key, x.query.get("versionId"), x.s.o.Now())
	x.s.mu.Unlock()
	h := x.out.Header()
	if done.version != "" {
		h.Set("X-Cos-Version-Id", done.version)
	}
	if done.marker {
		h.Set("X-Cos-Delete-Marker", "true")
	}
	x.out.WriteHeader(http.StatusNoContent)
	return nil
}

// maxDocument is the maximum length of a request document.
const maxDocument = 4 << 20

// readDocument reads a body and checks its Content-MD5.
func (x *exchange) readDocument(needsMD5 bool) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(x.body, maxDocument+1))
	switch {
	case err != nil:
		return nil, errIncomplete
	case len(body) > maxDocument:
		return nil, failure(http.StatusBadRequest, "XMLSizeLimit", "The XML you provided is too large.")
	}
	sum := x.r.Header.Get("Content-Md5")
	if needsMD5 && sum == "" {
		return nil, failure(http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: Content-MD5")
	}
	return body, checkMD5(sum, md5.Sum(body))
}

// readXML reads a document and checks the name of its root element.
func (x *exchange) readXML(needsMD5 bool, into any) error {
	body, err := x.readDocument(needsMD5)
	if err != nil {
		return err
	}
	return parseXML(body, into)
}

func parseXML(body []byte, into any) error {
	d := xml.NewDecoder(strings.NewReader(string(body)))
	if err := d.Decode(into); err != nil {
		return errMalformedXML
	}
	return nil
}

var errMalformedXML = failure(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")

type deleteXML struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool
	Object  []struct {
		Key       string
		VersionID string `xml:"VersionId"`
	}
}

type deletedXML struct {
	Key             string
	VersionID       string `xml:"VersionId,omitempty"`
	DeleteMarker    bool   `xml:",omitempty"`
	MarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
}

type deleteErrorXML struct {
	Key       string
	VersionID string `xml:"VersionId,omitempty"`
	Code      string
	Message   string
}

type deleteResultXML struct {
	XMLName xml.Name `xml:"DeleteResult"`
	Deleted []deletedXML
	Error   []deleteErrorXML
}

// deleteMany handles POST ?delete. The status is 200 even if keys fail.
func (x *exchange) deleteMany() error {
	var requested deleteXML
	if err := x.readXML(true, &requested); err != nil {
		return err
	}
	if len(requested.Object) == 0 || len(requested.Object) > maxPage {
		return errMalformedXML
	}
	refused := make(map[int]error)
	for i, o := range requested.Object {
		if o.Key == "" {
			return errMalformedXML
		}
		if err := x.allowIn(x.bucket, "DeleteObject", o.Key, o.VersionID); err != nil {
			if x.s.unsure("multi-delete-denied") == "call" {
				return err
			}
			refused[i] = err
		}
	}
	var result deleteResultXML
	x.s.mu.Lock()
	b, now := x.currentBucket(), x.s.o.Now()
	for i, o := range requested.Object {
		if err := refused[i]; err != nil {
			e := deleteErrorXML{Key: o.Key, VersionID: o.VersionID, Code: "InternalError", Message: err.Error()}
			if known, ok := err.(*apiError); ok {
				e.Code, e.Message = known.code, known.message
			}
			result.Error = append(result.Error, e)
			continue
		}
		done := b.remove(o.Key, o.VersionID, now)
		d := deletedXML{Key: o.Key, VersionID: o.VersionID, DeleteMarker: done.marker}
		if done.marker {
			d.MarkerVersionID = done.version
		}
		if !requested.Quiet {
			result.Deleted = append(result.Deleted, d)
		}
	}
	x.s.mu.Unlock()
	x.sendXML(http.StatusOK, result)
	return nil
}
