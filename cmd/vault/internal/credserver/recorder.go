package credserver

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// A recorder is the [http.ResponseWriter] of a request. It records what the log needs, and ends the
// connection of a client that does not read. It has no method Unwrap, so that a request cannot be
// hijacked: Serve waits for all requests.
type recorder struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration

	status int // 0: none yet
	bytes  int64
	// agent and service are set once they are known to be ids and names, and not, for example, a
	// token in the wrong place.
	agent, service string
	err            error
}

func newRecorder(w http.ResponseWriter, timeout time.Duration) *recorder {
	return &recorder{ResponseWriter: w, control: http.NewResponseController(w), timeout: timeout}
}

func (w *recorder) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.control.SetWriteDeadline(time.Now().Add(w.timeout)) // if it fails, there is no limit
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// FlushError is for [http.ResponseController].
func (w *recorder) FlushError() error {
	w.control.SetWriteDeadline(time.Now().Add(w.timeout))
	return w.control.Flush()
}

// limitBody sets the time by which the client must have sent the request.
func (w *recorder) limitBody(end time.Time) { w.control.SetReadDeadline(end) }

// progress returns body, whose client must not pause for longer than the timeout.
func (w *recorder) progress(body io.ReadCloser) io.ReadCloser {
	if body == nil || body == http.NoBody {
		return body
	}
	return &progressBody{body, w}
}

type progressBody struct {
	io.ReadCloser
	w *recorder
}

func (b *progressBody) Read(p []byte) (int, error) {
	b.w.control.SetReadDeadline(time.Now().Add(b.w.timeout))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		// net/http now waits for the client to close the connection.
		b.w.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// json sends a response. It is not cached, because it may contain a credential.
func (w *recorder) json(status int, response any) {
	text, err := json.Marshal(response)
	if err != nil {
		panic("credserver: " + err.Error()) // only strings, numbers and booleans are sent
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(text) // an error means that the client has gone
}

func (w *recorder) text(text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte(text))
}

// fail sends the response to a request that failed.
func (w *recorder) fail(err error) {
	w.err = err
	f := failureOf(err)
	response := map[string]any{"error": f.code, "message": f.message}
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if f.retryAfter > 0 {
		seconds := int64((f.retryAfter + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
		response["retry_after_seconds"] = seconds
	}
	w.json(f.status, response)
}

// logRequest writes the record of a request that has ended.
func (s *Server) logRequest(w *recorder, r *http.Request, start time.Time) {
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", w.status),
		slog.Duration("duration", time.Since(start)), slog.Int64("bytes", w.bytes),
	}
	if w.agent != "" {
		attrs = append(attrs, slog.String("agent", w.agent))
	}
	if w.service != "" {
		attrs = append(attrs, slog.String("service", w.service))
	}
	if w.err != nil {
		attrs = append(attrs, slog.String("error", w.err.Error()))
	}
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "request", attrs...)
}
