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

// complete answers POST of an upload, which makes the object of the parts that the
// document lists.
func (x *exchange) complete() error {
	var asked completeXML
	if err := x.readXML(false, &asked); err != nil {
		return err
	}
	if len(asked.Part) == 0 || len(asked.Part) > maxParts {
		return errMalformedXML
	}
	x.s.mu.Lock()
	u, err := x.upload()
	var parts []*part
	if err == nil {
		parts, err = x.s.chosen(u, asked)
	}
	x.s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := x.mayCreate(); err != nil {
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

// chosen returns the parts that a document lists, if they make an object: numbered from
// 1 without gaps, known by their ETags, and none but the last too small. s.mu is held.
func (s *Server) chosen(u *upload, asked completeXML) ([]*part, error) {
	gap, order := errInvalidPart, errInvalidPartOrder
	switch s.unsure("part-order") {
	case "InvalidPart":
		order = errInvalidPart
	case "InvalidPartOrder":
		gap = errInvalidPartOrder
	}
	var parts []*part
	for i, a := range asked.Part {
		if i > 0 && a.PartNumber <= asked.Part[i-1].PartNumber {
			return nil, order
		}
	}
	for i, a := range asked.Part {
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

// lateError is the document of an error that comes with a 200.
func (x *exchange) lateError() errorXML {
	trace := newID()
	x.out.Header().Set("X-Cos-Trace-Id", trace)
	x.s.noteCode(x.seen, x.fault.code)
	return x.errorXML(failure(http.StatusOK, x.fault.code, "%s", x.fault.message), trace)
}

// sendResult answers a complete or a copy that succeeded, unless the fault says otherwise.
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
