package costest

import "time"

// A Fault is what the server does to one request instead of answering it faithfully.
type Fault struct {
	kind          faultKind
	status        int
	body          string
	bytes         int64
	delay         time.Duration
	code, message string
}

type faultKind int

const (
	respondBefore faultKind = iota + 1
	applyThen
	dropBefore
	dropAfter
	cutRequest
	cutBody
	truncated
	delayed
	slowBody
	ignoreRange
	omitCRC
	lateError
	lateErrorAfter
	keepAlive
)

// RespondBefore reads the request and answers it without carrying it out.
func RespondBefore(status int, body string) *Fault {
	return &Fault{kind: respondBefore, status: status, body: body}
}

// ApplyThen carries the request out, and then gives another answer.
func ApplyThen(status int, body string) *Fault {
	return &Fault{kind: applyThen, status: status, body: body}
}

// DropBefore cuts the connection without carrying the request out. A client of net/http
// silently sends a GET again that was dropped on a connection which had been used before.
func DropBefore() *Fault { return &Fault{kind: dropBefore} }

// DropAfter carries the request out and then cuts the connection without an answer.
// What [DropBefore] says of a GET holds here, too.
func DropAfter() *Fault { return &Fault{kind: dropAfter} }

// CutRequest cuts the connection once that many bytes of the request's body have been
// read, at once if it has none; nothing is stored.
func CutRequest(after int64) *Fault { return &Fault{kind: cutRequest, bytes: after} }

// CutBody cuts the connection after that many bytes of the answer's body: less than
// its Content-Length promised.
func CutBody(after int64) *Fault { return &Fault{kind: cutBody, bytes: after} }

// Truncated answers with that many bytes of the body and a Content-Length that agrees:
// HTTP alone cannot tell.
func Truncated(to int64) *Fault { return &Fault{kind: truncated, bytes: to} }

// Delay reads the request, and carries it out after d, unless the client has gone by then.
// With a d longer than any test it is a server that never answers.
func Delay(d time.Duration) *Fault { return &Fault{kind: delayed, delay: d} }

// SlowBody sends the answer's body n bytes at a time with a pause of d before each.
func SlowBody(n int64, d time.Duration) *Fault {
	return &Fault{kind: slowBody, bytes: n, delay: d}
}

// IgnoreRange answers 200 and the whole object to a request for a part of it.
func IgnoreRange() *Fault { return &Fault{kind: ignoreRange} }

// OmitCRC leaves x-cos-hash-crc64ecma, or CRC64 in that to a copy, out of the answer.
func OmitCRC() *Fault { return &Fault{kind: omitCRC} }

// LateError answers a complete, a copy or a part copy with 200 and an error as body,
// after some spaces, and does not carry it out. Other requests are not touched.
func LateError(code, message string) *Fault {
	return &Fault{kind: lateError, code: code, message: message}
}

// LateErrorAfter is like [LateError] for a request that was carried out all the same.
func LateErrorAfter(code, message string) *Fault {
	return &Fault{kind: lateErrorAfter, code: code, message: message}
}

// KeepAlive answers a complete or a copy with 200 at once and spaces before its body,
// as the service does when it takes long: the head then has neither version nor CRC64.
// Other requests are not touched.
func KeepAlive() *Fault { return &Fault{kind: keepAlive} }
