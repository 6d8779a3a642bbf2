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

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

var keys = []envelope.KeySource{kek.InsecureFixed()}

// answering opens a store whose server is the handler.
func answering(t *testing.T, handler http.HandlerFunc, with ...aws.Config) *vault.Store {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	var c aws.Config
	for _, c = range with {
	}
	c.Bucket, c.Endpoint = "bucket", server.URL
	return open(t, c)
}

// open opens a store and closes it at the end of the test.
func open(t *testing.T, c aws.Config) *vault.Store {
	t.Helper()
	if c.Static == nil && c.Identity == nil && c.Bucket == "bucket" {
		c.Static = credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret-of-the-test", "")
	}
	s, err := aws.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newVault(t *testing.T, s *vault.Store, tenant vault.Tenant) *vault.Vault {
	t.Helper()
	v, err := vault.New(s, tenant, keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\"?>\n<Error><Code>%s</Code><Message>no</Message><RequestId>REQ1</RequestId></Error>", code)
}

// TestKinds responds with each S3 error code that a user can act on.
func TestKinds(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	for _, tc := range []struct {
		status int
		code   string
		header string
		want   error
		reason vault.Reason
		detail string
	}{
		{404, "NoSuchKey", "", vault.ErrNotFound, vault.ReasonUnknown, ""},
		{404, "NoSuchBucket", "", vault.ErrUnavailable, vault.NoBucket, ""},
		{403, "AccessDenied", "", vault.ErrPermission, vault.AccessDenied, ""},
		{403, "AllAccessDisabled", "", vault.ErrPermission, vault.AccessDenied, ""},
		{400, "ExpiredToken", "", vault.ErrUnauthenticated, vault.TokenExpired, ""},
		{403, "InvalidAccessKeyId", "", vault.ErrUnauthenticated, vault.CredentialsRejected, ""},
		{403, "SignatureDoesNotMatch", "", vault.ErrUnauthenticated, vault.CredentialsRejected, ""},
		{400, "InvalidToken", "", vault.ErrUnauthenticated, vault.CredentialsRejected, ""},
		{403, "RequestTimeTooSkewed", "", vault.ErrUnauthenticated, vault.ClockSkew, ""},
		{503, "SlowDown", "", vault.ErrUnavailable, vault.Throttled, ""},
		{500, "InternalError", "", vault.ErrUnavailable, vault.ReasonUnknown, ""},
		{409, "ConditionalRequestConflict", "", vault.ErrUnavailable, vault.WriteConflict, ""},
		{301, "PermanentRedirect", "eu-west-1", vault.ErrUnavailable, vault.WrongRegion, "eu-west-1"},
		{301, "PermanentRedirect", "a b;c", vault.ErrUnavailable, vault.WrongRegion, ""},
		{400, "AuthorizationHeaderMalformed", "eu-west-1", vault.ErrUnavailable, vault.WrongRegion, "eu-west-1"},
		{507, "InsufficientStorage", "", vault.ErrNoSpace, vault.QuotaExceeded, ""},
		// Servers that are not AWS may send a status with an unknown code.
		{401, "Whatever", "", vault.ErrUnauthenticated, vault.CredentialsRejected, ""},
		{403, "Whatever", "", vault.ErrPermission, vault.AccessDenied, ""},
		{429, "Whatever", "", vault.ErrUnavailable, vault.Throttled, ""},
		{502, "Whatever", "", vault.ErrUnavailable, vault.ReasonUnknown, ""},
		{307, "Whatever", "eu-west-1", vault.ErrUnavailable, vault.WrongRegion, "eu-west-1"},
	} {
		t.Run(fmt.Sprint(tc.status, " ", tc.code, " ", tc.header), func(t *testing.T) {
			t.Parallel()
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				if tc.header != "" {
					w.Header().Set("X-Amz-Bucket-Region", tc.header)
				}
				refuse(w, tc.status, tc.code)
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			v := newVault(t, s, "acme")
			_, getErr := v.Get(ctx, "openai", nil)
			_, putErr := v.Put(ctx, "openai", strings.NewReader("sk-canary"), nil)
			for op, err := range map[string]error{"get": getErr, "put": putErr} {
				if op == "put" && tc.want == vault.ErrNotFound {
					continue
				}
				if !errors.Is(err, tc.want) {
					t.Errorf("%s: %v, want %v", op, err, tc.want)
				}
				if text := fmt.Sprintf("%+v", err); strings.Contains(text, "secret-of-the-test") || strings.Contains(text, "sk-canary") {
					t.Errorf("%s: a secret in %s", op, text)
				}
				var cause *vault.Cause
				if !errors.As(err, &cause) || cause.Reason != tc.reason || cause.Detail != tc.detail {
					t.Errorf("%s: %v has the cause %+v, want reason %v, detail %q", op, err, cause, tc.reason, tc.detail)
				}
				// If the response shows that the service did nothing, the outcome is certain.
				if unsure := errors.Is(err, vault.ErrUnsure); unsure && (op == "get" || tc.status < 500 || tc.code == "SlowDown") {
					t.Errorf("%s: %v: the outcome should be certain", op, err)
				}
				if tc.want == vault.ErrNotFound && errors.Is(err, vault.ErrPermission) || tc.want == vault.ErrPermission && errors.Is(err, vault.ErrNotFound) {
					t.Errorf("%s: %v is both ErrPermission and ErrNotFound", op, err)
				}
			}
		})
	}
}

// TestThrottled: after SlowDown, a write waits and is sent again, until the context ends.
func TestThrottled(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	var n atomic.Int32
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if n.Add(1) <= 2 {
			refuse(w, 503, "SlowDown")
			return
		}
		w.Header().Set("ETag", `"e"`)
	})
	if _, err := newVault(t, s, "acme").Put(t.Context(), "openai", strings.NewReader("sk"), &vault.PutOptions{Create: true}); err != nil || n.Load() != 3 {
		t.Errorf("%v after %d requests, want success after 3", err, n.Load())
	}
	// The pauses of the SDK are random, and can all be shorter than the deadline. Therefore only the first
	// request gets a response.
	var first atomic.Bool
	slow := answering(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if first.CompareAndSwap(false, true) {
			refuse(w, 503, "SlowDown")
			return
		}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := newVault(t, slow, "acme").Put(ctx, "openai", strings.NewReader("sk"), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("throttled beyond the deadline: %v, want %v", err, context.DeadlineExceeded)
	}
}

// TestNotSent: if an operation fails before any request that could store something, the outcome is
// certain.
func TestNotSent(t *testing.T) {
	t.Parallel()
	noToken, err := federation.ParseSource("file:"+t.TempDir()+"/none", nil)
	if err != nil {
		t.Fatal(err)
	}
	exchange, err := aws.NewExchanger(t.Context(), aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Endpoint: testcloud.NoServer(t)})
	if err != nil {
		t.Fatal(err)
	}
	parts := answering(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		switch {
		case r.URL.Query().Has("uploads"):
			io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		case r.URL.Query().Has("partNumber"):
			refuse(w, 500, "InternalError")
		default:
			refuse(w, 404, "NoSuchKey")
		}
	})
	for name, tc := range map[string]struct {
		s    *vault.Store
		size int64
		want error
	}{
		"no server":    {open(t, aws.Config{Bucket: "bucket", Endpoint: testcloud.NoServer(t)}), 100, vault.ErrUnavailable},
		"no token":     {open(t, aws.Config{Bucket: "b", Endpoint: testcloud.NoServer(t), Identity: federation.NewProvider(noToken, exchange, nil)}), 100, vault.ErrUnauthenticated},
		"part refused": {parts, 20 << 20, vault.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newVault(t, tc.s, "acme").Put(t.Context(), "openai", noise(9, tc.size), nil)
			if !errors.Is(err, tc.want) || errors.Is(err, vault.ErrUnsure) {
				t.Errorf("put: %v, want %v", err, tc.want)
			}
		})
	}
}

// TestDeadline: if a server accepts a request and does not respond, the operation ends a few
// seconds after the context, and the error is the deadline.
func TestDeadline(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other")
	}
	t.Parallel()
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-stop
	}))
	defer server.Close()
	defer close(stop)
	s := open(t, aws.Config{Bucket: "bucket", Endpoint: server.URL})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := newVault(t, s, "acme").Put(ctx, "openai", strings.NewReader("sk"), nil)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Errorf("put: %v, want %v and not %v", err, context.DeadlineExceeded, context.Canceled)
	}
}

// TestDeniedVersion: a denied read of an old version does not mean that the version does not exist.
func TestDeniedVersion(t *testing.T) {
	t.Parallel()
	const key = "bots/acme/credentials/openai.enc"
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Has("versions"):
			io.WriteString(w, "<ListVersionsResult>"+entry("DeleteMarker", key, "2", "02", true)+entry("Version", key, "1", "01", false)+"</ListVersionsResult>")
		case r.URL.Query().Has("list-type"):
			io.WriteString(w, "<ListBucketResult></ListBucketResult>")
		default:
			refuse(w, 403, "AccessDenied")
		}
	})
	v := newVault(t, s, "acme")
	for _, o := range []*vault.GetOptions{{Version: "1"}, {Version: "@2"}, {Version: "1", Range: &vault.Range{Length: 1}}} {
		if _, err := v.Get(t.Context(), "openai", o); !errors.Is(err, vault.ErrPermission) || errors.Is(err, vault.ErrNotFound) {
			t.Errorf("get of version %s: %v, want %v", o.Version, err, vault.ErrPermission)
		}
	}
	// The current version is not looked up in a list.
	if _, err := v.Get(t.Context(), "openai", nil); !errors.Is(err, vault.ErrNotFound) || errors.Is(err, vault.ErrPermission) {
		t.Errorf("get: %v, want %v", err, vault.ErrNotFound)
	}
}

// TestEmptyObject: an empty object is not an envelope.
func TestEmptyObject(t *testing.T) {
	t.Parallel()
	rgw, versity := testcloud.RequireRGW(t), testcloud.RequireVersity(t)
	for server, k := range map[string]testcloud.Keys{rgw.URL: rgw.Owner, versity.URL: versity.Root} {
		bucket := testcloud.NewBucket(t, server, k, false)
		v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: server, Static: static(k)}), "acme")
		key := "bots/acme/credentials/openai.enc"
		if _, err := testcloud.S3Client(server, k).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key}); err != nil {
			t.Fatal(err)
		}
		_, statErr := v.Stat(t.Context(), "openai")
		_, getErr := v.Get(t.Context(), "openai", nil)
		for op, err := range map[string]error{"stat": statErr, "get": getErr} {
			if !errors.Is(err, envelope.ErrFormat) {
				t.Errorf("%s: %v, want %v", op, err, envelope.ErrFormat)
			}
		}
	}
}

// TestBusySTS: if STS throttles a request, the token was not refused.
func TestBusySTS(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>")
	}))
	defer server.Close()
	exchange, err := aws.NewExchanger(t.Context(), aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exchange.Exchange(t.Context(), federation.Token{}); !errors.Is(err, federation.ErrUnavailable) {
		t.Errorf("exchange: %v, want %v", err, federation.ErrUnavailable)
	}
}

// assumed is a response of STS.
const assumed = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKIDEXAMPLE</AccessKeyId>" +
	"<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration></Credentials>" +
	"<AssumedRoleUser><Arn>arn:aws:sts:::assumed-role/vault/objectvault</Arn></AssumedRoleUser></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"

// TestSTSHangs: if STS does not respond to a request, it is sent again.
func TestSTSHangs(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			<-release
			return
		}
		io.WriteString(w, assumed)
	}))
	defer server.Close()
	defer close(release)
	exchange, err := aws.NewExchanger(t.Context(), aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Endpoint: server.URL, Timeout: 9 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := exchange.Exchange(t.Context(), federation.Token{}); err != nil || c.AccessKeyID != "AKIDEXAMPLE" {
		t.Errorf("exchange: %q, %v, after %d requests", c.AccessKeyID, err, asked.Load())
	}
}

// TestNoAssumedRoleUser: SeaweedFS does not return the identity of the credentials, but they are
// valid.
func TestNoAssumedRoleUser(t *testing.T) {
	t.Parallel()
	begin, end := strings.Index(assumed, "<AssumedRoleUser>"), strings.Index(assumed, "</AssumeRoleWithWebIdentityResult>")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, assumed[:begin]+assumed[end:])
	}))
	defer server.Close()
	c, err := exchanger(t, server.URL, "arn:aws:iam::123456789012:role/vault").Exchange(t.Context(), federation.Token{})
	if err != nil || c.AccessKeyID != "AKIDEXAMPLE" || c.Account != "" {
		t.Errorf("exchange: %q of account %q, %v", c.AccessKeyID, c.Account, err)
	}
}

// TestConflictAtSTS: the first two exchanges of a subject at the same time cause a conflict in
// Ceph. The exchange succeeds when it is sent again.
func TestConflictAtSTS(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusConflict)
			return
		}
		io.WriteString(w, assumed)
	}))
	defer server.Close()
	exchange, err := aws.NewExchanger(t.Context(), aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := exchange.Exchange(t.Context(), federation.Token{}); err != nil || c.AccessKeyID != "AKIDEXAMPLE" || asked.Load() != 2 {
		t.Errorf("exchange: %q, %v, after %d requests, want success after 2", c.AccessKeyID, err, asked.Load())
	}
}

// TestOneExchangeFails: if no token is available, the exchange is not repeated.
func TestOneExchangeFails(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	source := sourceFunc(func(context.Context) (federation.Token, error) {
		asked.Add(1)
		return federation.Token{}, fmt.Errorf("%w: the broker is down", federation.ErrUnavailable)
	})
	exchange, err := aws.NewExchanger(t.Context(), aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Endpoint: testcloud.NoServer(t)})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, aws.Config{Bucket: "b", Endpoint: testcloud.NoServer(t), Identity: federation.NewProvider(source, exchange, nil)})
	if _, err := newVault(t, s, "acme").Stat(t.Context(), "openai"); !errors.Is(err, vault.ErrUnavailable) || asked.Load() != 1 {
		t.Errorf("stat: %v after %d tokens, want %v after 1", err, asked.Load(), vault.ErrUnavailable)
	}
}

type sourceFunc func(context.Context) (federation.Token, error)

func (f sourceFunc) Token(ctx context.Context) (federation.Token, error) { return f(ctx) }

// TestSDKEndpoint: an endpoint that the SDK finds in the environment must satisfy the rules of this
// package, and does not replace the configured one.
func TestSDKEndpoint(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL_S3", "http://192.0.2.2")
	t.Setenv("AWS_ENDPOINT_URL_STS", "http://192.0.2.2")
	if _, err := aws.Open(t.Context(), aws.Config{Bucket: "bucket", Region: "eu-central-1"}); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("Open: %v, want %v", err, vault.ErrConfig)
	}
	role := aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Region: "eu-central-1"}
	if _, err := aws.NewExchanger(t.Context(), role); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("NewExchanger: %v, want %v", err, vault.ErrConfig)
	}
	asked := false
	s := answering(t, func(w http.ResponseWriter, r *http.Request) { asked = true; refuse(w, 404, "NoSuchKey") })
	if _, err := newVault(t, s, "acme").Stat(t.Context(), "openai"); !errors.Is(err, vault.ErrNotFound) || !asked {
		t.Errorf("stat: %v; the configured endpoint got a request: %v", err, asked)
	}
}

// TestRangeIgnored: the server responds to a range request with the whole object.
func TestRangeIgnored(t *testing.T) {
	t.Parallel()
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"e"`)
		io.WriteString(w, strings.Repeat("x", 100))
	})
	_, err := newVault(t, s, "acme").Stat(t.Context(), "openai")
	if !errors.Is(err, vault.ErrUnsupported) {
		t.Errorf("stat: %v, want %v", err, vault.ErrUnsupported)
	}
}

// TestStandstill: the server accepts a request and never responds.
func TestStandstill(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer server.Close()
	defer close(stop)
	s := open(t, aws.Config{Bucket: "bucket", Endpoint: server.URL, Timeout: 200 * time.Millisecond})
	if _, err := newVault(t, s, "acme").Get(t.Context(), "openai", nil); !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("get: %v, want %v", err, vault.ErrUnavailable)
	}
}

// TestConfig: an invalid configuration is rejected before any request, and the error contains no
// value that may be secret.
func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		c    aws.Config
		text string
	}{
		{aws.Config{}, "the name of the bucket is missing"},
		{aws.Config{Bucket: "vault--euc1-az1--x-s3", Region: "eu-central-1"}, "directory bucket"},
		{aws.Config{Bucket: "b", Endpoint: "s3.example.com"}, "endpoint is not a URL"},
		{aws.Config{Bucket: "bucket", Endpoint: "http://s3.example.com"}, "endpoint is plain http"},
		{aws.Config{Bucket: "bucket", Endpoint: "http://10.0.0.1:9000"}, "endpoint is plain http"},
		{aws.Config{Bucket: "bucket", Endpoint: "https://user:hunter2@s3.example.com"}, "endpoint is not a URL"},
		{aws.Config{Bucket: "b", Endpoint: "ftp://s3.example.com"}, "endpoint is not a URL"},
		{aws.Config{Bucket: "arn:aws:s3:eu-central-1:1:accesspoint/mine", Region: "eu-central-1"}, "alias"},
		{aws.Config{Bucket: "b", Region: "eu-central-1", SSE: "rot13"}, "sse must be AES256"},
		{aws.Config{Bucket: "b", Region: "eu-central-1", SSE: "AES256", KMSKey: "k"}, "a KMS key requires sse=aws:kms"},
		{aws.Config{Bucket: "b", Region: "eu-central-1", KMSKey: "k"}, "a KMS key requires sse=aws:kms"},
	} {
		_, err := aws.Open(t.Context(), tc.c)
		if !errors.Is(err, vault.ErrConfig) || !strings.Contains(err.Error(), tc.text) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open(%+v): %v, want %q", tc.c, err, tc.text)
		}
	}
	for _, ok := range []aws.Config{
		{Bucket: "bucket", Endpoint: "http://127.0.0.1:9000"}, {Bucket: "bucket", Endpoint: "http://[::1]:9000"}, {Bucket: "bucket", Endpoint: "http://localhost"},
		{Bucket: "bucket", Endpoint: "https://s3.example.com"}, {Bucket: "bucket", Endpoint: "http://10.0.0.1", Insecure: true}, {Bucket: "bucket", Region: "eu-central-1"},
	} {
		open(t, ok)
	}
	for _, tc := range []struct {
		r    aws.Role
		text string
	}{
		{aws.Role{}, "is not a role"},
		{aws.Role{ARN: "arn:aws:iam::123456789012:user/vault"}, "is not a role"},
		{aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Region: "eu-central-1", Session: "x"}, "session"},
		{aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Region: "eu-central-1", Session: "a b"}, "session"},
		{aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Region: "eu-central-1", Duration: time.Minute}, "duration"},
		{aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Endpoint: "http://sts.example.com"}, "sts_endpoint is plain http"},
	} {
		if _, err := aws.NewExchanger(t.Context(), tc.r); !errors.Is(err, vault.ErrConfig) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("NewExchanger(%+v): %v, want %q", tc.r, err, tc.text)
		}
	}
}
