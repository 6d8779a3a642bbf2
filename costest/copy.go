package costest

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A source is the object in x-cos-copy-source.
type source struct{ bucket, key, version string }

var errCopySource = failure(http.StatusBadRequest, "InvalidCopySource", "The copy source is not valid.")

// parseSource parses <bucket>.cos.<region>.myqcloud.com/<url-encoded key>[?versionId=…]. Like the
// service, it accepts a leading slash, as in S3.
func (s *Server) parseSource(text string) (source, error) {
	text = strings.TrimPrefix(text, "/")
	host, rest, ok := strings.Cut(text, "/")
	at, bucket, _ := s.locate(host)
	if !ok || at != atBucket && at != atLoopback || rest == "" {
		return source{}, errCopySource
	}
	escaped, raw, _ := strings.Cut(rest, "?")
	key, err1 := decodePath(escaped)
	q, err2 := parseQuery(raw)
	if err1 != nil || err2 != nil || key == "" {
		return source{}, errCopySource
	}
	return source{bucket, key, q.get("versionId")}, nil
}

// copySource returns the object that the request copies, if the caller may read it.
func (x *exchange) copySource() (source, version, error) {
	src, err := x.s.parseSource(x.r.Header.Get("X-Cos-Copy-Source"))
	if err != nil {
		return src, version{}, err
	}
	missing := failure(http.StatusNotFound, x.s.unsure("copy-source-missing"), "The specified copy source does not exist.")
	x.s.mu.Lock()
	found := x.s.buckets[src.bucket] != nil
	x.s.mu.Unlock()
	if !found {
		return src, version{}, missing
	}
	if err := x.allowIn(src.bucket, "GetObject", src.key, src.version); err != nil {
		return src, version{}, err
	}
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	v, err := x.s.named(src.bucket).find(src.key, src.version)
	switch {
	case err != nil && v != nil && src.version != "":
		return src, version{}, failure(http.StatusBadRequest, "InvalidRequest", "The source of a copy request may not specifically refer to a delete marker by version id.")
	case err != nil:
		return src, version{}, missing
	}
	if err := checkConditions(x.r.Header, "X-Cos-Copy-Source-", v.etag, v.modified); err != nil {
		return src, version{}, err
	}
	if src.version != "" {
		x.out.Header().Set("X-Cos-Copy-Source-Version-Id", src.version)
	}
	return src, *v, nil
}

type copyXML struct {
	XMLName      xml.Name `xml:"CopyObjectResult"`
	ETag         string
	CRC64        string `xml:",omitempty"`
	LastModified string
	VersionID    string `xml:"VersionId,omitempty"`
}

// copyObject handles PUT Object - Copy. It does not copy the storage class and the ACL.
func (x *exchange) copyObject() error {
	v, err := x.newVersion()
	if err != nil {
		return err
	}
	replaceMeta, err1 := directive(x.r.Header, "X-Cos-Metadata-Directive")
	replaceTags, err2 := directive(x.r.Header, "X-Cos-Tagging-Directive")
	if err1 != nil || err2 != nil {
		return invalidArgument("A directive must be Copy or Replaced.")
	}
	src, from, err := x.copySource()
	if err != nil {
		return err
	}
	if src == (source{bucket: x.bucket, key: x.key}) && !replaceMeta {
		return failure(http.StatusBadRequest, "InvalidRequest", "The source and the target of a copy are the same: the metadata must be Replaced.")
	}
	if from.data.size > maxPut {
		return failure(http.StatusBadRequest, "EntityTooLarge", "The source is larger than the maximum of a copy.")
	}
	if err := x.checkCreate(); err != nil {
		return err
	}
	if x.fault.does.Kind == lateError {
		x.sendLate(x.lateError())
		return nil
	}
	v.data, v.crc, v.etag = from.data, from.crc, from.etag
	if strings.Contains(from.etag, "-") { // the copy is not a multipart object
		sum, err := from.data.digest()
		if err != nil {
			return err
		}
		v.etag = sum.etag()
	}
	if !replaceMeta {
		v.header = from.header
	}
	if !replaceTags {
		v.tags = from.tags
	}
	return x.store(v, nil, func() error {
		crc := strconv.FormatUint(v.crc, 10)
		if x.fault.does.Kind == omitCRC {
			crc = ""
		}
		x.sendResult(copyXML{
			ETag: v.etag, CRC64: crc, LastModified: v.modified.UTC().Format(time.RFC3339),
			VersionID: x.out.Header().Get("X-Cos-Version-Id"),
		})
		return nil
	})
}

// directive reports whether a copy replaces the metadata, or the tags, that the header controls.
func directive(h http.Header, name string) (bool, error) {
	switch h.Get(name) {
	case "", "Copy":
		return false, nil
	case "Replaced":
		return true, nil
	}
	return false, errCopySource
}

type copyPartXML struct {
	XMLName      xml.Name `xml:"CopyPartResult"`
	ETag         string
	LastModified string
}

// copyPart handles Upload Part - Copy.
func (x *exchange) copyPart() error {
	n, err := x.partNumber()
	if err != nil {
		return err
	}
	x.s.mu.Lock()
	_, err = x.upload()
	x.s.mu.Unlock()
	if err != nil {
		return err
	}
	_, from, err := x.copySource()
	if err != nil {
		return err
	}
	content := from.data
	if text := x.r.Header.Get("X-Cos-Copy-Source-Range"); text != "" {
		first, last, ok := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
		a, ok1 := parseCount(first)
		z, ok2 := parseCount(last)
		if !ok || !ok1 || !ok2 || !strings.HasPrefix(text, "bytes=") || a > z {
			return invalidArgument("x-cos-copy-source-range must be bytes=first-last.")
		}
		if z >= content.size {
			return failure(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range cannot be satisfied.")
		}
		content = content.slice(a, z-a+1)
	}
	if content.size > maxPut {
		return errTooLarge
	}
	if x.fault.does.Kind == lateError {
		x.sendLate(x.lateError())
		return nil
	}
	sum, err := content.digest()
	if err != nil {
		return err
	}
	p, err := x.addPart(n, content, sum)
	if err != nil {
		return err
	}
	x.sendResult(copyPartXML{ETag: sum.etag(), LastModified: p.modified.UTC().Format(time.RFC3339)})
	return nil
}
