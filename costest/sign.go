package costest

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A signature is a q-sign signature. It is in the Authorization header, in query parameters, or in
// the single query parameter sign.
type signature struct {
	id, signTime, keyTime string
	headers, params       []string
	signature             string
	inQuery               bool
}

// signatureFields are the names of its fields, which may have any order.
var signatureFields = []string{"q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature"}

// skew is the maximum clock difference of a client.
const skew = 15 * time.Minute

var errSignatureShape = failure(http.StatusBadRequest, "InvalidArgument", "The Authorization header or parameters are malformed.")

// parseSignature returns the signature of a request, or nil if it has none.
func parseSignature(h http.Header, q query) (*signature, error) {
	fields := make(map[string]string)
	inQuery := false
	switch all := h.Values("Authorization"); {
	case len(all) > 1:
		return nil, errSignatureShape
	case len(all) == 1:
		if !strings.Contains(all[0], "q-sign-algorithm=") {
			return nil, failure(http.StatusNotImplemented, "NotImplemented", "costest knows no other signatures than q-sign.")
		}
		if err := cutFields(fields, all[0]); err != nil {
			return nil, err
		}
	case q.has("sign"):
		inQuery = true
		if err := cutFields(fields, q.get("sign")); err != nil {
			return nil, err
		}
	case q.has("q-signature") || q.has("q-ak"):
		inQuery = true
		for _, p := range q {
			if !slices.Contains(signatureFields, p.name) {
				continue
			}
			if _, twice := fields[p.name]; twice {
				return nil, errSignatureShape
			}
			fields[p.name] = p.value
		}
	default:
		return nil, nil
	}
	for _, name := range signatureFields {
		if _, ok := fields[name]; !ok {
			return nil, errSignatureShape
		}
	}
	if fields["q-sign-algorithm"] != "sha1" {
		return nil, errSignatureShape
	}
	return &signature{
		id: fields["q-ak"], signTime: fields["q-sign-time"], keyTime: fields["q-key-time"],
		headers: splitList(fields["q-header-list"]), params: splitList(fields["q-url-param-list"]),
		signature: fields["q-signature"], inQuery: inQuery,
	}, nil
}

func cutFields(fields map[string]string, s string) error {
	for pair := range strings.SplitSeq(strings.TrimSpace(s), "&") {
		name, value, ok := strings.Cut(pair, "=")
		if _, twice := fields[name]; twice || !ok || !slices.Contains(signatureFields, name) {
			return errSignatureShape
		}
		fields[name] = value
	}
	return nil
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ";")
}

// window returns the start and the end of a key time.
func window(keyTime string) (start, end time.Time, ok bool) {
	a, b, _ := strings.Cut(keyTime, ";")
	from, err1 := strconv.ParseInt(a, 10, 64)
	to, err2 := strconv.ParseInt(b, 10, 64)
	return time.Unix(from, 0), time.Unix(to, 0), err1 == nil && err2 == nil && from <= to
}

// checkTime compares the validity period of the signature with the server's clock. expired is the form
// of the error for a signature that is no longer valid.
func (g *signature) checkTime(now time.Time, expired string) error {
	for _, t := range []string{g.signTime, g.keyTime} {
		start, end, ok := window(t)
		switch {
		case !ok:
			return errSignatureShape
		case start.After(now.Add(skew)):
			return failure(http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large.")
		case end.Before(now):
			return &apiError{
				status: http.StatusForbidden, code: expired, message: "Request has expired",
				serverTime: now.UTC().Format(time.RFC3339),
			}
		}
	}
	return nil
}

// check computes the signature of the request again, with the decoded path, and compares it.
func (g *signature) check(secret, method, path string, header func(string) []string, q query, tolerant bool) error {
	format, ok := g.formatString(method, path, header, q, tolerant)
	toSign := stringToSign(g.keyTime, format)
	if !tolerant && g.signTime != g.keyTime {
		ok = false
	}
	if want := sign(secret, g.keyTime, toSign); !ok || !hmac.Equal([]byte(want), []byte(g.signature)) {
		return &apiError{
			status: http.StatusForbidden, code: "SignatureDoesNotMatch",
			message:      "The Signature you specified is invalid.",
			stringToSign: toSign, formatString: format,
		}
	}
	return nil
}

// formatString returns the signed form of the request, and reports whether the request has all
// listed names, in lower case, sorted and without repetition. If tolerant is true, names may be
// repeated.
func (g *signature) formatString(method, path string, header func(string) []string, q query, tolerant bool) (string, bool) {
	params := make(map[string][]string)
	for _, p := range q {
		name := strings.ToLower(encode(p.name, ""))
		params[name] = append(params[name], p.value)
	}
	p, ok1 := pairs(g.params, func(name string) []string { return params[name] }, tolerant)
	h, ok2 := pairs(g.headers, header, tolerant)
	return strings.ToLower(method) + "\n" + path + "\n" + p + "\n" + h + "\n", ok1 && ok2
}

func pairs(list []string, values func(string) []string, tolerant bool) (string, bool) {
	ok := slices.IsSorted(list)
	var out []string
	for i, name := range list {
		if i > 0 && name == list[i-1] {
			continue // all values are already included
		}
		all := slices.Sorted(slices.Values(values(name)))
		occurs := 0
		for _, other := range list {
			if other == name {
				occurs++
			}
		}
		if len(all) == 0 || name != strings.ToLower(name) || occurs != len(all) || len(all) > 1 && !tolerant {
			ok = false
		}
		for _, v := range all {
			out = append(out, name+"="+encode(v, ""))
		}
	}
	return strings.Join(out, "&"), ok
}

func stringToSign(keyTime, format string) string {
	sum := sha1.Sum([]byte(format))
	return "sha1\n" + keyTime + "\n" + hex.EncodeToString(sum[:]) + "\n"
}

func sign(secret, keyTime, toSign string) string { return mac(mac(secret, keyTime), toSign) }

func mac(key, msg string) string {
	h := hmac.New(sha1.New, []byte(key))
	h.Write([]byte(msg))
	return hex.EncodeToString(h.Sum(nil))
}

// signedHeader returns a function that returns the values of a header, by its name in signatures.
func signedHeader(r *http.Request) func(string) []string {
	return func(name string) []string {
		switch name {
		case "host":
			return []string{r.Host}
		case "transfer-encoding":
			return r.TransferEncoding
		case "authorization":
			return nil // a signature cannot sign itself
		}
		return r.Header.Values(name)
	}
}
