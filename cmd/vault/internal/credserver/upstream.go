package credserver

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/objectvault/objectvault/internal/loopback"
	"github.com/objectvault/objectvault/internal/transport"
	"github.com/objectvault/objectvault/vault"
)

// checkUpstream returns an error that wraps [vault.ErrConfig] if u is not the URL of a server on this
// machine. Tokens are sent there in cleartext.
func checkUpstream(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
		return fmt.Errorf("%w: the URL of the old server must be http://HOST:PORT", vault.ErrConfig)
	case !loopback.Host(u.Hostname()):
		return fmt.Errorf("%w: the old server must be on this machine (localhost, 127.0.0.0/8, ::1), not on %s", vault.ErrConfig, u.Hostname())
	}
	return nil
}

// newTransport returns a transport to the old server. It uses no proxy, and closes connections that
// make no progress for timeout.
func newTransport(timeout time.Duration) *http.Transport {
	t := transport.New(timeout)
	t.Proxy = nil
	t.DisableCompression = true // the bytes are passed as they are
	return t
}

// newProxy returns the handler of requests for the old server. It passes the path, the query and the
// headers as they are, except Host, and without headers such as X-Forwarded-For.
func newProxy(upstream *url.URL, timeout time.Duration, log *slog.Logger) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.URL.RawQuery = r.In.URL.RawQuery // the client does not encode it: see parseQuery
		},
		Transport:     newTransport(timeout),
		FlushInterval: -1, // a response may be a stream
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			w.(*recorder).fail(&failure{status: http.StatusBadGateway, code: "upstream_failed", message: "the old server does not respond: " + err.Error()})
		},
	}
}

// pass passes a request to the old server.
func (s *Server) pass(w *recorder, r *http.Request) error {
	leave, err := s.enter(r.Context(), s.passes)
	if err != nil {
		return err
	}
	defer leave()
	r.Body = w.progress(r.Body)
	s.proxy.ServeHTTP(w, r)
	return nil
}
