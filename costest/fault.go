package costest

import (
	"context"
	"time"

	"github.com/objectvault/objectvault/internal/fault"
)

// A Fault replaces the normal handling of one request.
type Fault struct {
	does          fault.Fault
	code, message string // for an error in a 200
}

// Kinds that only a COS server has.
const (
	cutRequest = fault.Own + iota
	slowBody
	omitCRC
	lateError
	lateErrorAfter
	keepAlive
)

// RespondBefore reads the request, does not apply it, and sends the given response.
func RespondBefore(status int, body string) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.RespondBefore, Status: status, Body: body}}
}

// ApplyThen applies the request, and then sends the given response.
func ApplyThen(status int, body string) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.ApplyThen, Status: status, Body: body}}
}

// DropBefore closes the connection and does not apply the request. If the connection was used before,
// net/http silently repeats a GET.
func DropBefore() *Fault { return &Fault{does: fault.Fault{Kind: fault.Lost}} }

// DropAfter applies the request, and then closes the connection without a response. As with
// [DropBefore], net/http may silently repeat a GET.
func DropAfter() *Fault { return &Fault{does: fault.Fault{Kind: fault.Applied}} }

// A Later holds requests back until the test calls Apply. It simulates requests that take effect
// after their clients have given up. The zero value is ready to use.
type Later struct{ kept fault.Later }

// Cut reads the request, holds it back and closes the connection.
func (l *Later) Cut() *Fault { return &Fault{does: l.kept.Cut()} }

// Wait reads the request, holds it back and sends no response.
func (l *Later) Wait() *Fault { return &Fault{does: l.kept.Wait()} }

// Kept waits until a request has been read completely and is held back, or until ctx ends. If the
// client gives up before the request was read completely, the request is discarded.
func (l *Later) Kept(ctx context.Context) error { return l.kept.Kept(ctx) }

// Apply applies the held-back requests in the order of their arrival, and returns their number. The
// responses are lost. [Request].Applied reports whether the server has processed a request.
func (l *Later) Apply() int { return l.kept.Apply() }

// CutRequest closes the connection after the given number of bytes of the request body, or immediately if
// there is no body. Nothing is stored.
func CutRequest(after int64) *Fault { return &Fault{does: fault.Fault{Kind: cutRequest, Bytes: after}} }

// CutBody closes the connection after the given number of bytes of the response body. The Content-Length
// is larger.
func CutBody(after int64) *Fault { return &Fault{does: fault.Fault{Kind: fault.CutBody, Bytes: after}} }

// Truncated sends only the given number of bytes of the body, with a matching Content-Length, so HTTP
// cannot detect the truncation.
func Truncated(to int64) *Fault { return &Fault{does: fault.Fault{Kind: fault.Truncated, Bytes: to}} }

// Delay reads the request and applies it after d, unless the client has disconnected before. With a very
// long d, it simulates a server that never responds.
func Delay(d time.Duration) *Fault { return &Fault{does: fault.Fault{Kind: fault.Delay, Delay: d}} }

// SlowBody sends the response body in pieces of n bytes, with a pause of d before each piece.
func SlowBody(n int64, d time.Duration) *Fault {
	return &Fault{does: fault.Fault{Kind: slowBody, Bytes: n, Delay: d}}
}

// IgnoreRange responds with 200 and the whole object to a range request.
func IgnoreRange() *Fault { return &Fault{does: fault.Fault{Kind: fault.IgnoreRange}} }

// OmitCRC omits x-cos-hash-crc64ecma from the response, or CRC64 from the response to a copy.
func OmitCRC() *Fault { return &Fault{does: fault.Fault{Kind: omitCRC}} }

// LateError does not apply a CompleteMultipartUpload, a copy or a part copy, and responds with 200,
// some spaces and an error as the body. It does not change other requests.
func LateError(code, message string) *Fault {
	return &Fault{does: fault.Fault{Kind: lateError}, code: code, message: message}
}

// LateErrorAfter is like [LateError], but applies the request.
func LateErrorAfter(code, message string) *Fault {
	return &Fault{does: fault.Fault{Kind: lateErrorAfter}, code: code, message: message}
}

// KeepAlive responds to a CompleteMultipartUpload or a copy immediately with 200, and sends spaces
// before the body. The service does this for long operations. The response headers then contain
// neither the version nor the CRC64. It does not change other requests.
func KeepAlive() *Fault { return &Fault{does: fault.Fault{Kind: keepAlive}} }
