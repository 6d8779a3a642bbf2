package costest_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

// The example keys in Tencent's documentation, which are not valid (436/7778).
const (
	sampleID  = "AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q"
	sampleKey = "BQYIM75p8x0iWVFSIgqEKwFprpRSVHlz"
)

// errorBody is an error as a client reads it.
type errorBody struct {
	Code, Message, Resource, RequestId, TraceId, StringToSign, FormatString, ServerTime string
}

func send(t *testing.T, s *costest.Server, req *http.Request) (int, errorBody) {
	t.Helper()
	resp, err := s.Client().Do(req)
	check(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	check(t, err)
	var e errorBody
	if resp.StatusCode >= 400 {
		if err := xml.Unmarshal(b, &e); err != nil {
			t.Fatalf("%d %q: %v", resp.StatusCode, b, err)
		}
	}
	return resp.StatusCode, e
}

type vector struct {
	method, uri, body string
	header            map[string]string // all signed, in addition to host
	params            string            // the q-url-param-list
	keyTime           string
	format, toSign    string
	signature         string
}

var (
	vectorA = vector{
		method: "PUT", uri: "/exampleobject(%E8%85%BE%E8%AE%AF%E4%BA%91)", body: "ObjectContent",
		header: map[string]string{
			"Content-Length": "13", "Content-MD5": "mQ/fVh815F3k6TAUm8m0eg==", "Content-Type": "text/plain",
			"Date": "Thu, 16 May 2019 06:45:51 GMT", "X-Cos-Acl": "private", "X-Cos-Grant-Read": `uin="100000000011"`,
		},
		keyTime:   "1557989151;1557996351",
		format:    "put\n/exampleobject(腾讯云)\n\ncontent-length=13&content-md5=mQ%2FfVh815F3k6TAUm8m0eg%3D%3D&content-type=text%2Fplain&date=Thu%2C%2016%20May%202019%2006%3A45%3A51%20GMT&host=examplebucket-1250000000.cos.ap-beijing.myqcloud.com&x-cos-acl=private&x-cos-grant-read=uin%3D%22100000000011%22\n",
		toSign:    "sha1\n1557989151;1557996351\n8b2751e77f43a0995d6e9eb9477f4b685cca4172\n",
		signature: "3b8851a11a569213c17ba8fa7dcf2abec6935172",
	}
	vectorB = vector{
		method: "GET", uri: "/exampleobject(%E8%85%BE%E8%AE%AF%E4%BA%91)?response-content-type=application%2Foctet-stream&response-cache-control=max-age%3D600",
		header:    map[string]string{"Date": "Thu, 16 May 2019 06:55:53 GMT"},
		params:    "response-cache-control;response-content-type",
		keyTime:   "1557989753;1557996953",
		format:    "get\n/exampleobject(腾讯云)\nresponse-cache-control=max-age%3D600&response-content-type=application%2Foctet-stream\ndate=Thu%2C%2016%20May%202019%2006%3A55%3A53%20GMT&host=examplebucket-1250000000.cos.ap-beijing.myqcloud.com\n",
		toSign:    "sha1\n1557989753;1557996953\n54ecfe22f59d3514fdc764b87a32d8133ea611e6\n",
		signature: "01681b8c9d798a678e43b685a9f1bba0f6c0e012",
	}
)

// request builds the request of a vector. The signature is in the header, in the query, or merged.
func (v vector) request(t *testing.T, s *costest.Server, form string, change func(fields map[string]string, r *http.Request)) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), v.method, s.BucketURL(s.Bucket())+v.uri, strings.NewReader(v.body))
	check(t, err)
	list := []string{"host"}
	for name, value := range v.header {
		list = append(list, strings.ToLower(name))
		if name != "Content-Length" {
			req.Header.Set(name, value)
		}
	}
	slices.Sort(list)
	fields := map[string]string{
		"q-sign-algorithm": "sha1", "q-ak": sampleID, "q-sign-time": v.keyTime, "q-key-time": v.keyTime,
		"q-header-list": strings.Join(list, ";"), "q-url-param-list": v.params, "q-signature": v.signature,
	}
	if change != nil {
		change(fields, req)
	}
	var raw, escaped []string
	for name, value := range fields { // in any order
		raw = append(raw, name+"="+value)
		escaped = append(escaped, name+"="+url.QueryEscape(value))
	}
	switch sep := map[bool]string{true: "&"}[req.URL.RawQuery != ""]; form {
	case "header":
		req.Header.Set("Authorization", strings.Join(raw, "&"))
	case "query":
		req.URL.RawQuery += sep + strings.Join(escaped, "&")
	case "merged":
		req.URL.RawQuery += sep + "sign=" + url.QueryEscape(strings.Join(raw, "&"))
	}
	return req
}

func sampleServer(t *testing.T, at int64, unsure map[string]string) *costest.Server {
	return start(t, &costest.Options{
		Region: "ap-beijing", Bucket: "examplebucket-1250000000", SecretID: sampleID, SecretKey: sampleKey,
		Now: func() time.Time { return time.Unix(at, 0) }, Unsure: unsure,
	})
}

func TestSignatureVectors(t *testing.T) {
	s := sampleServer(t, 1557989800, nil)
	for _, form := range []string{"header", "query", "merged"} {
		for name, v := range map[string]vector{"A": vectorA, "B": vectorB} {
			// B reads what A wrote.
			if status, e := send(t, s, vectorA.request(t, s, form, nil)); status != 200 {
				t.Fatalf("A as %s: %d %+v", form, status, e)
			}
			if status, e := send(t, s, v.request(t, s, form, nil)); status != 200 {
				t.Errorf("%s as %s: %d %+v", name, form, status, e)
			}
			status, e := send(t, s, v.request(t, s, form, func(fields map[string]string, _ *http.Request) {
				fields["q-signature"] = strings.Repeat("0", 40)
			}))
			if status != 403 || e.Code != "SignatureDoesNotMatch" || e.RequestId == "" || e.TraceId == "" {
				t.Errorf("%s with another signature: %d %+v", name, status, e)
			}
			if diff := cmp.Diff([]string{v.format, v.toSign}, []string{e.FormatString, e.StringToSign}); diff != "" {
				t.Errorf("%s as %s: the signed text (-want +got):\n%s", name, form, diff)
			}
		}
	}
}

// The hash that the real service reported for a path with a raw plus.
func TestRawPlusIsASpace(t *testing.T) {
	s := start(t, &costest.Options{Region: "ap-beijing", Bucket: "o2-1258123310"})
	req, err := http.NewRequestWithContext(t.Context(), "PUT", s.BucketURL(s.Bucket())+"/imagesresume-zh+en_%E9%A1%B5%E9%9D%A2_1.png", nil)
	check(t, err)
	owner(s)(req)
	req.Header.Set("Authorization", strings.Replace(req.Header.Get("Authorization"), "q-header-list=content-length;", "q-header-list=", 1))
	_, e := send(t, s, req)
	want := "put\n/imagesresume-zh en_页面_1.png\n\nhost=o2-1258123310.cos.ap-beijing.myqcloud.com\n"
	if e.Code != "SignatureDoesNotMatch" || e.FormatString != want {
		t.Errorf("%s %q, want %q", e.Code, e.FormatString, want)
	}
	const hash = "c7503b92a8581b3f3f68c8f7f64a8917b03a1a95"
	if got := fmt.Sprintf("%x", sha1.Sum([]byte(e.FormatString))); got != hash || !strings.HasSuffix(e.StringToSign, "\n"+hash+"\n") {
		t.Errorf("hash %s in %q, want %s", got, e.StringToSign, hash)
	}
}

func TestSignatureRefused(t *testing.T) {
	const inside = 1557989800
	set := func(name, value string) func(map[string]string, *http.Request) {
		return func(fields map[string]string, _ *http.Request) { fields[name] = value }
	}
	for _, tc := range []struct {
		what   string
		at     int64
		change func(map[string]string, *http.Request)
		unsure map[string]string
		want   string
	}{
		{"at the start of the key time", 1557989151, nil, nil, "200"},
		{"at the end of the key time", 1557996351, nil, nil, "200"},
		{"after the end of the key time", 1557996352, nil, nil, "403 AccessDenied"},
		{"15 minutes early", 1557989151 - 900, nil, nil, "200"},
		{"more than 15 minutes early", 1557989151 - 901, nil, nil, "403 RequestTimeTooSkewed"},
		{"unknown id", inside, set("q-ak", "AKID"), nil, "403 InvalidAccessKeyId"},
		{"another algorithm", inside, set("q-sign-algorithm", "sha256"), nil, "400 InvalidArgument"},
		{"malformed key time", inside, set("q-key-time", "now"), nil, "400 InvalidArgument"},
		{"key time with start and end swapped", inside, set("q-key-time", "1557996351;1557989151"), nil, "400 InvalidArgument"},
		{"missing field", inside, func(f map[string]string, _ *http.Request) { delete(f, "q-url-param-list") }, nil, "400 InvalidArgument"},
		{"additional field", inside, set("q-more", "1"), nil, "400 InvalidArgument"},
		{"signature in upper case", inside, set("q-signature", strings.ToUpper(vectorA.signature)), nil, "403 SignatureDoesNotMatch"},
		{"another sign time", inside, set("q-sign-time", "1557989152;1557996351"), nil, "403 SignatureDoesNotMatch"},
		{"another sign time, accepted", inside, set("q-sign-time", "1557989152;1557996351"), map[string]string{"sign-time": "accept"}, "200"},
		{"another key time", inside, set("q-key-time", "1557989152;1557996351"), map[string]string{"sign-time": "accept"}, "403 SignatureDoesNotMatch"},
		{"header not in the list", inside, set("q-header-list", "content-length;content-md5;content-type;date;host;x-cos-acl"), nil, "403 SignatureDoesNotMatch"},
		{"listed header not in the request", inside, set("q-header-list", "content-length;content-md5;content-type;date;host;range;x-cos-acl;x-cos-grant-read"), nil, "403 SignatureDoesNotMatch"},
		{"header list not sorted", inside, set("q-header-list", "content-length;content-md5;content-type;host;date;x-cos-acl;x-cos-grant-read"), nil, "403 SignatureDoesNotMatch"},
		{"listed parameter not in the request", inside, set("q-url-param-list", "acl"), nil, "403 SignatureDoesNotMatch"},
		{"changed header", inside, func(_ map[string]string, r *http.Request) { r.Header.Set("X-Cos-Acl", "public-read") }, nil, "403 SignatureDoesNotMatch"},
		{"another method", inside, func(_ map[string]string, r *http.Request) { r.Method = "POST" }, nil, "405 MethodNotAllowed"},
		{"another key", inside, func(_ map[string]string, r *http.Request) { r.URL.Path, r.URL.RawPath = "/other", "" }, nil, "403 SignatureDoesNotMatch"},
		{"another spelling of the key", inside, func(_ map[string]string, r *http.Request) {
			r.URL.RawPath = strings.Replace(r.URL.EscapedPath(), "e", "%65", 1)
		}, nil, "200"},
		{"another host", inside, func(_ map[string]string, r *http.Request) { r.Host = "other-1250000000.cos.ap-beijing.myqcloud.com" }, nil, "403 SignatureDoesNotMatch"},
		{"additional unsigned header", inside, func(_ map[string]string, r *http.Request) { r.Header.Set("X-Cos-Meta-More", "1") }, nil, "200"},
		{"additional unsigned parameter", inside, func(_ map[string]string, r *http.Request) { r.URL.RawQuery = "x=y" }, nil, "200"},
		{"token with a permanent key", inside, func(_ map[string]string, r *http.Request) { r.Header.Set("X-Cos-Security-Token", "t") }, nil, "400 ExpiredToken"},
	} {
		for _, form := range []string{"header", "query", "merged"} {
			if form == "query" && tc.what == "additional field" {
				continue // a normal parameter
			}
			s := sampleServer(t, tc.at, tc.unsure)
			status, e := send(t, s, vectorA.request(t, s, form, tc.change))
			if got := strings.TrimSpace(fmt.Sprint(status, " ", e.Code)); got != tc.want {
				t.Errorf("%s, as %s: %s, want %s\n%q", tc.what, form, got, tc.want, e.FormatString)
			}
		}
	}
}

// TestExpiredSignature: the message and the time of the server are the same with every code.
func TestExpiredSignature(t *testing.T) {
	for _, code := range []string{"AccessDenied", "Request has expired", "RequestIsExpired"} {
		s := sampleServer(t, 1557996352, map[string]string{"expired-signature": code})
		status, e := send(t, s, vectorA.request(t, s, "header", nil))
		if status != 403 || e.Code != code || e.Message != "Request has expired" || e.ServerTime != "2019-05-16T08:45:52Z" {
			t.Errorf("%s: %d %+v", code, status, e)
		}
	}
}

// mac returns the hexadecimal HMAC-SHA1. It does not use the code of the server, which the test checks.
func mac(key, msg string) string {
	h := hmac.New(sha1.New, []byte(key))
	h.Write([]byte(msg))
	return hex.EncodeToString(h.Sum(nil))
}

// All listed names must be in the request, in lower case, sorted and without repetition, even if
// the signature is otherwise correct.
func TestSignedLists(t *testing.T) {
	for _, tc := range []struct {
		list, signed string
		status       int
	}{
		{"date;host", "date=d&host=HOST", 404},
		{"host", "host=HOST", 404},
		{"", "", 404},
		{"host;date", "host=HOST&date=d", 403},
		{"host;host", "host=HOST&host=HOST", 403},
		{"Host", "Host=HOST", 403},
		{"host;range", "host=HOST&range=", 403},
		{"host;range", "host=HOST", 403},
		{"authorization;host", "authorization=&host=HOST", 403},
	} {
		s := start(t, nil)
		now := time.Now().Unix()
		keyTime := fmt.Sprintf("%d;%d", now, now+60)
		host := s.Bucket() + ".cos." + s.Region() + ".myqcloud.com"
		format := fmt.Sprintf("get\n/k\n\n%s\n", strings.ReplaceAll(tc.signed, "HOST", host))
		toSign := fmt.Sprintf("sha1\n%s\n%x\n", keyTime, sha1.Sum([]byte(format)))
		status, _, body := do(t, s, "GET", "/k", "", nil, "Date", "d", "Authorization", fmt.Sprintf(
			"q-sign-algorithm=sha1&q-ak=%s&q-sign-time=%s&q-key-time=%[2]s&q-header-list=%s&q-url-param-list=&q-signature=%s",
			s.SecretID(), keyTime, tc.list, mac(mac(s.SecretKey(), keyTime), toSign)))
		if status != tc.status {
			t.Errorf("%s: %d %s", tc.list, status, body)
		}
	}
}

func TestAnonymousAndOthers(t *testing.T) {
	s := start(t, nil)
	status, _, body := do(t, s, "GET", "/k", "", nil)
	if status != 403 || !strings.Contains(body, "<Code>AccessDenied</Code><Message>Access Denied.</Message>") {
		t.Errorf("anonymous: %d %s", status, body)
	}
	status, _, body = do(t, s, "GET", "/k", "", nil, "Authorization", "AWS4-HMAC-SHA256 Credential=a/b")
	if status != 501 || !strings.Contains(body, "<Code>NotImplemented</Code>") {
		t.Errorf("version 4: %d %s", status, body)
	}
	c := sdkAs(t, s, s.Bucket(), s.SecretID(), "another", "")
	_, err := get(c, "k")
	wantCode(t, "another secret", err, "403 SignatureDoesNotMatch")
	if strings.Contains(fmt.Sprintf("%+v", err), s.SecretKey()) {
		t.Error("the error contains the secret")
	}
}

func TestDuplicates(t *testing.T) {
	for variant, want := range map[string]int{"refuse": 403, "accept": 200} {
		s := start(t, &costest.Options{Unsure: map[string]string{"sign-time": variant}})
		status, _, body := do(t, s, "GET", "/?prefix=b&prefix=a", "", owner(s))
		if status != want {
			t.Errorf("a parameter twice, %s: %d %s", variant, status, body)
		}
	}
}

func TestPresigned(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	put(t, c, "a b/c+d", "value")
	for _, merged := range []bool{false, true} {
		query := url.Values{"response-content-type": {"text/plain"}}
		u, err := c.Object.GetPresignedURL(t.Context(), "GET", "a b/c+d", s.SecretID(), s.SecretKey(), time.Hour, &cos.PresignedURLOptions{Query: &query, SignMerged: merged})
		check(t, err)
		for _, change := range []string{"", "&response-content-type=x", "&more=1"} {
			resp, err := s.Client().Get(u.String() + change)
			check(t, err)
			b, err := io.ReadAll(resp.Body)
			check(t, err)
			resp.Body.Close()
			ok := resp.StatusCode == 200 && string(b) == "value" && resp.Header.Get("Content-Type") == "text/plain"
			if want := change != "&response-content-type=x"; ok != want {
				t.Errorf("merged %v%s: %d %s", merged, change, resp.StatusCode, b)
			}
		}
		u.Host = "other-1250000000.cos.ap-guangzhou.myqcloud.com"
		check(t, s.CreateBucket(strings.Split(u.Host, ".")[0]+map[bool]string{true: "1"}[merged], ""))
		u.Host = strings.Replace(u.Host, ".", map[bool]string{true: "1."}[merged]+".", 1)
		u.Host = strings.Replace(u.Host, "..", ".", 1)
		resp, err := s.Client().Get(u.String())
		check(t, err)
		resp.Body.Close()
		if resp.StatusCode != 403 {
			t.Errorf("another bucket: %d", resp.StatusCode)
		}
	}
}

func TestHosts(t *testing.T) {
	s := start(t, &costest.Options{TLS: true})
	u, err := url.Parse(s.URL())
	check(t, err)
	for _, tc := range []struct{ host, path, want string }{
		{"vault-1250000000.cos.ap-guangzhou.myqcloud.com", "/k", "404 NoSuchKey"},
		{"VAULT-1250000000.cos.ap-guangzhou.myqcloud.com:443", "/k", "404 NoSuchKey"},
		{"vault-1250000000.cos.ap-guangzhou.tencentcos.cn", "/k", "404 NoSuchKey"},
		{"vault-1250000000.cos-internal.ap-guangzhou.tencentcos.cn", "/k", "404 NoSuchKey"},
		{"vault-1250000000.cos.accelerate.myqcloud.com", "/k", "404 NoSuchKey"},
		{"vault-1250000000.cos.accelerate.myqcloud.com", "/", "400 ActionAccelerateNotSupported"},
		{"vault-1250000000.cos.ap-beijing.myqcloud.com", "/k", "404 NoSuchBucket"},
		{"other-1250000000.cos.ap-guangzhou.myqcloud.com", "/k", "404 NoSuchBucket"},
		{"cos.ap-guangzhou.myqcloud.com", "/vault-1250000000/k", "403 PathStyleDomainForbidden"},
		{u.Host, "/k", "404 NoSuchKey"},
		{u.Host, "/vault-1250000000/k", "403 PathStyleDomainForbidden"},
		{"localhost", "/k", "404 NoSuchKey"},
		{"service.cos.myqcloud.com", "/", "200"},
		{"service.cos.myqcloud.com", "/k", "405 MethodNotAllowed"},
		{"example.com", "/k", "400 InvalidURI"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+tc.path, nil)
		check(t, err)
		req.Host = tc.host
		owner(s)(req)
		status, e := send(t, s, req)
		if got := strings.TrimSpace(fmt.Sprint(status, " ", e.Code)); got != tc.want {
			t.Errorf("%s%s: %s, want %s", tc.host, tc.path, got, tc.want)
		}
	}
}

// Any client can use the server as its proxy, for http and, with a tunnel, for https.
func TestProxy(t *testing.T) {
	s := start(t, &costest.Options{TLS: true})
	proxy, err := url.Parse("http://" + strings.TrimPrefix(s.URL(), "https://"))
	check(t, err)
	transport := s.Client().Transport.(*http.Transport).Clone()
	transport.DialContext, transport.Proxy = nil, http.ProxyURL(proxy)
	defer transport.CloseIdleConnections()
	for _, scheme := range []string{"http", "https"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", scheme+"://vault-1250000000.cos.ap-guangzhou.myqcloud.com/?max-keys=1", nil)
		check(t, err)
		owner(s)(req)
		resp, err := (&http.Client{Transport: transport}).Do(req)
		check(t, err)
		dump, err := httputil.DumpResponse(resp, true)
		check(t, err)
		resp.Body.Close()
		all := s.Requests()
		if last := all[len(all)-1]; resp.StatusCode != 200 || last.TLS != (scheme == "https") || last.Bucket != "vault-1250000000" {
			t.Errorf("%s: %s\n%+v", scheme, dump, last)
		}
	}
}

func TestStrictSignature(t *testing.T) {
	s := start(t, nil)
	const doc = `<StrictSignatureConfiguration><Rule><ID>sign-all</ID><actionlist><action>Get*</action></actionlist>` +
		`<headerlist><header>Host</header><header>Range</header></headerlist><paramlist><param>all</param></paramlist></Rule></StrictSignatureConfiguration>`
	status, _, body := do(t, s, "PUT", "/?strict-signature", doc, owner(s))
	if status != 200 {
		t.Fatalf("put: %d %s", status, body)
	}
	if _, _, got := do(t, s, "GET", "/?strict-signature", "", owner(s)); got != doc {
		t.Errorf("get: %s", got)
	}
	after := func(change func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) { owner(s)(r); change(r) }
	}
	for _, tc := range []struct {
		what   string
		method string
		sign   func(*http.Request)
		want   string
	}{
		{"all signed", "GET", owner(s), "<Code>NoSuchKey</Code>"},
		{"unsigned Range header", "GET", after(func(r *http.Request) { r.Header.Set("Range", "bytes=0-1") }), "Strict signature missing header that must be signed"},
		{"unsigned parameter", "GET", after(func(r *http.Request) { r.URL.RawQuery = "versionId=x" }), "Strict signature missing param that must be signed"},
		{"unsigned parameter of another action", "DELETE", after(func(r *http.Request) { r.URL.RawQuery = "x=y" }), ""},
	} {
		if _, _, got := do(t, s, tc.method, "/k", "", tc.sign); !strings.Contains(got, tc.want) {
			t.Errorf("%s: %s", tc.what, got)
		}
	}
	if status, _, _ := do(t, s, "DELETE", "/?strict-signature", "", owner(s)); status != 204 {
		t.Errorf("delete: %d", status)
	}
	if status, _, got := do(t, s, "GET", "/?strict-signature", "", owner(s)); status != 404 {
		t.Errorf("deleted: %d %s", status, got)
	}
}
