package costest

import (
	"context"
	"time"

	"github.com/objectvault/objectvault/internal/fault"
)

// A Fault is what the server does to one request instead of answering it faithfully.
type Fault struct {
	does          fault.Fault
	code, message string // of an error in a 200
}

// Kinds that only a server of COS has.
const (
	cutRequest = fault.Own + iota
	slowBody
	omitCRC
	lateError
	lateErrorAfter
	keepAlive
)

// RespondBefore reads the request and answers it without carrying it out.
func RespondBefore(status int, body string) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.RespondBefore, Status: status, Body: body}}
}

// ApplyThen carries the request out, and then gives another answer.
func ApplyThen(status int, body string) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.ApplyThen, Status: status, Body: body}}
}

// DropBefore cuts the connection without carrying the request out. A client of net/http
// silently sends a GET again that was dropped on a connection which had been used before.
func DropBefore() *Fault { return &Fault{does: fault.Fault{Kind: fault.Lost}} }

// DropAfter carries the request out and then cuts the connection without an answer.
// What [DropBefore] says of a GET holds here, too.
func DropAfter() *Fault { return &Fault{does: fault.Fault{Kind: fault.Applied}} }

// A Later has requests take effect only when the test wants it, after their client has given
// up. The zero value is ready to use.
type Later struct{ kept fault.Later }

// Cut reads the request and cuts the connection.
func (l *Later) Cut() *Fault { return &Fault{does: l.kept.Cut()} }

// Wait reads the request and leaves the client waiting.
func (l *Later) Wait() *Fault { return &Fault{does: l.kept.Wait()} }

// Kept waits until a request has been read to its end and kept, or ctx ends: a client that
// gives up before that was never heard.
func (l *Later) Kept(ctx context.Context) error { return l.kept.Kept(ctx) }

// Apply carries out what was kept, in the order in which it came, and returns how many
// requests that were. The responses are lost; [Request].Applied reports the effect.
func (l *Later) Apply() int { return l.kept.Apply() }

// CutRequest cuts the connection once that many bytes of the request's body have been
// read, at once if it has none; nothing is stored.
func CutRequest(after int64) *Fault { return &Fault{does: fault.Fault{Kind: cutRequest, Bytes: after}} }

// CutBody cuts the connection after that many bytes of the answer's body: less than
// its Content-Length promised.
func CutBody(after int64) *Fault { return &Fault{does: fault.Fault{Kind: fault.CutBody, Bytes: after}} }

// Truncated answers with that many bytes of the body and a Content-Length that agrees:
// HTTP alone cannot tell.
func Truncated(to int64) *Fault { return &Fault{does: fault.Fault{Kind: fault.Truncated, Bytes: to}} }

// Delay reads the request, and carries it out after d, unless the client has gone by then.
// With a d longer than any test it is a server that never answers.
func Delay(d time.Duration) *Fault { return &Fault{does: fault.Fault{Kind: fault.Delay, Delay: d}} }

// SlowBody sends the answer's body n bytes at a time with a pause of d before each.
func SlowBody(n int64, d time.Duration) *Fault {
	return &Fault{does: fault.Fault{Kind: slowBody, Bytes: n, Delay: d}}
}

// IgnoreRange answers 200 and the whole object to a request for a part of it.
func IgnoreRange() *Fault { return &Fault{does: fault.Fault{Kind: fault.IgnoreRange}} }

// OmitCRC leaves x-cos-hash-crc64ecma, or CRC64 in that to a copy, out of the answer.
func OmitCRC() *Fault { return &Fault{does: fault.Fault{Kind: omitCRC}} }

// LateError answers a complete, a copy or a part copy with 200 and an error as body,
// after some spaces, and does not carry it out. Other requests are not touched.
func LateError(code, message string) *Fault {
	return &Fault{does: fault.Fault{Kind: lateError}, code: code, message: message}
}

// LateErrorAfter is like [LateError] for a request that was carried out all the same.
func LateErrorAfter(code, message string) *Fault {
	return &Fault{does: fault.Fault{Kind: lateErrorAfter}, code: code, message: message}
}

// KeepAlive answers a complete or a copy with 200 at once and spaces before its body,
// as the service does when it takes long: the head then has neither version nor CRC64.
// Other requests are not touched.
func KeepAlive() *Fault { return &Fault{does: fault.Fault{Kind: keepAlive}} }
