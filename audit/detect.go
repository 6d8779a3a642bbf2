package audit

import (
	"bytes"
	"compress/gzip"
	"io"

	"github.com/objectvault/objectvault/internal/text"
)

// detectSize is how much of a log Read looks at to detect its dialect.
const detectSize = 64 << 10

// Detect returns the dialect of a log from its first bytes, which may be compressed with gzip, or "" if it
// is unknown. It decides by the first line that belongs to a known dialect.
func Detect(head []byte) Dialect {
	head = bytes.TrimPrefix(uncompressedHead(head), []byte("\ufeff"))
	if cloudTrailStart.Match(head) {
		return CloudTrail
	}
	for line := range bytes.Lines(head) {
		line = bytes.TrimSpace(line)
		switch {
		case clientLine.Match(line):
			return Client
		case bytes.HasPrefix(line, []byte("log starts ")), versityLine.Match(line):
			return Versity
		case s3Line.Match(line):
			return S3
		case cosLine.Match(line):
			return COS
		case rgwLine.Match(line):
			return RGW
		case weedLine.Match(line):
			return Weed
		}
	}
	return ""
}

func uncompressedHead(head []byte) []byte {
	if z, err := gzip.NewReader(bytes.NewReader(head)); err == nil {
		head, _ = io.ReadAll(io.LimitReader(z, detectSize)) // the start may end anywhere
	}
	return head
}

var (
	cloudTrailStart = text.NewRegexp(`^\s*\{\s*"Records"\s*:\s*\[`)
	s3Line          = text.NewRegexp(`^\S+ \S+ \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] \S+ \S+ \S+ [A-Z0-9]+\.\S+ `)
	versityLine     = text.NewRegexp(`^\S+ \S+ \[\d\d/[A-Z][a-z]+/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] \S+ \S+ \S+ [a-z][A-Za-z0-9]*_[A-Za-z0-9]+ `)
	cosLine         = text.NewRegexp(`^\d+\.\d+ \S+-\d+ \S+ \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* \S+ [A-Za-z]+ `)
	clientLine      = text.NewRegexp(`^\{"time":"[^"]+","op":"[a-z]+","tenant":"`)
	weedLine        = text.NewRegexp(`^\[?\{"(access_key_id|bucket)":.*"host_header":".*"operation":`)
	rgwLine         = text.NewRegexp(`^\[?\{"bucket":".*"remote_addr":".*"operation":`)
)
