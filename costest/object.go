package costest

import (
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/objectvault/objectvault/internal/fault"
)

var (
	errPrecondition = failure(http.StatusPreconditionFailed, "PreconditionFailed", "Precondition not match.")
	errNotModified  = failure(http.StatusNotModified, "NotModified", "Not Modified")
)

// getObject handles GET and HEAD.
func (x *exchange) getObject() error {
	if err := checkEncryption(x.r.Header); err != nil {
		return err
	}
	x.s.mu.Lock()
	v, err := x.currentBucket().find(x.key, x.query.get("versionId"))
	var obj version
	if v != nil {
		obj = *v
	}
	versioned := x.currentBucket().versioning != ""
	x.s.mu.Unlock()
	h := x.out.Header()
	if v != nil && versioned {
		h.Set("X-Cos-Version-Id", obj.id)
		if obj.marker {
			h.Set("X-Cos-Delete-Marker", "true")
		}
	}
	if err != nil {
		return err
	}
	if err := checkConditions(x.r.Header, "", obj.etag, obj.modified); err != nil {
		if err == errNotModified {
			h.Set("Etag", obj.etag)
		}
		return err
	}
	if x.r.Method == http.MethodGet && x.at == atBucket {
		switch strings.ToLower(path.Ext(x.key)) {
		case ".apk", ".ipa":
			return failure(http.StatusForbidden, "DownloadForbidden", "The file type is not allowed on the default domain.")
		}
	}
	return x.sendObject(&obj)
}

func (x *exchange) sendObject(obj *version) error {
	h := x.out.Header()
	content, status := obj.data, http.StatusOK
	if requested := x.r.Header.Get("Range"); requested != "" && x.fault.does.Kind != fault.IgnoreRange {
		off, n, ok, err := parseRange(requested, obj.data.size, x.s.unsure("suffix-range") == "honour")
		if err != nil {
			h.Set("Content-Range", "bytes */"+strconv.FormatInt(obj.data.size, 10))
			return err
		}
		if ok {
			h.Set("Content-Range", "bytes "+strconv.FormatInt(off, 10)+"-"+strconv.FormatInt(off+n-1, 10)+"/"+strconv.FormatInt(obj.data.size, 10))
			content, status = obj.data.slice(off, n), http.StatusPartialContent
		}
	}
	for name, values := range obj.header {
		h[name] = values
	}
	h.Set("Etag", obj.etag)
	h.Set("Last-Modified", obj.modified.UTC().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	setCRC(h, obj.crc)
	obj.echoEncryption(h)
	if obj.class != "STANDARD" {
		h.Set("X-Cos-Storage-Class", obj.class)
	}
	if len(obj.tags) > 0 {
		h.Set("X-Cos-Tagging-Count", strconv.Itoa(len(obj.tags)))
	}
	if x.r.Method == http.MethodGet && x.at == atBucket {
		// The service sends this for the default domain of buckets created since 2024.
		h.Set("X-Cos-Force-Download", "true")
		h.Set("Content-Disposition", "attachment")
	}
	for _, name := range plainHeaders {
		if v := x.query.get("response-" + strings.ToLower(name)); v != "" {
			h.Set(name, v)
		}
	}
	h.Set("Content-Length", strconv.FormatInt(content.size, 10))
	x.out.WriteHeader(status)
	if x.r.Method == http.MethodHead {
		return nil
	}
	if _, err := content.WriteTo(x.out); err != nil {
		panic(http.ErrAbortHandler) // the client has disconnected
	}
	return nil
}

// parseRange parses a Range with one part. As in RFC 9110, an invalid range is ignored, and a range
// beyond the end is an error.
func parseRange(s string, size int64, suffix bool) (off, n int64, ok bool, err error) {
	spec, found := strings.CutPrefix(s, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !found || !dash {
		return 0, 0, false, nil
	}
	invalid := failure(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range cannot be satisfied.")
	if first == "" {
		n, ok := parseCount(last)
		if !ok || !suffix {
			return 0, 0, false, nil
		}
		if n = min(n, size); n == 0 {
			return 0, 0, false, invalid
		}
		return size - n, n, true, nil
	}
	from, ok1 := parseCount(first)
	to, ok2 := size-1, true
	if last != "" {
		to, ok2 = parseCount(last)
	}
	if !ok1 || !ok2 || last != "" && to < from {
		return 0, 0, false, nil
	}
	if from >= size {
		return 0, 0, false, invalid
	}
	to = min(to, size-1)
	return from, to - from + 1, true, nil
}

// parseCount parses a number that consists only of digits.
func parseCount(s string) (int64, bool) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// checkConditions checks the four conditional headers, whose names start with prefix. For the
// source of a copy, every failure is 412.
func checkConditions(h http.Header, prefix, etag string, modified time.Time) error {
	modified = modified.Truncate(time.Second)
	unchanged := errNotModified
	if prefix != "" {
		unchanged = errPrecondition
	}
	when := func(name string) (time.Time, bool) {
		t, err := http.ParseTime(h.Get(prefix + name))
		return t, err == nil
	}
	if v := h.Get(prefix + "If-Match"); v != "" {
		if !etagMatches(v, etag) {
			return errPrecondition
		}
	} else if t, ok := when("If-Unmodified-Since"); ok && modified.After(t) {
		return errPrecondition
	}
	if v := h.Get(prefix + "If-None-Match"); v != "" {
		if etagMatches(v, etag) {
			return unchanged
		}
	} else if t, ok := when("If-Modified-Since"); ok && !modified.After(t) {
		return unchanged
	}
	return nil
}

func etagMatches(list, etag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.Trim(one, `"`) == strings.Trim(etag, `"`) {
			return true
		}
	}
	return false
}
