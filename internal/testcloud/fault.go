package testcloud

import (
	"context"
	"encoding/xml"
	"time"

	"github.com/objectvault/objectvault/internal/fault"
)

// A Fault is an error that a [Proxy] injects into one request.
type Fault struct {
	does fault.Fault
	keys Keys // the keys for a new signature, if a header was removed
}

// RespondBefore reads the request and responds to it. The server never receives the request.
func RespondBefore(status int, body string) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.RespondBefore, Status: status, Body: body}}
}

// ApplyThen passes the request to the server, and then responds with the given status and body
// instead of the server's response.
func ApplyThen(status int, body string) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.ApplyThen, Status: status, Body: body}}
}

// DropBefore closes the connection, so the request is lost. If the connection was used before, a
// client of net/http silently repeats a GET.
func DropBefore() *Fault { return &Fault{does: fault.Fault{Kind: fault.Lost}} }

// DropAfter passes the request to the server, and then closes the connection without a response.
// For a GET, see [DropBefore].
func DropAfter() *Fault { return &Fault{does: fault.Fault{Kind: fault.Applied}} }

// A Later holds requests back until the test passes them to the server, after their clients have
// given up. The zero value is ready to use.
type Later struct{ kept fault.Later }

// Cut reads the request, holds it back, and closes the connection.
func (l *Later) Cut() *Fault { return &Fault{does: l.kept.Cut()} }

// Wait reads the request and holds it back. The client gets no response.
func (l *Later) Wait() *Fault { return &Fault{does: l.kept.Wait()} }

// Kept waits until a request was read completely and is held back, or until ctx ends. If the client
// gives up earlier, the request is discarded.
func (l *Later) Kept(ctx context.Context) error { return l.kept.Kept(ctx) }

// Apply passes the held-back requests to the server in the order of their arrival. It waits for the
// responses, which no client reads, and returns the number of requests.
func (l *Later) Apply() int { return l.kept.Apply() }

// CutBody closes the connection after the given number of bytes of the response body, which is less
// than the Content-Length.
func CutBody(after int64) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.CutBody, Bytes: after}}
}

// Truncated passes on only the given number of bytes of the response body and sets the
// Content-Length to that number, so HTTP alone cannot detect the fault.
func Truncated(to int64) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.Truncated, Bytes: to}}
}

// Delay passes the request on after d, unless the client has disconnected by then.
func Delay(d time.Duration) *Fault { return &Fault{does: fault.Fault{Kind: fault.Delay, Delay: d}} }

// IgnoreRange makes the server respond to a range request with 200 and the whole object. Because
// the signature covers the Range header, the proxy signs the request again with the given keys.
// Without keys it passes the request on unchanged.
func IgnoreRange(as Keys) *Fault {
	return &Fault{does: fault.Fault{Kind: fault.IgnoreRange}, keys: as}
}

// ErrorXML returns the body of an S3 error response.
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
