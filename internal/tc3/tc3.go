// Package tc3 makes signed requests to the APIs of Tencent Cloud, such as STS and KMS. It sends
// nothing.
package tc3

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Call is one call of an API.
type Call struct {
	Endpoint string // a URL, for example https://kms.tencentcloudapi.com
	Service  string // for example kms
	Action   string // for example Decrypt
	Version  string // of the API, for example 2019-01-18
	Region   string // for example ap-guangzhou
	Body     []byte // JSON
}

// Keys sign a call. Package fmt prints only the ID.
type Keys struct {
	ID, Secret string
	Token      string // of temporary keys; empty for permanent ones
}

// Format prints the ID for every verb.
func (k Keys) Format(f fmt.State, _ rune) { io.WriteString(f, "keys "+k.ID) }

// NewRequest returns the signed request of a call. The time at must differ by at most five minutes
// from the time of the service.
func NewRequest(ctx context.Context, c Call, k Keys, at time.Time) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint, bytes.NewReader(c.Body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-TC-Action", c.Action)
	r.Header.Set("X-TC-Version", c.Version)
	r.Header.Set("X-TC-Region", c.Region)
	if k.Token != "" {
		r.Header.Set("X-TC-Token", k.Token)
	}
	Sign(r, k.ID, k.Secret, c.Service, c.Body, at)
	return r, nil
}

// Redacted returns the message of a service without the token, which the service may echo.
func Redacted(message, token string) string {
	if token == "" {
		return message
	}
	return strings.ReplaceAll(message, token, "[redacted]")
}

// IsTemporary reports whether an HTTP status means that a later attempt may succeed.
func IsTemporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// Sign signs a POST / of the API with TC3-HMAC-SHA256. The signature covers the content type, the
// host and the body.
// https://www.tencentcloud.com/document/api/598/33159
func Sign(r *http.Request, id, key, service string, body []byte, at time.Time) {
	stamp, date := strconv.FormatInt(at.Unix(), 10), at.UTC().Format(time.DateOnly)
	r.Header.Set("X-TC-Timestamp", stamp)
	kind, host := canonicalValue(r.Header.Get("Content-Type")), canonicalValue(cmp.Or(r.Host, r.URL.Host))
	canonical := "POST\n/\n\ncontent-type:" + kind + "\nhost:" + host + "\n\ncontent-type;host\n" + hashed(body)
	scope := date + "/" + service + "/tc3_request"
	secret := []byte("TC3" + key)
	for _, step := range []string{date, service, "tc3_request"} {
		secret = hmac256(secret, step)
	}
	signature := hex.EncodeToString(hmac256(secret, "TC3-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hashed([]byte(canonical))))
	r.Header.Set("Authorization", "TC3-HMAC-SHA256 Credential="+id+"/"+scope+", SignedHeaders=content-type;host, Signature="+signature)
}

// canonicalValue returns the value of a header as it is signed.
func canonicalValue(value string) string { return strings.ToLower(strings.TrimSpace(value)) }

func hmac256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hashed(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
