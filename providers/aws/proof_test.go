package aws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// loginPage is the page of a captive portal.
const loginPage = "<!DOCTYPE html>\n<html><head><title>Welcome to the hotel</title></head><body>Please log in.</body></html>"

// TestUnprovenWrite: a response that does not prove success is not accepted. The object is read
// back. If it is missing, the outcome is unknown.
func TestUnprovenWrite(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, false)
	for _, tc := range []struct {
		name   string
		status int
		body   string
	}{
		{"empty", 200, ""}, {"only white space", 200, " \n"}, {"status 202", 202, ""}, {"status 204", 204, ""}, {"login page", 200, loginPage},
		{"XML of another operation", 200, "<ListBucketResult></ListBucketResult>"}, {"404 of a web server", 404, "404 page not found\n"},
	} {
		for _, size := range []int64{1000, 20 << 20} {
			if testing.Short() && size > 1000 && tc.name != "login page" && tc.name != "empty" {
				continue
			}
			for _, applied := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%d/applied %v", tc.name, size, applied), func(t *testing.T) {
					t.Parallel()
					proxy := testcloud.NewProxy(server.URL, nil)
					t.Cleanup(func() { proxy.Close() })
					hit, n := isPut, new(atomic.Int32)
					if size > 1000 {
						hit = isComplete
					}
					proxy.SetRule(func(r *http.Request, _ int) *testcloud.Fault {
						switch {
						case !hit(r):
							return nil
						case applied:
							n.Add(1)
							return testcloud.ApplyThen(tc.status, tc.body)
						}
						n.Add(1)
						return testcloud.RespondBefore(tc.status, tc.body)
					})
					v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: proxy.URL, Static: static(server.Root)}), "acme")
					name := vault.Name(strings.ReplaceAll(t.Name(), " ", "-"))
					_, err := v.Put(t.Context(), name, noise(6, size), nil)
					switch {
					case applied && err != nil:
						t.Errorf("put: %v", err)
					case !applied && !errors.Is(err, vault.ErrUnsure):
						t.Errorf("put: %v, want %v", err, vault.ErrUnsure)
					case !applied && !strings.Contains(err.Error(), fmt.Sprintf("this is not an S3 response: status %d", tc.status)):
						t.Errorf("put: %v", err)
					}
					if n.Load() != 1 {
						t.Errorf("the request was sent %d times", n.Load())
					}
				})
			}
		}
	}
}

// TestUnprovenDeletion: the same applies to a deletion.
func TestUnprovenDeletion(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, false)
	proxy := testcloud.NewProxy(server.URL, nil)
	t.Cleanup(func() { proxy.Close() })
	v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: proxy.URL, Static: static(server.Root)}), "acme")
	for _, name := range []vault.Name{"a", "b"} {
		if _, err := v.Put(t.Context(), name, noise(1, 10), nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, answer := range map[string]string{"login page": loginPage, "XML of a list": "<ListBucketResult></ListBucketResult>"} {
		proxy.SetRule(func(r *http.Request, _ int) *testcloud.Fault {
			if r.Method == http.MethodDelete || r.URL.Query().Has("delete") {
				return testcloud.RespondBefore(200, answer)
			}
			return nil
		})
		if err := v.Delete(t.Context(), "a", nil); !errors.Is(err, vault.ErrUnsure) {
			t.Errorf("%s: delete: %v, want %v", name, err, vault.ErrUnsure)
		}
		if result, err := v.Teardown(t.Context(), nil); !errors.Is(err, vault.ErrUnsure) || result.Deleted != 0 {
			t.Errorf("%s: teardown: %+v, %v, want %v", name, result, err, vault.ErrUnsure)
		}
	}
	for _, status := range []int{200, 204} { // an empty body is success
		proxy.SetRule(func(r *http.Request, _ int) *testcloud.Fault {
			if r.Method == http.MethodDelete {
				return testcloud.ApplyThen(status, "")
			}
			return nil
		})
		if err := v.Delete(t.Context(), map[int]vault.Name{200: "a", 204: "b"}[status], nil); err != nil {
			t.Errorf("delete with status %d: %v", status, err)
		}
	}
}

// TestForeign: for every operation, a server that is not S3 is reported as such.
func TestForeign(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, kind string
		status     int
		body       string
		header     map[string]string
		want       string
	}{
		{"login page", "text/html; charset=utf-8", 200, loginPage, nil, "status 200, text/html"},
		{"empty", "", 200, "", nil, "status 200, no content type"},
		{"web server", "text/plain", 404, "404 page not found\n", nil, "status 404, text/plain: 404 page not found"},
		{"redirect", "text/html", 301, "<html>moved</html>", map[string]string{"Location": "https://user:hunter2@portal.example/login?token=hunter2"}, "a redirect to https://portal.example"},
		{"unauthorised", "text/html", 401, "<html>who are you?</html>", nil, "status 401, text/html: <html>who are you?</html>"},
		{"forbidden", "text/html", 403, "<html>blocked by policy</html>", nil, "status 403, text/html"},
		{"JSON", "application/json", 404, `{"error":"no such route"}`, nil, `status 404, application/json: {"error":"no such route"}`},
		{"escape sequences", "text/plain", 200, "\x1b[2J\x07hello\u202eworld\xff", nil, "hello"},
		{"XML of another service", "application/xml", 200, "<rss><channel/></rss>", nil, "<rss>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if tc.kind != "" {
					w.Header().Set("Content-Type", tc.kind)
				} else {
					w.Header()["Content-Type"] = nil
				}
				for name, value := range tc.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(tc.status)
				io.WriteString(w, tc.body)
			})
			for op, err := range everything(t, s) {
				if op == "rm" && tc.name == "empty" { // a valid response of some servers
					continue
				}
				if !errors.Is(err, vault.ErrUnavailable) {
					t.Errorf("%s: %v, want %v", op, err, vault.ErrUnavailable)
					continue
				}
				for _, other := range []error{vault.ErrNotFound, vault.ErrPermission, vault.ErrUnauthenticated, vault.ErrUnsupported, vault.ErrRefused} {
					if errors.Is(err, other) {
						t.Errorf("%s: %v is %v", op, err, other)
					}
				}
				text := err.Error()
				if !strings.Contains(text, "this is not an S3 response: ") || op != "time" && !strings.Contains(text, tc.want) { // a HEAD, which has no body
					t.Errorf("%s: %s, want …%s…", op, text, tc.want)
				}
				if strings.Contains(text, "hunter2") || strings.ContainsAny(text, "\x1b\x07\u202e") || !utf8.ValidString(text) {
					t.Errorf("%s: %q", op, text)
				}
				if unsure := errors.Is(err, vault.ErrUnsure); unsure != (op == "put" || op == "create" || op == "rm") {
					t.Errorf("%s: %v: unsure is %v", op, err, unsure)
				}
			}
		})
	}
}

// everything makes one request of each kind.
func everything(t *testing.T, s *vault.Store) map[string]error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	v := newVault(t, s, "acme")
	errs := make(map[string]error)
	_, errs["put"] = v.Put(ctx, "openai", strings.NewReader("sk-canary"), nil)
	_, errs["create"] = v.Put(ctx, "openai", strings.NewReader("sk-canary"), &vault.PutOptions{Create: true})
	_, errs["multipart put"] = v.Put(ctx, "openai", noise(1, 20<<20), nil)
	_, errs["get"] = v.Get(ctx, "openai", nil)
	_, errs["stat"] = v.Stat(ctx, "openai")
	errs["rm"] = v.Delete(ctx, "openai", nil)
	_, errs["teardown"] = v.Teardown(ctx, nil)
	for _, err := range v.List(ctx, nil) {
		errs["ls"] = err
	}
	for _, err := range v.History(ctx, "openai") {
		errs["history"] = err
	}
	for _, setting := range s.Cloud.Settings(ctx) {
		if setting.Name != "endpoint" {
			errs["setting "+setting.Name] = setting.Err
		}
	}
	_, errs["time"] = s.Cloud.ServerTime(ctx)
	for _, op := range []string{"ls", "history"} {
		if _, ok := errs[op]; !ok {
			errs[op] = nil
		}
	}
	return errs
}

// TestEcho: if a server returns the request in its response, no message contains a credential.
func TestEcho(t *testing.T) {
	t.Parallel()
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s\n", r.Header.Get("Authorization"), r.Header.Get("X-Amz-Security-Token"))
	})
	_, err := newVault(t, s, "acme").Get(t.Context(), "openai", nil)
	if text := fmt.Sprintf("%+v", err); err == nil || strings.Contains(text, "Signature=") || strings.Contains(text, "AKIDEXAMPLE") {
		t.Errorf("get: %v", err)
	}
	token := strings.Repeat("eyJhbGciOiJSUzI1NiJ9.", 20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, token) }))
	defer server.Close()
	exchange, err := aws.NewExchanger(t.Context(), aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exchange.Exchange(t.Context(), federation.Token{}); err == nil || strings.Contains(err.Error(), "eyJ") {
		t.Errorf("exchange: %v", err)
	}
}

// TestUploadWithoutID: if the response to an initiate has no upload id, the write returns an error,
// and the program continues.
func TestUploadWithoutID(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"empty": "", "no upload id": "<InitiateMultipartUploadResult><Bucket>bucket</Bucket></InitiateMultipartUploadResult>", "login page": loginPage,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				io.WriteString(w, answer)
			})
			_, err := newVault(t, s, "acme").Put(t.Context(), "openai", noise(1, 20<<20), nil)
			if !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrUnsure) {
				t.Errorf("put: %v, want %v, because no object can be visible", err, vault.ErrUnavailable)
			}
			// The portable bucket uses other code.
			w, err := s.Bucket.NewWriter(t.Context(), "key", nil)
			if err == nil {
				io.Copy(w, noise(1, 20<<20))
				err = w.Close()
			}
			if err == nil {
				t.Error("the bucket's own writer succeeded")
			}
		})
	}
}

// TestPartsWithoutETag: a part without an ETag was not stored.
func TestPartsWithoutETag(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, false)
	proxy := testcloud.NewProxy(server.URL, nil)
	t.Cleanup(func() { proxy.Close() })
	proxy.SetRule(func(r *http.Request, _ int) *testcloud.Fault {
		if r.URL.Query().Get("partNumber") == "2" {
			return testcloud.RespondBefore(200, "")
		}
		return nil
	})
	v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: proxy.URL, Static: static(server.Root)}), "acme")
	_, err := v.Put(t.Context(), "openai", noise(1, 20<<20), nil)
	if !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrUnsure) || !strings.Contains(err.Error(), "UploadPart: this is not an S3 response: status 200, application/xml, no ETag") {
		t.Errorf("put: %v", err)
	}
	noOrphans(t, testcloud.S3Client(server.URL, server.Root), bucket)
}

// TestCutLists: a truncated list without the marker of its next page is not complete.
func TestCutLists(t *testing.T) {
	t.Parallel()
	const key = "bots/acme/credentials/openai.enc"
	for name, tc := range map[string]struct{ keys, versions string }{
		"no token of the next page": {"<IsTruncated>true</IsTruncated>", "<IsTruncated>true</IsTruncated>"},
		"same token again":          {"<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>", "<IsTruncated>true</IsTruncated><NextKeyMarker>t</NextKeyMarker>"},
		"truncated XML":             {"<Contents>", "<Version>"},
		"True":                      {"<IsTruncated>True</IsTruncated>", "<IsTruncated>True</IsTruncated>"}, // the SDK parses these as true
		"TRUE":                      {"<IsTruncated>TRUE</IsTruncated>", "<IsTruncated>TRUE</IsTruncated>"},
		"1":                         {"<IsTruncated>1</IsTruncated>", "<IsTruncated>1</IsTruncated>"},
		"t":                         {"<IsTruncated>t</IsTruncated>", "<IsTruncated>t</IsTruncated>"},
		"yes":                       {"<IsTruncated>yes</IsTruncated>", "<IsTruncated>yes</IsTruncated>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				if r.URL.Query().Has("versions") {
					fmt.Fprintf(w, "<ListVersionsResult>%s%s</ListVersionsResult>", entry("Version", key, "1", "01", true), tc.versions)
					return
				}
				fmt.Fprintf(w, "<ListBucketResult><Contents><Key>%s</Key><Size>3</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>%s</ListBucketResult>", key, tc.keys)
			})
			v := newVault(t, s, "acme")
			var listErr, historyErr error
			for _, listErr = range v.List(t.Context(), nil) {
			}
			for _, historyErr = range s.History.Versions(t.Context(), key) {
			}
			_, tearErr := v.Teardown(t.Context(), nil)
			for op, err := range map[string]error{"list": listErr, "history": historyErr, "teardown": tearErr} {
				if !strings.Contains(fmt.Sprint(err), "this is not an S3 response: ") || op != "history" && !errors.Is(err, vault.ErrUnavailable) {
					t.Errorf("%s: %v", op, err)
				}
			}
			if n := asked.Load(); n > 9 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// TestHead: a 404 to a HEAD is a response of the service if it has a request id. Otherwise a list
// of the key decides.
func TestHead(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, id, list string
		exists, sure   bool
	}{
		{"request id", "ID1", "", false, true},
		{"no request id, key not listed", "", "<ListBucketResult></ListBucketResult>", false, true},
		{"no request id, key listed", "", "<ListBucketResult><Contents><Key>key</Key></Contents></ListBucketResult>", false, false},
		{"404 of a web server", "", "404 page not found", false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodHead {
					io.WriteString(w, tc.list)
					return
				}
				if tc.id != "" {
					w.Header().Set("X-Amz-Request-Id", tc.id)
				}
				w.WriteHeader(http.StatusNotFound)
			})
			exists, err := s.Bucket.Exists(t.Context(), "key")
			if exists != tc.exists || (err == nil) != tc.sure {
				t.Errorf("exists is %v, %v", exists, err)
			}
			if err != nil && !errors.Is(s.Explain(err), vault.ErrUnavailable) {
				t.Errorf("%v is explained as %v", err, s.Explain(err))
			}
		})
	}
}

// TestForeignSTS: a server that is not an STS has not refused the token.
func TestForeignSTS(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"web server", 404, "404 page not found", federation.ErrUnavailable},
		{"S3 without STS", 404, "<Error><Code>NoSuchBucket</Code></Error>", federation.ErrUnavailable},
		{"S3 without STS, 403", 403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", federation.ErrUnavailable},
		{"S3 without STS, 405", 405, "<Error><Code>MethodNotAllowed</Code><Message>no</Message></Error>", federation.ErrUnavailable},
		{"S3 without STS, 400", 400, "<Error><Code>InvalidRequest</Code></Error>", federation.ErrUnavailable},
		{"empty 403", 403, "", federation.ErrUnavailable},
		{"empty 400", 400, "", federation.ErrUnavailable},
		{"login page", 200, loginPage, federation.ErrUnavailable},
		{"403 of a proxy", 403, "<html>no</html>", federation.ErrUnavailable},
		{"400 of a proxy", 400, "no", federation.ErrUnavailable},
		{"empty", 200, "", federation.ErrUnavailable},
		{"XML of another operation", 200, "<GetCallerIdentityResponse></GetCallerIdentityResponse>", federation.ErrUnavailable},
		{"refused by AWS", 403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", federation.ErrRefused},
		{"refused by Ceph", 403, "<Error><Code>AccessDenied</Code></Error>", federation.ErrRefused},
		{"refused by Ceph, empty message", 403, "<Error><Code>AccessDenied</Code><Message></Message></Error>", federation.ErrRefused},
		{"invalid token at Ceph", 400, "<Error><Code>InvalidIdentityToken</Code><Message>no</Message></Error>", federation.ErrRefused}, // the SDK finds no code in this response
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Amz-Request-Id", "REQ1")
				w.WriteHeader(tc.status)
				io.WriteString(w, tc.body)
			}))
			defer server.Close()
			exchange, err := aws.NewExchanger(t.Context(), aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Endpoint: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			_, err = exchange.Exchange(t.Context(), federation.Token{})
			if !errors.Is(err, tc.want) || tc.want == federation.ErrUnavailable && errors.Is(err, federation.ErrRefused) {
				t.Errorf("exchange: %v, want %v", err, tc.want)
			}
			if foreign := strings.Contains(fmt.Sprint(err), "this is not an STS response: "); foreign != (tc.want == federation.ErrUnavailable) {
				t.Errorf("exchange: %v", err)
			}
		})
	}
}

// TestTeardownWithoutVersions: a teardown is complete even if the server cannot list versions, or
// lists objects instead.
func TestTeardownWithoutVersions(t *testing.T) {
	t.Parallel()
	const key = "bots/acme/credentials/openai.enc"
	for name, list := range map[string]func(w http.ResponseWriter){
		"InvalidRequest":       func(w http.ResponseWriter) { refuse(w, 400, "InvalidRequest") },
		"UnsupportedOperation": func(w http.ResponseWriter) { refuse(w, 400, "UnsupportedOperation") },
		"NoSuchKey":            func(w http.ResponseWriter) { refuse(w, 404, "NoSuchKey") },
		"404, unknown code":    func(w http.ResponseWriter) { refuse(w, 404, "SomethingOfTheirs") },
		"list of objects":      func(w http.ResponseWriter) { io.WriteString(w, "<ListBucketResult></ListBucketResult>") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Query().Has("versions"):
					list(w)
				case r.Method == http.MethodDelete:
					w.WriteHeader(http.StatusNoContent)
				default:
					fmt.Fprintf(w, "<ListBucketResult><Contents><Key>%s</Key><Size>3</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>", key)
				}
			})
			result, err := newVault(t, s, "acme").Teardown(t.Context(), nil)
			if err != nil || result.Deleted != 1 || result.LeftInHistory != -1 {
				t.Errorf("teardown: %+v, %v", result, err)
			}
		})
	}
}

// TestPageWithETag: web frameworks send an ETag with each page. It proves nothing, neither for a
// write nor for a read that returns a page instead of an object.
func TestPageWithETag(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ kind, tag, body string }{
		"HTML, weak ETag":       {"text/html", `W/"1a-x"`, loginPage},
		"HTML, strong ETag":     {"text/html; charset=utf-8", `"1a-x"`, loginPage},
		"JSON, weak ETag":       {"application/json", `W/"1a-x"`, `{"ok":true}`},
		"empty body, weak ETag": {"", `W/"1a-x"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Header()["Content-Type"] = nil
				if tc.kind != "" {
					w.Header().Set("Content-Type", tc.kind)
				}
				w.Header().Set("ETag", tc.tag)
				io.WriteString(w, tc.body)
			})
			v := newVault(t, s, "acme")
			_, putErr := v.Put(t.Context(), "openai", strings.NewReader("sk"), nil)
			_, getErr := v.Get(t.Context(), "openai", nil)
			_, statErr := v.Stat(t.Context(), "openai")
			if !errors.Is(putErr, vault.ErrUnsure) {
				t.Errorf("put: %v, want %v", putErr, vault.ErrUnsure)
			}
			for op, err := range map[string]error{"put": putErr, "get": getErr, "stat": statErr} {
				var cause *vault.Cause
				if !errors.Is(err, vault.ErrUnavailable) && op != "put" || !errors.As(err, &cause) || cause.Reason != vault.ForeignResponse {
					t.Errorf("%s: %v (%+v), want a foreign response", op, err, cause)
				}
			}
		})
	}
}

// TestWebObject: an object of another program may be a web page. The headers of the response
// identify the service.
func TestWebObject(t *testing.T) {
	t.Parallel()
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("X-Amz-Request-Id", "REQ1")
		io.WriteString(w, loginPage)
	})
	if _, err := s.Bucket.ReadAll(t.Context(), "index.html"); err != nil {
		t.Error(err)
	}
}
