package transport

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// A Failure is a request that got no response. It records whether the server may have received a
// part of it. A write that was not sent has certainly changed nothing.
type Failure struct {
	Sent bool // there was a connection, so the request may have been written
	// Reused means that the connection was used before, so the server or a middlebox may have
	// closed it long ago.
	Reused bool
	Err    error
}

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns the error of net/http.
func (f *Failure) Unwrap() error { return f.Err }

// Timeout reports whether a new connection got no response within the timeout. Another attempt
// would only double the wait. Timeout implements a part of [net.Error].
func (f *Failure) Timeout() bool {
	var e net.Error
	return errors.As(f.Err, &e) && e.Timeout() && !f.Reused
}

// Temporary implements [net.Error].
func (f *Failure) Temporary() bool {
	var e interface{ Temporary() bool }
	return errors.As(f.Err, &e) && e.Temporary()
}

// NotSent reports whether err means that the server received no part of the request: there was no
// connection, or TLS did not trust it.
func NotSent(err error) bool {
	var f *Failure
	var op *net.OpError
	return errors.As(err, &f) && !f.Sent || errors.As(err, &op) && op.Op == "dial" || Untrusted(err)
}

// Untrusted reports whether the certificate of the server was rejected.
func Untrusted(err error) bool {
	var e *tls.CertificateVerificationError
	return errors.As(err, &e)
}

// Silent reports whether err means that a server did not respond within the timeout, and that a
// retry would probably get no response either.
func Silent(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// Failures wraps each error of Base in a [Failure].
type Failures struct{ Base http.RoundTripper }

// RoundTrip sends the request.
func (t Failures) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent, reused atomic.Bool
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		sent.Store(true)
		reused.Store(c.Reused)
	}})
	resp, err := t.Base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, &Failure{Sent: sent.Load(), Reused: reused.Load(), Err: err}
	}
	return resp, nil
}

// CloseIdleConnections closes the idle connections of Base.
func (t Failures) CloseIdleConnections() { closeIdle(t.Base) }
