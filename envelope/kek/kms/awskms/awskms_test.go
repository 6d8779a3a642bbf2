package awskms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/envelope/kek/kms/awskms"
	"github.com/objectvault/objectvault/internal/testcloud"
)

func TestMain(m *testing.M) { os.Exit(testcloud.Main(m)) }

const keyARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

var ref = envelope.Ref{Vault: "v1", Tenant: "0xabc", Collection: "credentials", Name: "openrouter"}

func static() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "SECRETKEY", "SESSIONTOKEN")
}

func configOf(k *testcloud.LocalKMS, key string) awskms.Config {
	return awskms.Config{KeyID: key, AWS: aws.Config{Region: k.Region, Credentials: static()}, Endpoint: k.URL}
}

func seal(t *testing.T, sources ...envelope.KeySource) []byte {
	t.Helper()
	var object bytes.Buffer
	w, err := envelope.Seal(t.Context(), &object, ref, sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "sk-demo")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return object.Bytes()
}

func open(ctx context.Context, object []byte, ref envelope.Ref, sources ...envelope.KeySource) (string, error) {
	r, err := envelope.Open(ctx, bytes.NewReader(object), ref, sources)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

func newSource(t *testing.T, c awskms.Config) *kms.Source {
	t.Helper()
	s, err := awskms.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestLocalKMS: each kind of name is enrolled as the ARN of the key. Objects that it seals can be opened
// with the ARN.
func TestLocalKMS(t *testing.T) {
	k := testcloud.RequireLocalKMS(t)
	arn, err := k.NewKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	alias := "alias/vault-" + arn[len(arn)-12:]
	if _, err := k.Client().CreateAlias(t.Context(), &sdk.CreateAliasInput{AliasName: &alias, TargetKeyId: &arn}); err != nil {
		t.Fatal(err)
	}
	id := arn[strings.LastIndex(arn, "/")+1:]
	reading := newSource(t, configOf(k, arn))
	for _, name := range []string{arn, alias, strings.Replace(arn, "key/"+id, alias, 1), id} {
		c := configOf(k, name)
		record, err := awskms.Enrol(t.Context(), c)
		if err != nil || record.KeyID != arn {
			t.Errorf("Enrol %s: %+v, %v", name, record, err)
			continue
		}
		_, err = envelope.Seal(t.Context(), io.Discard, ref, []envelope.KeySource{newSource(t, c)}, nil)
		if !errors.Is(err, envelope.ErrNotEnrolled) {
			t.Errorf("Seal with %s, not enrolled: %v", name, err)
		}
		c.Enrolment = &record
		if got, err := open(t.Context(), seal(t, newSource(t, c)), ref, reading); got != "sk-demo" || err != nil {
			t.Errorf("%s: Open by the ARN: %q, %v", name, got, err)
		}
	}
}

// TestLocalKMSRefused: stanzas of another name or key, and keys that cannot be used, are rejected.
func TestLocalKMSRefused(t *testing.T) {
	k := testcloud.RequireLocalKMS(t)
	enrolled := func() (arn string, s *kms.Source) {
		t.Helper()
		arn, err := k.NewKey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c := configOf(k, arn)
		record, err := awskms.Enrol(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		c.Enrolment = &record
		return arn, newSource(t, c)
	}
	arn, s := enrolled()
	_, other := enrolled()
	object := seal(t, s)
	if _, err := open(t.Context(), object, ref, other); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Errorf("another key: %v", err)
	}
	renamed := ref
	renamed.Name = "anthropic"
	if _, err := open(t.Context(), object, renamed, s); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Errorf("another name: %v", err)
	}
	// A stanza whose id was changed to that of another name: the ciphertext is bound to its name.
	h, err := envelope.ReadHeader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	aad := envelope.AAD{Ctx: renamed.Context()}
	forged, err := s.Wrap(t.Context(), renamed, make([]byte, 32), aad)
	if err != nil {
		t.Fatal(err)
	}
	forged.Body = h.Stanzas[0].Body
	if _, err := s.Unwrap(t.Context(), renamed, forged, aad); !errors.Is(err, envelope.ErrDecrypt) {
		t.Errorf("the ciphertext of another name: %v", err)
	}
	forged.Body = bytes.Repeat([]byte{1}, 200)
	if _, err := s.Unwrap(t.Context(), renamed, forged, aad); !errors.Is(err, envelope.ErrDecrypt) {
		t.Errorf("a body that is not a ciphertext of KMS: %v", err)
	}

	for _, tc := range []struct {
		change func() error
		want   string
	}{
		{func() error {
			_, err := k.Client().DisableKey(t.Context(), &sdk.DisableKeyInput{KeyId: &arn})
			return err
		}, "the key is disabled"},
		{func() error {
			_, err := k.Client().ScheduleKeyDeletion(t.Context(), &sdk.ScheduleKeyDeletionInput{KeyId: &arn, PendingWindowInDays: aws.Int32(7)})
			return err
		}, "its deletion is scheduled"},
	} {
		if err := tc.change(); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t.Context(), object, ref, s); !errors.Is(err, envelope.ErrUnavailable) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Open: %v, want ErrUnavailable, %s", err, tc.want)
		}
		if _, err := s.Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{}); !errors.Is(err, envelope.ErrUnavailable) {
			t.Errorf("Wrap: %v", err)
		}
	}
	if _, err := awskms.Enrol(t.Context(), configOf(k, "alias/none")); !errors.Is(err, envelope.ErrUnavailable) || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("Enrol of an alias that does not exist: %v", err)
	}
	out, err := k.Client().CreateKey(t.Context(), &sdk.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := awskms.Enrol(t.Context(), configOf(k, *out.KeyMetadata.Arn)); !errors.Is(err, envelope.ErrInvalid) {
		t.Errorf("Enrol of a key for signatures: %v", err)
	}
}

// A fake responds to each request with the next of its responses, and repeats the last one.
type fake struct {
	*httptest.Server
	mu        sync.Mutex
	responses []response
	requests  []map[string]any
	keys      []string // access key ids
}

type response struct {
	status int
	code   string
	body   string // instead of the error with the code
	lost   bool
}

func newFake(t *testing.T, responses ...response) *fake {
	f := &fake{responses: responses}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		var body map[string]any
		json.NewDecoder(r.Body).Decode(&body)
		f.requests = append(f.requests, body)
		_, id, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		id, _, _ = strings.Cut(id, "/")
		f.keys = append(f.keys, id)
		next := f.responses[0]
		if len(f.responses) > 1 {
			f.responses = f.responses[1:]
		}
		if next.lost {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if next.body == "" {
			w.Header().Set("X-Amzn-Requestid", "request-1")
			next.body = fmt.Sprintf(`{"__type":%q,"message":"about %s and SESSIONTOKEN"}`, next.code, keyARN)
		}
		w.WriteHeader(next.status)
		io.WriteString(w, next.body)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) source(t *testing.T, creds aws.CredentialsProvider) *kms.Source {
	return newSource(t, awskms.Config{KeyID: keyARN, AWS: aws.Config{Credentials: creds}, Endpoint: f.URL, Enrolment: &kms.Enrolment{KeyID: keyARN}})
}

// unwrap opens a stanza of s whose body is not a ciphertext.
func unwrap(t *testing.T, s *kms.Source) error {
	t.Helper()
	made := newFake(t, response{status: 200, body: fmt.Sprintf(`{"KeyId":%q,"CiphertextBlob":"AAAA"}`, keyARN)})
	st, err := made.source(t, static()).Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Unwrap(t.Context(), ref, st, envelope.AAD{})
	return err
}

func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		status   int
		code     string
		want     error
		requests int
	}{
		{400, "AccessDeniedException", envelope.ErrDenied, 1},
		{400, "InvalidCiphertextException", envelope.ErrDecrypt, 1},
		{400, "IncorrectKeyException", envelope.ErrDecrypt, 1},
		{400, "DisabledException", envelope.ErrUnavailable, 1},
		{400, "KMSInvalidStateException", envelope.ErrUnavailable, 1},
		{400, "NotFoundException", envelope.ErrUnavailable, 1},
		{400, "ExpiredTokenException", envelope.ErrUnauthenticated, 1},
		{400, "UnrecognizedClientException", envelope.ErrUnauthenticated, 1},
		{400, "InvalidSignatureException", envelope.ErrUnauthenticated, 1},
		{400, "InvalidKeyUsageException", envelope.ErrInvalid, 1},
		{400, "ValidationException", envelope.ErrDecrypt, 1},
		{403, "SomethingNew", envelope.ErrDenied, 1},
		{400, "SomethingNew", envelope.ErrUnavailable, 1},
		{400, "ThrottlingException", envelope.ErrUnavailable, 3},
		{500, "KMSInternalException", envelope.ErrUnavailable, 3},
		{503, "ServiceUnavailableException", envelope.ErrUnavailable, 3},
	} {
		f := newFake(t, response{status: tc.status, code: tc.code})
		err := unwrap(t, f.source(t, static()))
		if !errors.Is(err, tc.want) || len(f.requests) != tc.requests {
			t.Errorf("%d %s: %v after %d requests, want %v after %d", tc.status, tc.code, err, len(f.requests), tc.want, tc.requests)
			continue
		}
		if text := err.Error(); strings.Contains(text, "SESSIONTOKEN") || !strings.Contains(text, "KMS Decrypt "+tc.code) || !strings.Contains(text, "request-1") {
			t.Errorf("%s: the text is %s", tc.code, text)
		}
	}
}

// TestForeign: if a response does not come from KMS, or if there is none, KMS is unreachable.
func TestForeign(t *testing.T) {
	for _, r := range []response{
		{status: 200, body: "<html>sign in</html>"},
		{status: 403, body: "<html>blocked</html>"},
		{status: 403, body: `{"error":"blocked"}`},
		{status: 302, body: "<html>moved</html>"},
		{lost: true},
	} {
		f := newFake(t, r)
		if err := unwrap(t, f.source(t, static())); !errors.Is(err, envelope.ErrUnavailable) || errors.Is(err, envelope.ErrDenied) {
			t.Errorf("%+v: %v, want ErrUnavailable", r, err)
		}
	}
}

// TestUnreachable: without a response, the error is that of the network.
func TestUnreachable(t *testing.T) {
	for name, endpoint := range map[string]string{"no server": testcloud.NoServer(t), "connection lost": newFake(t, response{lost: true}).URL} {
		_, err := awskms.Enrol(t.Context(), awskms.Config{KeyID: "alias/vault", AWS: aws.Config{Region: "us-east-1", Credentials: static()}, Endpoint: endpoint})
		if !errors.Is(err, envelope.ErrUnavailable) || strings.Contains(err.Error(), "not a response") || !strings.Contains(err.Error(), strings.TrimPrefix(endpoint, "http://")) {
			t.Errorf("%s: %v, want an error of the network", name, err)
		}
	}
}

// TestKeyNamed: every request names the key and passes no encryption context, and a response of
// another key is rejected.
func TestKeyNamed(t *testing.T) {
	const otherARN = "arn:aws:kms:us-east-1:111122223333:key/0987dcba-09fe-87dc-65ba-ab0987654321"
	for _, name := range []string{otherARN, ""} {
		f := newFake(t, response{status: 200, body: fmt.Sprintf(`{"KeyId":%q,"CiphertextBlob":"AAAA","Plaintext":"AAAA"}`, name)})
		s := f.source(t, static())
		if _, err := s.Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{}); !errors.Is(err, envelope.ErrChanged) {
			t.Errorf("Wrap: %v, want ErrChanged", err)
		}
		if err := unwrap(t, s); !errors.Is(err, envelope.ErrDecrypt) || !strings.Contains(err.Error(), "another key") {
			t.Errorf("Unwrap: %v, want ErrDecrypt because of the key", err)
		}
		for _, r := range f.requests {
			if r["KeyId"] != keyARN || r["EncryptionContext"] != nil {
				t.Errorf("the request is %v", r)
			}
		}
	}
}

// A renewing provider has new credentials after each call of Expired.
type renewing struct {
	mu      sync.Mutex
	n       int
	expired []string
	err     error
}

func (r *renewing) Retrieve(context.Context) (aws.Credentials, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return aws.Credentials{AccessKeyID: fmt.Sprintf("AKIA%d", r.n), SecretAccessKey: "SECRETKEY"}, r.err
}

func (r *renewing) Expired(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	r.expired = append(r.expired, id)
}

// TestExpired: credentials are renewed once.
func TestExpired(t *testing.T) {
	expired := response{status: 400, code: "ExpiredTokenException"}
	creds := new(renewing)
	f := newFake(t, expired, response{status: 200, body: fmt.Sprintf(`{"KeyId":%q,"CiphertextBlob":"AAAA"}`, keyARN)})
	if _, err := f.source(t, creds).Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{}); err != nil || fmt.Sprint(f.keys) != "[AKIA0 AKIA1]" || fmt.Sprint(creds.expired) != "[AKIA0]" {
		t.Errorf("%v; requests by %v, expired %v", err, f.keys, creds.expired)
	}
	f = newFake(t, expired)
	if _, err := f.source(t, new(renewing)).Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{}); !errors.Is(err, envelope.ErrUnauthenticated) || len(f.requests) != 2 {
		t.Errorf("%v after %d requests, want ErrUnauthenticated after 2", err, len(f.requests))
	}
	for _, tc := range []struct{ err, want error }{
		{errors.New("no file"), envelope.ErrUnauthenticated},
		{fmt.Errorf("%w: the issuer", envelope.ErrUnavailable), envelope.ErrUnavailable},
	} {
		if _, err := f.source(t, &renewing{err: tc.err}).Wrap(t.Context(), ref, make([]byte, 32), envelope.AAD{}); !errors.Is(err, tc.want) || !errors.Is(err, tc.err) {
			t.Errorf("without credentials: %v, want %v", err, tc.want)
		}
	}
}

func TestConfig(t *testing.T) {
	cfg := aws.Config{Region: "us-east-1", Credentials: static()}
	for _, tc := range []struct {
		config awskms.Config
		want   error
	}{
		{awskms.Config{KeyID: keyARN, AWS: aws.Config{Credentials: static()}}, nil}, // the region is in the ARN
		{awskms.Config{KeyID: "alias/vault", AWS: cfg}, nil},
		{awskms.Config{KeyID: "mrk-1234abcd12ab34cd56ef1234567890ab", AWS: cfg}, nil},
		{awskms.Config{KeyID: "arn:aws-cn:kms:cn-north-1:111122223333:alias/a/b", AWS: cfg}, nil},
		{awskms.Config{KeyID: "", AWS: cfg}, envelope.ErrInvalid},
		{awskms.Config{KeyID: "arn:aws:s3:::bucket", AWS: cfg}, envelope.ErrInvalid},
		{awskms.Config{KeyID: keyARN + "?x", AWS: cfg}, envelope.ErrInvalid},
		{awskms.Config{KeyID: keyARN + strings.Repeat("a", 2048), AWS: cfg}, envelope.ErrInvalid},
		{awskms.Config{KeyID: "alias/vault", AWS: aws.Config{Credentials: static()}}, envelope.ErrInvalid},
		{awskms.Config{KeyID: keyARN, AWS: aws.Config{Region: "us-east-1"}}, envelope.ErrInvalid},
		{awskms.Config{KeyID: keyARN, AWS: cfg, Endpoint: "http://kms.example.com"}, envelope.ErrInvalid},
		{awskms.Config{KeyID: keyARN, AWS: aws.Config{Credentials: static(), BaseEndpoint: aws.String("http://kms.example.com")}}, envelope.ErrInvalid},
		{awskms.Config{KeyID: keyARN, AWS: cfg, Endpoint: "http://kms.example.com", Insecure: true}, nil},
		{awskms.Config{KeyID: "alias/vault", AWS: cfg, Enrolment: &kms.Enrolment{KeyID: "alias/vault"}}, envelope.ErrInvalid},
		{awskms.Config{KeyID: "alias/vault", AWS: cfg, Enrolment: &kms.Enrolment{KeyID: strings.Replace(keyARN, "us-east-1", "eu-west-1", 1)}}, envelope.ErrChanged},
		{awskms.Config{KeyID: "alias/vault", AWS: cfg, Enrolment: &kms.Enrolment{KeyID: keyARN}}, nil},
	} {
		if _, err := awskms.New(tc.config); !errors.Is(err, tc.want) {
			t.Errorf("New(%s): %v, want %v", tc.config.KeyID, err, tc.want)
		}
	}
}

func TestCancelled(t *testing.T) {
	f := newFake(t, response{lost: true})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := awskms.Enrol(ctx, awskms.Config{KeyID: "alias/vault", AWS: aws.Config{Region: "us-east-1", Credentials: static()}, Endpoint: f.URL})
	if !errors.Is(err, context.Canceled) || errors.Is(err, envelope.ErrUnavailable) {
		t.Errorf("Enrol: %v, want Canceled", err)
	}
}

func FuzzRegion(f *testing.F) {
	for _, seed := range []string{"", keyARN, "alias/vault", "arn:aws:kms:us-east-1:111122223333:alias/vault", "arn:aws:kms:us-east-1:111122223333:key/", "arn:aws:kms::111122223333:key/a\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		region := awskms.Region(text)
		if awskms.IsKeyARN(text) && region == "" || region != "" && !strings.HasPrefix(text, "arn:") || strings.ContainsAny(region, ":/ \n") {
			t.Errorf("%q is in region %q, key %v", text, region, awskms.IsKeyARN(text))
		}
	})
}
