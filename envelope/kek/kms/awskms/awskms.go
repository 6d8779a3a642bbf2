// Package awskms contains the key source of AWS KMS. It uses a symmetric encryption key, which is
// named by its ARN in every request, and compares the ARN in every response. Of the permissions on
// the key it needs kms:Encrypt and kms:Decrypt.
//
//	config := awskms.Config{KeyID: "alias/vault", AWS: cfg} // cfg: the configuration of the AWS SDK
//	record, err := awskms.Enrol(ctx, config)                // once; keep the record
//	config.Enrolment = &record
//	keys, err := awskms.New(config)
//
// The full ARN of the key is part of each object. Enrol finds it if the key is given by an alias or
// by its id. A source that is given the full ARN can open objects without the record.
//
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
package awskms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/logging"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/internal/transport"
)

// Config configures a source. KeyID and the credentials of AWS are required.
type Config struct {
	// KeyID is the key: its full ARN, the ARN of an alias, alias/NAME, or the id of the key.
	KeyID string
	// AWS has the credentials, and the region if KeyID is no ARN. Its HTTPClient and its logger are
	// used if they are set. If the credentials implement [Renewer], they are renewed once when KMS
	// reports that they have expired.
	AWS aws.Config
	// Endpoint is the URL of the service, for example of a VPC or of a test server. The default is
	// the endpoint in the field AWS or, if it is empty, the endpoint of the region.
	Endpoint string
	// Insecure allows an http Endpoint that is not on this machine.
	Insecure bool
	// Timeout limits one operation, with at most three attempts. The default is 30 seconds.
	Timeout time.Duration
	// Enrolment is the record of [Enrol]. If it is nil, the source seals nothing.
	Enrolment *kms.Enrolment
}

// A Renewer is an [aws.CredentialsProvider] that can replace credentials that the service has
// rejected, even if they have not expired yet.
type Renewer interface {
	// Expired reports that the service has rejected the credentials with this access key id.
	Expired(accessKeyID string)
}

const scheme = "awskms"

// attempts is the maximum number of attempts of a request.
const attempts = 3

// The names have no maximum length here, because the repetition {1,256} would slow down the start of
// the program. KMS rejects a longer name, and package kms limits the length of the ARN.
var (
	keyARN   = text.NewRegexp(`^arn:[a-z0-9-]+:kms:([a-z0-9-]+):[0-9]{12}:key/[A-Za-z0-9-]+$`)
	aliasARN = text.NewRegexp(`^arn:[a-z0-9-]+:kms:([a-z0-9-]+):[0-9]{12}:alias/[A-Za-z0-9/_-]+$`)
	keyName  = text.NewRegexp(`^(?:alias/[A-Za-z0-9/_-]+|[A-Za-z0-9-]+)$`)
)

// An invalid is an [envelope.ErrInvalid] with its own text.
type invalid string

func (e invalid) Error() string { return string(e) }

func (invalid) Unwrap() error { return envelope.ErrInvalid }

// IsKeyARN reports whether text is the full ARN of a key.
func IsKeyARN(text string) bool { return keyARN.MatchString(text) }

// Region returns the region of the ARN of a key or of an alias, or "" if arn is none.
func Region(arn string) string {
	for _, pattern := range []*text.Regexp{keyARN, aliasARN} {
		if m := pattern.FindStringSubmatch(arn); m != nil {
			return m[1]
		}
	}
	return ""
}

// New returns the key source of a key. It sends no request.
func New(c Config) (*kms.Source, error) {
	s, err := newService(c)
	if err != nil {
		return nil, err
	}
	config := kms.Config{Scheme: scheme, Alias: c.KeyID, Service: s, Enrolment: c.Enrolment, Timeout: c.Timeout}
	switch {
	case IsKeyARN(c.KeyID):
		config.KeyID = c.KeyID
	case c.Enrolment == nil:
	case !IsKeyARN(c.Enrolment.KeyID):
		return nil, invalid("the enrolment of the key source has no ARN of a key")
	case Region(c.Enrolment.KeyID) != s.region:
		return nil, fmt.Errorf("%w: the enrolled key is in region %s, not in %s", envelope.ErrChanged, Region(c.Enrolment.KeyID), s.region)
	default:
		config.KeyID = c.Enrolment.KeyID
	}
	s.arn = config.KeyID
	return kms.New(config)
}

// Enrol finds the ARN of the key, encrypts and decrypts with it once, and returns the record for
// [Config]. It ignores the Enrolment of c.
func Enrol(ctx context.Context, c Config) (kms.Enrolment, error) {
	s, err := newService(c)
	if err != nil {
		return kms.Enrolment{}, err
	}
	if s.arn = c.KeyID; !IsKeyARN(s.arn) {
		if s.arn, err = s.resolve(ctx, c.KeyID, c.Timeout); err != nil {
			return kms.Enrolment{}, err
		}
	}
	return kms.Enrol(ctx, kms.Config{Scheme: scheme, KeyID: s.arn, Service: s, Timeout: c.Timeout})
}

// A service is one key of KMS.
type service struct {
	client      *awskms.Client
	credentials aws.CredentialsProvider
	region      string
	idle        *http.Client // made by this package; or nil
	arn         string       // of the key; empty if only an alias is known, and then no request is sent
}

func newService(c Config) (*service, error) {
	region := cmp.Or(Region(c.KeyID), c.AWS.Region)
	switch {
	case Region(c.KeyID) == "" && !keyName.MatchString(c.KeyID):
		return nil, invalid("the key is not an ARN such as arn:aws:kms:REGION:ACCOUNT:key/ID, alias/NAME or the id of a key")
	case region == "":
		return nil, invalid("the region of the key is unknown: use its ARN, or set the region")
	case c.AWS.Credentials == nil:
		return nil, invalid("the key source has no credentials")
	}
	if err := checkEndpoint("endpoint", c.Endpoint, c.Insecure); err != nil {
		return nil, err
	}
	cfg := c.AWS.Copy()
	cfg.Region = region
	if cfg.Logger == nil {
		cfg.Logger = logging.Nop{} // a library does not write to standard error
	}
	var idle *http.Client
	if cfg.HTTPClient == nil {
		idle = NewHTTPClient(transport.New(c.Timeout))
		cfg.HTTPClient = idle
	}
	var err error
	client := awskms.NewFromConfig(cfg, func(o *awskms.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		} else {
			err = checkEndpoint("the endpoint of the AWS SDK for KMS", aws.ToString(o.BaseEndpoint), c.Insecure)
		}
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = attempts })
	})
	if err != nil {
		return nil, err
	}
	return &service{client: client, credentials: c.AWS.Credentials, region: region, idle: idle}, nil
}

// NewHTTPClient returns a client for KMS that follows no redirects, because a signature is not valid
// after one.
func NewHTTPClient(base *http.Transport) *http.Client {
	return &http.Client{
		Transport:     transport.Failures{Base: transport.Bodies{Base: base}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func checkEndpoint(what, endpoint string, insecure bool) error {
	if err := transport.CheckEndpoint(what, endpoint, "https://kms.example.com", insecure); err != nil {
		return invalid(err.Error())
	}
	return nil
}

// Encrypt implements [kms.Service].
func (s *service) Encrypt(ctx context.Context, plaintext []byte) ([]byte, error) {
	out, err := s.encrypt(ctx, s.arn, plaintext)
	if err != nil {
		return nil, err
	}
	if aws.ToString(out.KeyId) != s.arn {
		return nil, &kms.Error{Kind: envelope.ErrChanged, State: "KMS encrypted with another key", Operation: "KMS Encrypt"}
	}
	return out.CiphertextBlob, nil
}

// Decrypt implements [kms.Service].
func (s *service) Decrypt(ctx context.Context, blob []byte) ([]byte, error) {
	var out *awskms.DecryptOutput
	err := s.call(ctx, func(o func(*awskms.Options)) (err error) {
		out, err = s.client.Decrypt(ctx, &awskms.DecryptInput{KeyId: &s.arn, CiphertextBlob: blob}, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	if aws.ToString(out.KeyId) != s.arn {
		clear(out.Plaintext)
		return nil, &kms.Error{Kind: envelope.ErrDecrypt, State: "KMS decrypted with another key", Operation: "KMS Decrypt"}
	}
	return out.Plaintext, nil
}

// resolve returns the ARN of the key with the given name. Encrypt returns the ARN, so that the
// permission kms:DescribeKey is not needed.
func (s *service) resolve(ctx context.Context, name string, timeout time.Duration) (string, error) {
	limited, cancel := context.WithTimeout(ctx, cmp.Or(timeout, transport.DefaultTimeout))
	defer cancel()
	out, err := s.encrypt(limited, name, []byte("objectvault"))
	switch {
	case err == nil && IsKeyARN(aws.ToString(out.KeyId)):
		return *out.KeyId, nil
	case err == nil:
		return "", &kms.Error{Kind: envelope.ErrUnavailable, State: "the response does not name the key", Operation: "KMS Encrypt"}
	case ctx.Err() != nil:
		return "", ctx.Err()
	case limited.Err() != nil:
		return "", fmt.Errorf("%w: no response in time", envelope.ErrUnavailable)
	}
	return "", err
}

func (s *service) encrypt(ctx context.Context, name string, plaintext []byte) (out *awskms.EncryptOutput, err error) {
	err = s.call(ctx, func(o func(*awskms.Options)) (err error) {
		out, err = s.client.Encrypt(ctx, &awskms.EncryptInput{KeyId: &name, Plaintext: plaintext}, o)
		return err
	})
	return out, err
}

// Close closes the idle connections of a client that the package made.
func (s *service) Close() error {
	if s.idle != nil {
		s.idle.CloseIdleConnections()
	}
	return nil
}

// call makes a request with one set of credentials. If KMS reports that they have expired, and they
// can be renewed, call repeats the request once.
func (s *service) call(ctx context.Context, do func(func(*awskms.Options)) error) error {
	renewer, _ := s.credentials.(Renewer)
	for {
		creds, err := s.credentials.Retrieve(ctx)
		if err != nil {
			return credentialsError(ctx, err)
		}
		fixed := credentials.StaticCredentialsProvider{Value: creds}
		err = do(func(o *awskms.Options) { o.Credentials = fixed })
		if err == nil {
			return nil
		}
		if renewer != nil && expiredCodes[code(err)] {
			renewer.Expired(creds.AccessKeyID)
			renewer = nil
			continue
		}
		return explain(ctx, err, creds)
	}
}

// credentialsError returns the error of a request that has no credentials. The credentials may
// report that they are unavailable with a sentinel of package envelope.
func credentialsError(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, envelope.ErrUnavailable) || errors.Is(err, envelope.ErrUnauthenticated) {
		return err
	}
	return fmt.Errorf("%w: no credentials: %w", envelope.ErrUnauthenticated, err)
}
