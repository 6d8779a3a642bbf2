package costest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tc3Skew is the maximum difference between the timestamp of a signed call and the server's clock.
const tc3Skew = 5 * time.Minute

// maxCall is the maximum size of the body of a call to STS, CAM or KMS, in bytes.
const maxCall = 1 << 20

// A callError is an error of STS, CAM or KMS. It is sent with status 200.
type callError struct{ code, message string }

func (e *callError) Error() string { return e.code + ": " + e.message }

func refuse(code, format string, args ...any) *callError {
	return &callError{code, fmt.Sprintf(format, args...)}
}

// ErrorJSON returns the body of an error response of STS, CAM or KMS. Pass it to [RespondBefore] or
// [ApplyThen] with status 200, which these services use for errors.
func ErrorJSON(code, message string) string {
	return string(callResponse(nil, refuse(code, "%s", message)))
}

// callResponse returns the body of a response: the result or an error, and a request id.
func callResponse(out map[string]any, err error) []byte {
	response := map[string]any{"RequestId": requestUUID()}
	for k, v := range out {
		response[k] = v
	}
	if err != nil {
		e, ok := err.(*callError)
		if !ok {
			e = refuse("InternalError.SystemError", "%v", err)
		}
		response["Error"] = map[string]string{"Code": e.code, "Message": e.message}
	}
	b, merr := json.Marshal(map[string]any{"Response": response})
	if merr != nil {
		panic("costest: " + merr.Error())
	}
	return b
}

func requestUUID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// A call is one request to STS, CAM or KMS.
type call struct {
	s       *Server
	r       *http.Request
	service string // sts, cam or kms
	action  string
	body    []byte
	caller  caller // the signer, if the call is signed
}

// serveCall handles a request to the given version of the API of a service.
func (s *Server) serveCall(w http.ResponseWriter, r *http.Request, service, version string, do func(*call) (map[string]any, error)) {
	out, err := func() (map[string]any, error) {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxCall+1))
		switch {
		case err != nil:
			return nil, refuse("InternalError", "The body could not be read.")
		case len(body) > maxCall:
			return nil, refuse("RequestSizeLimitExceeded", "The request is too large.")
		case r.Method != http.MethodPost || r.URL.Path != "/" && r.URL.Path != "" || r.URL.RawQuery != "":
			return nil, refuse("UnsupportedProtocol", "costest takes POST / only.")
		case r.Header.Get("X-TC-Action") == "":
			return nil, refuse("MissingParameter", "X-TC-Action is missing.")
		case r.Header.Get("X-TC-Version") != version:
			return nil, refuse("NoSuchVersion", "The version %s does not exist.", r.Header.Get("X-TC-Version"))
		}
		media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
		if strings.TrimSpace(media) != "application/json" {
			return nil, refuse("UnsupportedProtocol", "costest takes application/json only.")
		}
		return do(&call{s: s, r: r, service: service, action: r.Header.Get("X-TC-Action"), body: body})
	}()
	b := callResponse(out, err)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(http.StatusOK)
	w.Write(b)
}

// require returns an error if one of the headers is missing.
func (c *call) require(headers ...string) error {
	for _, name := range headers {
		if c.r.Header.Get(name) == "" {
			return refuse("MissingParameter", "%s is missing.", name)
		}
	}
	return nil
}

// decode decodes the parameters of a call. Unknown parameters are an error.
func (c *call) decode(into any) error {
	if len(c.body) == 0 {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(c.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if strings.Contains(err.Error(), "unknown field") {
			return refuse("UnknownParameter", "%v", err)
		}
		return refuse("InvalidParameter", "%v", err)
	}
	if d.More() {
		return refuse("InvalidParameter", "There is something after the body.")
	}
	return nil
}

// authenticate checks the signature TC3-HMAC-SHA256 and determines the signer.
func (c *call) authenticate() error {
	scope, fields, _ := strings.Cut(strings.TrimPrefix(c.r.Header.Get("Authorization"), "TC3-HMAC-SHA256 "), ",")
	var signed []string
	signature := ""
	for field := range strings.SplitSeq(fields, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(field), "="); name {
		case "SignedHeaders":
			signed = strings.Split(value, ";")
		case "Signature":
			signature = value
		}
	}
	parts := strings.Split(strings.TrimPrefix(scope, "Credential="), "/")
	if !strings.HasPrefix(c.r.Header.Get("Authorization"), "TC3-HMAC-SHA256 Credential=") || len(parts) != 4 || signature == "" {
		return refuse("AuthFailure.SignatureFailure", "The Authorization header is missing or malformed.")
	}
	seconds, err := strconv.ParseInt(c.r.Header.Get("X-TC-Timestamp"), 10, 64)
	now, at := c.s.o.Now(), time.Unix(seconds, 0).UTC()
	switch {
	case err != nil:
		return refuse("AuthFailure.SignatureFailure", "X-TC-Timestamp is missing or no number.")
	case at.Before(now.Add(-tc3Skew)) || at.After(now.Add(tc3Skew)):
		return refuse("AuthFailure.SignatureExpire", "The timestamp is more than five minutes off.")
	case parts[1] != at.Format(time.DateOnly) || parts[2] != c.service || parts[3] != "tc3_request":
		return refuse("AuthFailure.SignatureFailure", "The credential scope is wrong.")
	case !slices.IsSorted(signed) || !slices.Contains(signed, "content-type") || !slices.Contains(signed, "host"):
		return refuse("AuthFailure.SignatureFailure", "content-type and host must be signed, in order.")
	}
	key, ok := c.s.credential(parts[0], now)
	if !ok {
		return refuse("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
	}
	if want := tc3Sign(key.secret, c.service, seconds, tc3Canonical(c.r, signed, c.body)); !hmac.Equal([]byte(want), []byte(signature)) {
		return refuse("AuthFailure.SignatureFailure", "The provided credentials could not be validated.")
	}
	expired := !key.expires.IsZero() && !now.Before(key.expires)
	if !hmac.Equal([]byte(key.token), []byte(c.r.Header.Get("X-TC-Token"))) || expired || c.s.keyExpired(key.keyID) {
		return refuse("AuthFailure.TokenFailure", "The token is wrong or has expired.")
	}
	c.caller = key.caller
	return nil
}

// tc3Canonical returns the canonical request of POST /.
func tc3Canonical(r *http.Request, signed []string, body []byte) string {
	var headers strings.Builder
	for _, name := range signed {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.ToLower(strings.TrimSpace(value)))
	}
	return "POST\n/\n\n" + headers.String() + "\n" + strings.Join(signed, ";") + "\n" + sha256Hex(body)
}

// tc3Sign returns the signature of a canonical request (tencentcloud.com/document/api/598/33159).
func tc3Sign(secret, service string, timestamp int64, canonical string) string {
	date := time.Unix(timestamp, 0).UTC().Format(time.DateOnly)
	toSign := fmt.Sprintf("TC3-HMAC-SHA256\n%d\n%s/%s/tc3_request\n%s", timestamp, date, service, sha256Hex([]byte(canonical)))
	key := []byte("TC3" + secret)
	for _, step := range []string{date, service, "tc3_request"} {
		key = hmac256(key, step)
	}
	return hex.EncodeToString(hmac256(key, toSign))
}

func hmac256(key []byte, msg string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(msg))
	return h.Sum(nil)
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
