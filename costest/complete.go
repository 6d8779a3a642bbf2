package costest

import (
	"encoding/xml"
	"net/http"
	"strings"
)

type completeXML struct {
	XMLName xml.Name `xml:"CompleteMultipartUpload"`
	Part    []struct {
		PartNumber int
		ETag       string
	}
}

type completedXML struct {
	XMLName  xml.Name `xml:"CompleteMultipartUploadResult"`
	NS       string   `xml:"xmlns,attr"`
	Location string
	Bucket   string
	Key      string
	ETag     string
}

var (
	errInvalidPart      = failure(http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found.")
	errInvalidPartOrder = failure(http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order.")
	errEntityTooSmall   = failure(http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed object size.")
)

// complete handles POST of a multipart upload, and creates the object from the parts in the
// document.
func (x *exchange) complete() error {
	var requested completeXML
	if err := x.readXML(false, &requested); err != nil {
		return err
	}
	if len(requested.Part) == 0 || len(requested.Part) > maxParts {
		return errMalformedXML
	}
	x.s.mu.Lock()
	u, err := x.upload()
	var parts []*part
	if err == nil {
		parts, err = x.s.chosen(u, requested)
	}
	x.s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := x.checkCreate(); err != nil {
		return err
	}
	if x.fault.does.Kind == lateError {
		x.sendLate(x.lateError())
		return nil
	}
	v := *u.version
	v.etag = multipartETag(parts, x.s.unsure("multipart-etag") == "s3")
	contents := make([]data, len(parts))
	for i, p := range parts {
		contents[i] = p.data
		v.crc = combineCRC(v.crc, p.sum.crc, p.data.size)
	}
	v.data = join(contents)
	return x.store(&v, u, func() error {
		setCRC(x.out.Header(), v.crc)
		x.sendResult(completedXML{
			NS: "http://www.qcloud.com/document/product/436/7751", Location: "http://" + x.s.bucketHost(x.bucket) + "/" + encode(x.key, "/"),
			Bucket: x.bucket, Key: x.key, ETag: v.etag,
		})
		return nil
	})
}

// chosen returns the parts in the document. It checks that they are numbered from 1 without gaps,
// have the right ETags, and that only the last one is smaller than the minimum. The caller must
// hold s.mu.
func (s *Server) chosen(u *upload, requested completeXML) ([]*part, error) {
	gap, order := errInvalidPart, errInvalidPartOrder
	switch s.unsure("part-order") {
	case "InvalidPart":
		order = errInvalidPart
	case "InvalidPartOrder":
		gap = errInvalidPartOrder
	}
	var parts []*part
	for i, a := range requested.Part {
		if i > 0 && a.PartNumber <= requested.Part[i-1].PartNumber {
			return nil, order
		}
	}
	for i, a := range requested.Part {
		if a.PartNumber != i+1 {
			return nil, gap
		}
		p := u.parts[a.PartNumber]
		if p == nil || strings.Trim(a.ETag, `"`) != strings.Trim(p.sum.etag(), `"`) {
			return nil, errInvalidPart
		}
		parts = append(parts, p)
	}
	for _, p := range parts[:len(parts)-1] {
		if p.data.size < minPart {
			return nil, errEntityTooSmall
		}
	}
	return parts, nil
}

// lateError returns the error document that is sent after status 200.
func (x *exchange) lateError() errorXML {
	trace := newID()
	x.out.Header().Set("X-Cos-Trace-Id", trace)
	x.s.noteCode(x.seen, x.fault.code)
	return x.errorXML(failure(http.StatusOK, x.fault.code, "%s", x.fault.message), trace)
}

// sendResult sends the result of a successful complete or copy, unless a fault replaces it.
func (x *exchange) sendResult(v any) {
	switch x.fault.does.Kind {
	case lateErrorAfter:
		x.sendLate(x.lateError())
	case keepAlive:
		x.sendLate(v)
	default:
		x.sendXML(http.StatusOK, v)
	}
}
