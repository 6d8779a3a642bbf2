package costest

import (
	"cmp"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/objectvault/objectvault/internal/fault"
)

// A reply writes a response, as far as the fault allows.
type reply struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	seen    *Request
	fault   *Fault
	silent  bool // the client gets another response, or none
	started bool
	log     func(status int) // adds the request to the access log; nil for other services
	left    int64            // remaining bytes of the body, if the fault limits them
}

// nowhere discards a response whose client has disconnected.
type nowhere http.Header

func (h nowhere) Header() http.Header         { return http.Header(h) }
func (h nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (h nowhere) WriteHeader(int)             {}

func (w *reply) Header() http.Header { return w.w.Header() }

func (w *reply) WriteHeader(status int) {
	if w.started {
		return
	}
	w.started = true
	if w.log != nil {
		w.log(status)
	}
	if w.silent {
		clear(w.w.Header())
		return
	}
	h := w.w.Header()
	w.left = -1
	switch w.fault.does.Kind {
	case omitCRC:
		h.Del("X-Cos-Hash-Crc64ecma")
	case fault.CutBody:
		w.left = w.fault.does.Bytes
	case fault.Truncated:
		w.left = w.fault.does.Bytes
		if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil && n > w.left {
			h.Set("Content-Length", strconv.FormatInt(w.left, 10))
		}
	}
	w.s.setResponse(w.seen, status, true)
	w.w.WriteHeader(status)
}

func (w *reply) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	all := len(b)
	if w.silent || w.r.Method == http.MethodHead {
		return all, nil
	}
	if w.left >= 0 {
		b = b[:min(int64(len(b)), w.left)]
		w.left -= int64(len(b))
	}
	if err := w.send(b); err != nil {
		return 0, err
	}
	if w.fault.does.Kind == fault.CutBody && w.left == 0 {
		http.NewResponseController(w.w).Flush()
		panic(http.ErrAbortHandler)
	}
	return all, nil
}

// send writes b at the speed of the fault.
func (w *reply) send(b []byte) error {
	if w.fault.does.Kind != slowBody || w.fault.does.Bytes <= 0 {
		_, err := w.w.Write(b)
		return err
	}
	for len(b) > 0 {
		if err := w.s.pause(w.r, w.fault.does.Delay); err != nil {
			return err
		}
		n := min(int64(len(b)), w.fault.does.Bytes)
		if _, err := w.w.Write(b[:n]); err != nil {
			return err
		}
		http.NewResponseController(w.w).Flush()
		b = b[n:]
	}
	return nil
}

// pause waits for d, or until the client disconnects or the server is closed. The server detects
// that the client has disconnected only after it has read the body.
func (s *Server) pause(r *http.Request, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.Context().Done():
		return r.Context().Err()
	case <-s.port.done:
		return http.ErrServerClosed
	}
}

// finish closes the connection if the fault requires it, even if the body was shorter than its
// limit.
func (w *reply) finish() {
	if w.fault.does.Kind == fault.CutBody && !w.silent {
		http.NewResponseController(w.w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// sendFault sends the response of the fault, with the headers of the service.
func (x *exchange) sendFault(w http.ResponseWriter) {
	h := w.Header()
	clear(h)
	h.Set("Content-Type", "application/xml")
	if x.seen.Service == "cos" {
		h.Set("Server", "tencent-cos")
		h.Set("X-Cos-Request-Id", cmp.Or(inner(x.fault.does.Body, "RequestId"), newID()))
		if trace := inner(x.fault.does.Body, "TraceId"); trace != "" {
			h.Set("X-Cos-Trace-Id", trace)
		}
	}
	w.WriteHeader(x.fault.does.Status)
	io.WriteString(w, x.fault.does.Body)
}

// inner returns the text of an element that contains only text.
func inner(doc, name string) string {
	_, rest, _ := strings.Cut(doc, "<"+name+">")
	text, _, _ := strings.Cut(rest, "</"+name+">")
	return text
}

// sendXML sends a document.
func (x *exchange) sendXML(status int, v any) {
	body := marshal(v)
	h := x.out.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.out.WriteHeader(status)
	io.WriteString(x.out, body)
}

// sendLate sends status 200, some spaces, and then a document, as the service does for long calls.
// The headers contain no information about the object, because the call has not ended.
func (x *exchange) sendLate(v any) {
	h := x.out.Header()
	h.Set("Content-Type", "application/xml")
	h.Del("X-Cos-Version-Id")
	h.Del("X-Cos-Hash-Crc64ecma")
	x.out.WriteHeader(http.StatusOK)
	for range 3 {
		io.WriteString(x.out, " ")
		if !x.out.silent {
			http.NewResponseController(x.out.w).Flush()
		}
	}
	io.WriteString(x.out, marshal(v))
}

// maxDrain limits how much of an unwanted body is read.
const maxDrain = 256 << 20

// sendError sends an error of the service.
func (x *exchange) sendError(err error) {
	e, ok := err.(*apiError)
	if !ok {
		e = failure(http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
	}
	x.s.noteCode(x.seen, e.code)
	x.message = e.message
	// The client may send its complete body before it reads the response.
	io.CopyN(io.Discard, x.body, maxDrain)
	h := x.out.Header()
	trace := newID()
	h.Set("X-Cos-Trace-Id", trace)
	if x.r.Method == http.MethodHead || e.status == http.StatusNotModified {
		h.Del("Content-Length")
		x.out.WriteHeader(e.status)
		return
	}
	x.sendXML(e.status, x.errorXML(e, trace))
}

func (x *exchange) errorXML(e *apiError, trace string) errorXML {
	resource := x.r.Host
	if x.key != "" {
		resource += "/" + x.key
	}
	return errorXML{
		Code: e.code, Message: e.message, ServerTime: e.serverTime, StringToSign: e.stringToSign, FormatString: e.formatString,
		Resource: resource, RequestID: x.out.Header().Get("X-Cos-Request-Id"), TraceID: trace,
	}
}

// A cutReader aborts the connection after a number of bytes.
type cutReader struct {
	r    io.Reader
	left int64
}

func (c *cutReader) Read(p []byte) (int, error) {
	if c.left <= 0 {
		panic(http.ErrAbortHandler)
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err == io.EOF && c.left > 0 {
		panic(http.ErrAbortHandler) // a shorter body is aborted at its end
	}
	return n, err
}
