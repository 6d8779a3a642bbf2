package testcloud

import (
	"encoding/xml"
	"time"
)

// A Fault is what a [Proxy] does to one request instead of passing it on faithfully.
type Fault struct {
	kind   faultKind
	status int
	body   string
	bytes  int64
	delay  time.Duration
	keys   Keys
}

type faultKind int

const (
	respondBefore faultKind = iota + 1
	applyThen
	dropBefore
	dropAfter
	cutBody
	truncated
	delayed
	ignoreRange
)

// RespondBefore reads the request and answers it; the server never hears of it.
func RespondBefore(status int, body string) *Fault {
	return &Fault{kind: respondBefore, status: status, body: body}
}

// ApplyThen has the server carry the request out, and then gives another answer than
// the server's.
func ApplyThen(status int, body string) *Fault {
	return &Fault{kind: applyThen, status: status, body: body}
}

// DropBefore cuts the connection; the server never hears of the request. A client
// of net/http silently sends a GET again that was dropped on a connection which had
// been used before.
func DropBefore() *Fault { return &Fault{kind: dropBefore} }

// DropAfter has the server carry the request out and then cuts the connection
// without an answer. What [DropBefore] says of a GET holds here, too.
func DropAfter() *Fault { return &Fault{kind: dropAfter} }

// CutBody cuts the connection after that many bytes of the answer's body: less than
// its Content-Length promised.
func CutBody(after int64) *Fault { return &Fault{kind: cutBody, bytes: after} }

// Truncated passes on that many bytes of the answer's body with a Content-Length
// that agrees: HTTP alone cannot tell.
func Truncated(to int64) *Fault { return &Fault{kind: truncated, bytes: to} }

// Delay passes the request on after d, unless the client has gone by then.
func Delay(d time.Duration) *Fault { return &Fault{kind: delayed, delay: d} }

// IgnoreRange has the server answer 200 and the whole object to a request for a part
// of it. A signature covers the Range, so the request is signed again, as that user;
// without keys it is sent as it is.
func IgnoreRange(as Keys) *Fault { return &Fault{kind: ignoreRange, keys: as} }

// ErrorXML returns the body of an error answer of S3.
func ErrorXML(code, message string) string {
	b, err := xml.Marshal(struct {
		XMLName                  xml.Name `xml:"Error"`
		Code, Message, RequestID string
	}{Code: code, Message: message, RequestID: "testcloud"})
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	return xml.Header + string(b)
}
