package costest

import (
	"bytes"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// loggingXML is the document of PUT ?logging (436/17054). Without LoggingEnabled, logging is off.
type loggingXML struct {
	XMLName xml.Name `xml:"BucketLoggingStatus"`
	Enabled *struct {
		TargetBucket, TargetPrefix string
	} `xml:"LoggingEnabled"`
}

func checkLogging(body []byte) error {
	var doc loggingXML
	if err := parseXML(body, &doc); err != nil {
		return err
	}
	if doc.Enabled != nil && doc.Enabled.TargetBucket == "" {
		return errMalformedXML
	}
	return nil
}

// accessLogs are the lines that were not delivered yet, by the name of the bucket.
type accessLogs struct {
	mu    sync.Mutex
	lines map[string]*bytes.Buffer
	count int // delivered logs
}

// DeliverLogs writes the access logs of all buckets with logging into their target buckets. The service does
// this about every five minutes. This server also does it before it lists the objects of a target, and when
// the logging of a bucket changes. A log contains the requests whose responses have started.
func (s *Server) DeliverLogs() { s.deliverTo("") }

// deliverTo writes the logs of a target bucket, or all if target is empty.
func (s *Server) deliverTo(target string) {
	s.logs.mu.Lock()
	defer s.logs.mu.Unlock()
	for source, lines := range s.logs.lines {
		var doc loggingXML
		if lines.Len() == 0 || xml.Unmarshal(s.config(source, "logging"), &doc) != nil || doc.Enabled == nil {
			continue
		}
		if target == "" || target == doc.Enabled.TargetBucket {
			s.deliver(doc, lines)
			lines.Reset()
		}
	}
}

// deliver writes one log. If the target does not exist, the lines are lost. The caller must hold s.logs.mu.
func (s *Server) deliver(doc loggingXML, lines *bytes.Buffer) {
	text := bytes.Clone(lines.Bytes())
	v := &version{data: data{[]piece{{b: text, n: int64(len(text))}}, int64(len(text))}, header: make(http.Header), class: "STANDARD", modified: s.o.Now()}
	sum, err := v.data.digest()
	if err != nil {
		return
	}
	v.etag, v.crc = sum.etag(), sum.crc
	s.logs.count++
	now := v.modified.UTC()
	// {YYYY}/{MM}/{DD}/{time}_{random}_{index} (436/16920)
	key := fmt.Sprintf("%s%s/%d_%s_%06d", doc.Enabled.TargetPrefix, now.Format("2006/01/02"), now.Unix(), rand.Text()[:8], s.logs.count)
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.buckets[doc.Enabled.TargetBucket]; b != nil {
		b.put(key, v)
	}
}

// logAccess adds a line to the access log of the bucket, if it has one. The response has not started, so the
// client can find the line as soon as it has the response.
func (x *exchange) logAccess(status int) {
	var doc loggingXML
	if x.bucket == "" || xml.Unmarshal(x.s.config(x.bucket, "logging"), &doc) != nil || doc.Enabled == nil {
		return
	}
	x.s.logs.mu.Lock()
	defer x.s.logs.mu.Unlock()
	lines := x.s.logs.lines[x.bucket]
	if lines == nil {
		lines = new(bytes.Buffer)
		x.s.logs.lines[x.bucket] = lines
	}
	lines.WriteString(strings.Join(x.logLine(status), " ") + "\n")
}

// logLine returns the 31 fields of a line (436/16920). The documentation does not say how a field with blanks
// is written: here it is URL-encoded, but for the request URI, whose example has quotes.
func (x *exchange) logLine(status int) []string {
	h := x.out.Header()
	address, _, _ := net.SplitHostPort(x.r.RemoteAddr)
	operation := "-"
	if x.op != nil {
		operation = x.op.name
	}
	sent := h.Get("Content-Length")
	if sent == "" || x.r.Method == http.MethodHead {
		sent = "0"
	}
	class, size := h.Get("X-Cos-Storage-Class"), "-"
	if x.op != nil && x.op.needsKey && status < 300 {
		if class == "" {
			class = "STANDARD"
		}
		switch x.r.Method {
		case http.MethodPut:
			size = strconv.FormatInt(max(x.r.ContentLength, 0), 10)
		case http.MethodGet:
			size = sent
		}
	}
	uri := x.seen.Path
	if x.seen.Query != "" { // without signature and token
		uri += "?" + x.seen.Query
	}
	version := h.Get("X-Cos-Version-Id")
	if version == "" {
		version = x.query.get("versionId")
	}
	return []string{
		"1.0", x.bucket, x.s.o.Region, x.s.o.Now().UTC().Format(time.RFC3339), logField(x.r.Host), operation, logField(address),
		logField(x.seen.AccessKeyID), "-", strconv.FormatInt(max(x.r.ContentLength, 0), 10), "0", x.seen.Path, x.r.Method,
		logField(x.r.UserAgent()), strconv.Itoa(status), logField(x.seen.Code), logField(x.message), sent, "0", "USER",
		logField(class), x.s.o.OwnerUin, "0", x.caller.requester(), logField(h.Get("X-Cos-Request-Id")), size, logField(version), "-",
		logField(x.r.Referer()), `"` + x.r.Method + " " + uri + ` HTTP/1.1"`, "0",
	}
}

// logField returns the text of a field that contains no blanks, or a dash.
func logField(s string) string {
	if s == "" {
		return "-"
	}
	return encode(s, "/:;,()=+@#")
}

// requester returns the account of the caller: the root account with the sub-user or the role.
func (c caller) requester() string {
	switch {
	case c.uin == "":
		return "-"
	case c.roleID != "":
		return c.uin + ":" + c.roleID
	case c.subUin != "":
		return c.uin + ":" + c.subUin
	}
	return c.uin + ":" + c.uin
}
