package testcloud

import (
	"context"
	"encoding/xml"
	"time"

	"github.com/objectvault/objectvault/internal/fault"
)

// A Fault is what a [Proxy] does to one request instead of passing it on faithfully.
type Fault struct {
	does fault.Fault
	keys Keys // to sign with, once a header was taken out
}

// RespondBefore reads the request and answers it; the server never hears of it.
func RespondBefore(status int, body string) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.RespondBefore, Status: status, Body: body}}
}

// ApplyThen has the server carry the request out, and then gives another answer than
// the server's.
func ApplyThen(status int, body string) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.ApplyThen, Status: status, Body: body}}
}

// DropBefore cuts the connection: the request is lost. A client of net/http silently sends
// a GET again that was dropped on a connection which had been used before.
func DropBefore() *Fault { return &Fault{does: fault.Fault{Kind: fault.Lost}} }

// DropAfter has the server carry the request out and then cuts the connection
// without an answer. What [DropBefore] says of a GET holds here, too.
func DropAfter() *Fault { return &Fault{does: fault.Fault{Kind: fault.Applied}} }

// A Later has requests reach the server only when the test wants it, after their client
// has given up. The zero value is ready to use.
type Later struct{ kept fault.Later }

// Cut reads the request and cuts the connection.
func (l *Later) Cut() *Fault { return &Fault{does: l.kept.Cut()} }

// Wait reads the request and leaves the client waiting.
func (l *Later) Wait() *Fault { return &Fault{does: l.kept.Wait()} }

// Kept waits until a request has been read to its end and kept, or ctx ends: a client that
// gives up before that was never heard.
func (l *Later) Kept(ctx context.Context) error { return l.kept.Kept(ctx) }

// Apply passes what was kept on to the server, in the order in which it came, waits for
// their responses, which no client reads, and returns how many requests that were.
func (l *Later) Apply() int { return l.kept.Apply() }

// CutBody cuts the connection after that many bytes of the answer's body: less than
// its Content-Length promised.
func CutBody(after int64) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.CutBody, Bytes: after}}
}

// Truncated passes on that many bytes of the answer's body with a Content-Length
// that agrees: HTTP alone cannot tell.
func Truncated(to int64) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.Truncated, Bytes: to}}
}

// Delay passes the request on after d, unless the client has gone by then.
func Delay(d time.Duration) *Fault { return &Fault{does: fault.Fault{Kind: fault.Delay, Delay: d}} }

// IgnoreRange has the server answer 200 and the whole object to a request for a part
// of it. A signature covers the Range, so the request is signed again, as that user;
// without keys it is sent as it is.
func IgnoreRange(as Keys) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.IgnoreRange}, keys: as}
}

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
