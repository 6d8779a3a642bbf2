package transport

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// A Failure is a request that got no response. It reports whether the server can have received any
// of it: a write that was not sent has certainly changed nothing.
type Failure struct {
	Sent bool // there was a connection, and the request may have been written to it
	// Reused means that the connection had been used before: the server, or something in between,
	// may have dropped it long ago.
	Reused bool
	Err    error
}

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns what net/http reported.
func (f *Failure) Unwrap() error { return f.Err }

// Timeout reports whether a new connection was silent for the whole timeout, so that another
// attempt would only double the wait. It implements a part of [net.Error].
func (f *Failure) Timeout() bool {
	var e net.Error
	return errors.As(f.Err, &e) && e.Timeout() && !f.Reused
}

// Temporary implements [net.Error].
func (f *Failure) Temporary() bool {
	var e interface{ Temporary() bool }
	return errors.As(f.Err, &e) && e.Temporary()
}

// NotSent reports whether err is from a request of which the server received nothing: no
// connection, or none that TLS trusts.
func NotSent(err error) bool {
	var f *Failure
	var op *net.OpError
	return errors.As(err, &f) && !f.Sent || errors.As(err, &op) && op.Op == "dial" || Untrusted(err)
}

// Untrusted reports whether the certificate of the server was refused.
func Untrusted(err error) bool {
	var e *tls.CertificateVerificationError
	return errors.As(err, &e)
}

// Silent reports whether err means that a server did not respond within the timeout, and that
// nothing suggests that it would respond to another attempt.
func Silent(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// Failures makes each error of Base a [Failure].
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

// CloseIdleConnections closes those of Base.
func (t Failures) CloseIdleConnections() { closeIdle(t.Base) }
