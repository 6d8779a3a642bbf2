package aws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// TestRefused: a 4xx is certain. The request is sent once, nothing is read back, and the error has
// the right kind. Errors that the service calls temporary are retried.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status int
		code   string
		want   error
		reason vault.Reason
		again  bool
	}{
		{400, "InvalidArgument", vault.ErrRefused, vault.ReasonUnknown, false},
		{400, "InvalidRequest", vault.ErrRefused, vault.ReasonUnknown, false},
		{400, "InvalidEncryptionAlgorithmError", vault.ErrRefused, vault.ReasonUnknown, false},
		{405, "SomethingOfTheirs", vault.ErrRefused, vault.ReasonUnknown, false},
		{409, "InvalidBucketState", vault.ErrRefused, vault.ReasonUnknown, false},
		{412, "PreconditionFailed", vault.ErrRefused, vault.ReasonUnknown, false}, // the request had no condition
		{422, "Whatever", vault.ErrRefused, vault.ReasonUnknown, false},
		{302, "Whatever", vault.ErrRefused, vault.ReasonUnknown, false},
		{400, "XMinioAdminBucketQuotaExceeded", vault.ErrNoSpace, vault.QuotaExceeded, false},
		{403, "QuotaExceeded", vault.ErrNoSpace, vault.QuotaExceeded, false},
		{403, "StorageQuotaReached", vault.ErrNoSpace, vault.QuotaExceeded, false},
		{403, "StorageCapExceeded", vault.ErrNoSpace, vault.QuotaExceeded, false},
		{507, "XMinioStorageFull", vault.ErrNoSpace, vault.QuotaExceeded, false},
		{400, "KMS.NotFoundException", vault.ErrRefused, vault.StoreKey, false},
		{400, "KMS.DisabledException", vault.ErrRefused, vault.StoreKey, false},
		{400, "KMS.KMSInvalidStateException", vault.ErrRefused, vault.StoreKey, false},
		{400, "KMSNotConfigured", vault.ErrRefused, vault.StoreKey, false},
		{403, "KMS.AccessDeniedException", vault.ErrPermission, vault.StoreKey, false},
		{404, "NoSuchBucket", vault.ErrUnavailable, vault.NoBucket, false},
		{400, "AuthorizationHeaderMalformed", vault.ErrUnavailable, vault.WrongRegion, false},
		{301, "PermanentRedirect", vault.ErrUnavailable, vault.WrongRegion, false},
		{403, "AccessDenied", vault.ErrPermission, vault.AccessDenied, false},

		{400, "BadDigest", vault.ErrUnavailable, vault.Damaged, true},
		{400, "IncompleteBody", vault.ErrUnavailable, vault.Damaged, true},
		{400, "XAmzContentSHA256Mismatch", vault.ErrUnavailable, vault.Damaged, true},
		{400, "XAmzContentChecksumMismatch", vault.ErrUnavailable, vault.Damaged, true},
		{408, "Whatever", vault.ErrUnavailable, vault.ReasonUnknown, true},
		{425, "Whatever", vault.ErrUnavailable, vault.ReasonUnknown, true},
		{400, "RequestTimeout", vault.ErrUnavailable, vault.ReasonUnknown, true},
		{409, "OperationAborted", vault.ErrUnavailable, vault.WriteConflict, true},
		{409, "ConditionalRequestConflict", vault.ErrUnavailable, vault.WriteConflict, true},
		{503, "SlowDown", vault.ErrBusy, vault.Throttled, true},
		{400, "Throttling", vault.ErrBusy, vault.Throttled, true},
	} {
		t.Run(fmt.Sprint(tc.status, " ", tc.code), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var requests []string
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				mu.Lock()
				requests = append(requests, r.Method)
				mu.Unlock()
				refuse(w, tc.status, tc.code)
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			v := newVault(t, s, "acme")
			_, putErr := v.Put(ctx, "openai", strings.NewReader("sk"), nil)
			rmErr := v.Delete(ctx, "openai", nil)
			mu.Lock()
			sent := strings.Join(requests, " ")
			mu.Unlock()
			_, getErr := v.Get(ctx, "openai", nil)
			for op, err := range map[string]error{"put": putErr, "rm": rmErr, "get": getErr} {
				var cause *vault.Cause
				if !errors.Is(err, tc.want) || errors.Is(err, vault.ErrUnsure) || !errors.As(err, &cause) || cause.Reason != tc.reason {
					t.Errorf("%s: %v (%+v), want %v, reason %v", op, err, cause, tc.want, tc.reason)
				}
				if tc.want == vault.ErrRefused && !strings.HasPrefix(cause.Error(), tc.code+": no (S3 ") {
					t.Errorf("%s: the message is %q, want it to start with the code", op, cause)
				}
			}
			switch {
			case tc.again && (!strings.HasPrefix(sent, "PUT PUT") || !strings.HasSuffix(sent, "DELETE DELETE")):
				t.Errorf("requests %s, want more than one attempt", sent)
			case !tc.again && sent != "PUT DELETE" && (tc.want != vault.ErrPermission || !strings.HasPrefix(sent, "PUT DELETE GET")): // which may mean that the object is missing
				t.Errorf("requests %s, want one attempt and no read-back", sent)
			case strings.Contains(sent, "GET") && tc.want != vault.ErrPermission:
				t.Errorf("requests %s include a read-back", sent)
			}
		})
	}
}

// TestNothingSent: a request that never reached a server has certainly changed nothing.
func TestNothingSent(t *testing.T) {
	t.Parallel()
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	versity := testcloud.RequireVersity(t)
	rgw := testcloud.RequireRGW(t)
	for name, tc := range map[string]struct {
		c      aws.Config
		reason vault.Reason
	}{
		"unknown CA":                {aws.Config{Bucket: "bucket", Endpoint: untrusted.URL}, vault.Untrusted},
		"no TLS":                    {aws.Config{Bucket: "bucket", Endpoint: strings.Replace(plain.URL, "http:", "https:", 1)}, vault.Unreachable},
		"connection refused":        {aws.Config{Bucket: "bucket", Endpoint: testcloud.NoServer(t)}, vault.Unreachable},
		"no such host":              {aws.Config{Bucket: "bucket", Endpoint: "https://host.invalid"}, vault.Unreachable},
		"no such bucket, versitygw": {aws.Config{Bucket: "ov-missing", Endpoint: versity.URL, Static: static(versity.Root)}, vault.NoBucket},
		"no such bucket, Ceph":      {aws.Config{Bucket: "ov-missing", Endpoint: rgw.URL, Static: static(rgw.Owner)}, vault.NoBucket},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault(t, open(t, tc.c), "acme")
			_, putErr := v.Put(t.Context(), "openai", strings.NewReader("sk"), nil)
			_, createErr := v.Put(t.Context(), "openai", strings.NewReader("sk"), &vault.PutOptions{Create: true})
			_, partsErr := v.Put(t.Context(), "openai", noise(1, 20<<20), nil)
			_, tearErr := v.Teardown(t.Context(), nil)
			for op, err := range map[string]error{"put": putErr, "create": createErr, "parts": partsErr, "rm": v.Delete(t.Context(), "openai", nil), "teardown": tearErr} {
				var cause *vault.Cause
				if !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrUnsure) || !errors.As(err, &cause) || cause.Reason != tc.reason {
					t.Errorf("%s: %v (%+v), want reason %v and a certain outcome", op, err, cause, tc.reason)
				}
			}
		})
	}
}

// TestIssuerUnreachable: if STS cannot fetch the issuer's keys, the exchange is repeated, and the
// token was not refused.
func TestIssuerUnreachable(t *testing.T) {
	t.Parallel()
	const key = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements</Message></Error></ErrorResponse>"
	const down = "<ErrorResponse><Error><Code>IDPCommunicationError</Code><Message>no</Message></Error></ErrorResponse>"
	const wrong = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>No OpenIDConnect provider found in your account</Message></Error></ErrorResponse>"
	for _, tc := range []struct {
		name, answer string
		lasts        int32
		want         error
		reason       vault.Reason
	}{
		{"no verification key, then success", key, 2, nil, 0},
		{"issuer unreachable, then success", down, 2, nil, 0},
		{"no verification key", key, 1000, federation.ErrUnavailable, vault.IssuerUnreachable},
		{"issuer unreachable", down, 1000, federation.ErrUnavailable, vault.IssuerUnreachable},
		{"unknown issuer", wrong, 1000, federation.ErrTokenInvalid, vault.TokenInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) <= tc.lasts {
					w.WriteHeader(http.StatusBadRequest)
					io.WriteString(w, tc.answer)
					return
				}
				io.WriteString(w, assumed)
			}))
			defer server.Close()
			exchange, err := aws.NewExchanger(t.Context(), aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Endpoint: server.URL, Timeout: 12 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			_, err = exchange.Exchange(t.Context(), federation.Token{})
			if !errors.Is(err, tc.want) {
				t.Errorf("exchange: %v, want %v", err, tc.want)
			}
			var cause *vault.Cause
			if tc.want != nil && (!errors.As(aws.Explain(err), &cause) || cause.Reason != tc.reason) {
				t.Errorf("exchange: the cause is %+v, want reason %v", cause, tc.reason)
			}
			if n := asked.Load(); tc.answer != wrong && n < 3 || tc.answer == wrong && n != 1 {
				t.Errorf("STS received %d requests", n)
			}
		})
	}
}

// TestExpiredCodes: every error code for expired credentials causes one exchange and one retry, and
// no second one.
func TestExpiredCodes(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"} {
		for _, lasts := range []bool{false, true} {
			t.Run(fmt.Sprint(code, lasts), func(t *testing.T) {
				t.Parallel()
				var exchanges, requests atomic.Int32
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					switch {
					case r.Method == http.MethodPost:
						io.WriteString(w, strings.Replace(assumed, "AKIDEXAMPLE", fmt.Sprint("AKID", exchanges.Add(1)), 1))
					case requests.Add(1) == 1 || lasts:
						refuse(w, 400, code)
					default:
						w.Header().Set("ETag", `"e"`)
					}
				}))
				defer server.Close()
				exchange, err := aws.NewExchanger(t.Context(), aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Endpoint: server.URL})
				if err != nil {
					t.Fatal(err)
				}
				source := sourceFunc(func(context.Context) (federation.Token, error) {
					return federation.Token{Claims: federation.Claims{Expires: time.Now().Add(time.Hour)}}, nil
				})
				s := open(t, aws.Config{Bucket: "b", Endpoint: server.URL, Identity: federation.NewProvider(source, exchange, nil)})
				_, err = newVault(t, s, "acme").Put(t.Context(), "openai", strings.NewReader("sk"), nil)
				if lasts != errors.Is(err, vault.ErrUnauthenticated) || !lasts && err != nil {
					t.Errorf("put: %v", err)
				}
				if exchanges.Load() != 2 || requests.Load() != 2 {
					t.Errorf("%d exchanges and %d requests, want 2 and 2", exchanges.Load(), requests.Load())
				}
			})
		}
	}
}

// TestExpiredEnvironment: keys in the environment cannot be renewed, so nothing is repeated.
func TestExpiredEnvironment(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	t.Setenv("AWS_SESSION_TOKEN", "t")
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		requests.Add(1)
		refuse(w, 400, "ExpiredToken")
	}))
	defer server.Close()
	s := open(t, aws.Config{Bucket: "environment", Endpoint: server.URL})
	if _, err := newVault(t, s, "acme").Put(t.Context(), "openai", strings.NewReader("sk"), nil); !errors.Is(err, vault.ErrUnauthenticated) || requests.Load() != 1 {
		t.Errorf("put: %v after %d requests, want %v after 1", err, requests.Load(), vault.ErrUnauthenticated)
	}
}

// TestRedirects: only a redirect of S3 is reported as a wrong region.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, region, body string
		want               error
		reason             vault.Reason
	}{
		{"temporary redirect without a region", "", "<Error><Code>TemporaryRedirect</Code></Error>", vault.ErrUnavailable, vault.ReasonUnknown},
		{"temporary redirect to the same region", "us-east-1", "<Error><Code>TemporaryRedirect</Code></Error>", vault.ErrUnavailable, vault.ReasonUnknown},
		{"temporary redirect to another region", "eu-west-1", "<Error><Code>TemporaryRedirect</Code></Error>", vault.ErrUnavailable, vault.WrongRegion},
		{"permanent redirect without a region", "", "<Error><Code>PermanentRedirect</Code></Error>", vault.ErrUnavailable, vault.WrongRegion},
		{"unknown code with another region", "eu-west-1", "<Error><Code>Moved</Code></Error>", vault.ErrUnavailable, vault.WrongRegion},
		{"redirect of a web server", "", "<html>moved</html>", vault.ErrUnavailable, vault.ForeignResponse},
		{"unknown code without a region", "", "<Error><Code>Moved</Code></Error>", vault.ErrRefused, vault.ReasonUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				if tc.region != "" {
					w.Header().Set("X-Amz-Bucket-Region", tc.region)
				}
				status := http.StatusMovedPermanently
				if strings.Contains(tc.body, "TemporaryRedirect") {
					status = http.StatusTemporaryRedirect
				}
				w.WriteHeader(status)
				io.WriteString(w, tc.body)
			})
			_, err := newVault(t, s, "acme").Get(t.Context(), "openai", nil)
			var cause *vault.Cause
			if !errors.Is(err, tc.want) || !errors.As(err, &cause) || cause.Reason != tc.reason || tc.reason == vault.WrongRegion && cause.Detail != tc.region {
				t.Errorf("get: %v (%+v), want %v, reason %v", err, cause, tc.want, tc.reason)
			}
		})
	}
}

// TestSilentServer: a server that accepts requests and never responds does not get many retries. On
// a busy machine the client may give up before the server has read a request, so fewer requests are
// accepted.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	var requests sync.Map
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		n, _ := requests.LoadOrStore(r.Method, new(atomic.Int32))
		n.(*atomic.Int32).Add(1)
		<-stop
	}))
	defer server.Close()
	defer close(stop)
	s := open(t, aws.Config{Bucket: "bucket", Endpoint: server.URL, Timeout: 2 * time.Second})
	v := newVault(t, s, "acme")
	if _, err := v.Stat(t.Context(), "openai"); !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("stat: %v", err)
	}
	if _, err := v.Put(t.Context(), "openai", strings.NewReader("sk"), &vault.PutOptions{Create: true}); !errors.Is(err, vault.ErrUnsure) {
		t.Errorf("create: %v", err)
	}
	if err := v.Delete(t.Context(), "openai", nil); !errors.Is(err, vault.ErrUnsure) {
		t.Errorf("delete: %v", err)
	}
	for method, most := range map[string]int32{"GET": 3, "PUT": 1, "DELETE": 1} { // the stat, and the read-backs of the put and of the delete
		received := func() int32 {
			n, _ := requests.LoadOrStore(method, new(atomic.Int32))
			return n.(*atomic.Int32).Load()
		}
		for end := time.Now().Add(time.Minute); received() < 1 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if got := received(); got < 1 || got > most {
			t.Errorf("%s: %d requests, want 1 to %d", method, got, most)
		}
	}
}

// TestConditionOfPart: a part has no condition, so its 412 does not mean that an object exists.
func TestConditionOfPart(t *testing.T) {
	t.Parallel()
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		switch {
		case r.URL.Query().Has("uploads"):
			io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		default:
			refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
		}
	})
	_, err := newVault(t, s, "acme").Put(t.Context(), "openai", noise(1, 20<<20), &vault.PutOptions{Create: true})
	if !errors.Is(err, vault.ErrRefused) || errors.Is(err, vault.ErrExist) || errors.Is(err, vault.ErrUnsure) {
		t.Errorf("create: %v, want %v", err, vault.ErrRefused)
	}
}

// TestThrottlingCodes: the service throttles with many codes, and not always with 503. All are the
// same kind of error, and only one layer retries them, with three attempts.
func TestThrottlingCodes(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits between attempts")
	}
	t.Parallel()
	for i, code := range []string{
		"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException", "RequestLimitExceeded",
		"TooManyRequests", "TooManyRequestsException", "BandwidthLimitExceeded", "LimitExceededException", "PriorRequestNotComplete",
		"ProvisionedThroughputExceededException", "EC2ThrottledException", "SlowDown", "SlowDownRead", "SlowDownWrite",
		"KMS.ThrottlingException", "", // only the status 429
	} {
		status := []int{400, 403, 503}[i%3]
		if code == "" {
			status = http.StatusTooManyRequests
		}
		t.Run(fmt.Sprint(status, " ", code), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			sent := make(map[string]int)
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				mu.Lock()
				sent[r.Method]++
				mu.Unlock()
				if code == "" {
					w.Header().Set("X-Amz-Request-Id", "REQ1")
					w.WriteHeader(status)
					return
				}
				refuse(w, status, code)
			})
			v := newVault(t, s, "acme")
			var errs [3]error
			var wg sync.WaitGroup
			wg.Go(func() { _, errs[0] = v.Put(t.Context(), "openai", strings.NewReader("sk"), nil) })
			wg.Go(func() { errs[1] = v.Delete(t.Context(), "openai", nil) })
			wg.Go(func() { _, errs[2] = v.Get(t.Context(), "openai", nil) })
			wg.Wait()
			for i, err := range errs {
				var cause *vault.Cause
				if !errors.Is(err, vault.ErrBusy) || !errors.As(err, &cause) || cause.Reason != vault.Throttled {
					t.Errorf("%s: %v", []string{"put", "rm", "get"}[i], err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for _, method := range []string{"PUT", "DELETE", "GET"} {
				if sent[method] != 3 {
					t.Errorf("%s was sent %d times, want 3", method, sent[method])
				}
			}
		})
	}
}

// TestOneLayer: a request with a temporary error is sent three times, not three times three.
func TestOneLayer(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits between attempts")
	}
	t.Parallel()
	for _, tc := range []struct {
		status int
		code   string
	}{{400, "BadDigest"}, {400, "IncompleteBody"}, {400, "RequestTimeout"}, {408, ""}, {425, ""}, {409, "OperationAborted"}, {409, "ConditionalRequestConflict"}, {503, "ServiceUnavailable"}, {500, "InternalError"}} {
		t.Run(fmt.Sprint(tc.status, " ", tc.code), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			sent := make(map[string]int)
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				mu.Lock()
				sent[r.Method]++
				mu.Unlock()
				if r.Method == http.MethodGet { // the read-back finds nothing
					refuse(w, 404, "NoSuchKey")
					return
				}
				refuse(w, tc.status, tc.code)
			})
			v := newVault(t, s, "acme")
			v.Put(t.Context(), "openai", strings.NewReader("sk"), nil)
			v.Delete(t.Context(), "openai", nil)
			mu.Lock()
			defer mu.Unlock()
			if sent["PUT"] != 3 || sent["DELETE"] > 3 {
				t.Errorf("the requests were %v, want 3 PUT and at most 3 DELETE", sent)
			}
		})
	}
}

// TestRefusedAmongMany: if DeleteObjects refuses an object, the error has the same reason as a
// refused single delete.
func TestRefusedAmongMany(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		code   string
		want   error
		reason vault.Reason
	}{
		{"AccessDenied", vault.ErrPermission, vault.AccessDenied},
		{"InvalidArgument", vault.ErrRefused, vault.ReasonUnknown},
		{"SomethingOfTheirs", vault.ErrRefused, vault.ReasonUnknown},
		{"PreconditionFailed", vault.ErrRefused, vault.ReasonUnknown},
		{"QuotaExceeded", vault.ErrNoSpace, vault.QuotaExceeded},
		{"KMS.DisabledException", vault.ErrRefused, vault.StoreKey},
		{"KMS.AccessDeniedException", vault.ErrPermission, vault.StoreKey},
		{"ThrottledException", vault.ErrBusy, vault.Throttled},
		{"InternalError", vault.ErrUnavailable, vault.ReasonUnknown},
	} {
		s := answering(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "<DeleteResult><Error><Key>a</Key><Code>%s</Code><Message>no</Message></Error></DeleteResult>", tc.code)
		})
		failed, err := s.Remover.Remove(t.Context(), []string{"a", "b"})
		var cause *vault.Cause
		if err != nil || len(failed) != 1 || !errors.Is(failed["a"], tc.want) || !errors.As(failed["a"], &cause) || cause.Reason != tc.reason {
			t.Errorf("%s: %v, %v (%+v), want %v, reason %v", tc.code, failed, err, cause, tc.want, tc.reason)
		} else if tc.want == vault.ErrRefused && !strings.HasPrefix(cause.Error(), tc.code+": no (S3 DeleteObjects") {
			t.Errorf("the message is %q, want it to start with the code", cause)
		}
	}
}

// TestUntrustedSource: if the certificate of a broker is not trusted, the error names the broker.
// It names no setting of AWS, because the client of the broker does not use them.
func TestUntrustedSource(t *testing.T) {
	front := httptest.NewUnstartedServer(http.NotFoundHandler())
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.StartTLS()
	t.Cleanup(front.Close)
	t.Setenv("OBJECTVAULT_BROKER_SESSION", "session")
	source, err := federation.ParseSource("broker+"+front.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = source.Token(t.Context())
	var cause *vault.Cause
	if !errors.As(aws.Explain(err), &cause) || cause.Reason != vault.Untrusted || cause.Service != "" {
		t.Errorf("broker: %v (%+v), want reason %v and no service", err, cause, vault.Untrusted)
	}
}

// TestLastResponse: if an exchange reaches its deadline while it waits for a retry, the error
// contains the last response of STS. This also applies to a short timeout that the token source
// shares.
func TestLastResponse(t *testing.T) {
	t.Parallel()
	const down = "<ErrorResponse><Error><Code>IDPCommunicationError</Code><Message>no</Message></Error></ErrorResponse>"
	const key = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>Couldn't retrieve verification key from your identity provider</Message></Error></ErrorResponse>"
	const busy = "<ErrorResponse><Error><Code>ServiceUnavailable</Code><Message>no</Message></Error></ErrorResponse>"
	for _, tc := range []struct {
		name, answer string
		status       int
		reason       vault.Reason
		want         string
	}{
		{"issuer unreachable", down, 400, vault.IssuerUnreachable, "IDPCommunicationError"},
		{"no verification key", key, 400, vault.IssuerUnreachable, "InvalidIdentityToken"},
		{"STS busy", busy, 503, vault.TokenSourceUnavailable, "ServiceUnavailable"},
	} {
		for _, timeout := range []time.Duration{3 * time.Second, 6 * time.Second} {
			t.Run(fmt.Sprint(tc.name, " ", timeout), func(t *testing.T) {
				t.Parallel()
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.WriteHeader(tc.status)
					io.WriteString(w, tc.answer)
				}))
				defer server.Close()
				exchange, err := aws.NewExchanger(t.Context(), aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Endpoint: server.URL, Timeout: timeout})
				if err != nil {
					t.Fatal(err)
				}
				source := sourceFunc(func(context.Context) (federation.Token, error) {
					return federation.Token{Claims: federation.Claims{Expires: time.Now().Add(time.Hour)}}, nil
				})
				_, err = federation.NewProvider(source, exchange, &federation.Options{Timeout: timeout}).Credentials(t.Context())
				var cause *vault.Cause
				if !errors.As(aws.Explain(err), &cause) || cause.Reason != tc.reason || !strings.Contains(cause.Message, tc.want) {
					t.Errorf("exchange: %v (%+v), want reason %v and %s", err, cause, tc.reason, tc.want)
				}
			})
		}
	}
}
