package vaulturl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/kms"
	"github.com/objectvault/objectvault/envelope/kek/kms/awskms"
	"github.com/objectvault/objectvault/envelope/kek/kms/hashivault"
	"github.com/objectvault/objectvault/envelope/kek/kms/tencentkms"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/providers/aws"
)

// kmsSchemes are the schemes of key management services. The last two are only in programs that are
// built with the tag allkms.
var kmsSchemes = []string{"awskms", "tencentkms", "hashivault", "gcpkms", "azurekeyvault"}

// isKMS reports whether a URL is that of a key management service. It includes base64key, whose URLs
// are refused.
func isKMS(u *url.URL) bool { return slices.Contains(kmsSchemes, u.Scheme) || u.Scheme == "base64key" }

// parseKeyURL parses the URL of a key source. Package net/url rejects awskms://ARN, because a host
// contains no colons. If the URL is invalid, the error is a [*URLError], which does not repeat it.
func parseKeyURL(keyURL string) (*url.URL, error) {
	if rest, ok := strings.CutPrefix(keyURL, "awskms://arn:"); ok {
		keyURL = "awskms:///arn:" + rest
	}
	u, err := url.Parse(keyURL)
	if err != nil {
		return nil, &URLError{"it is not a URL", ""}
	}
	return u, nil
}

// openKMS opens the key source of a key management service. creds are the exchanged credentials of
// the store, or nil. e is the record of [enrolKMS], or nil: then the source seals nothing. It sends no
// request to the service. If the URL is invalid, the error is a [*URLError].
func openKMS(ctx context.Context, u *url.URL, o *Options, creds *federation.Provider, e *kms.Enrolment) (envelope.KeySource, error) {
	if e != nil {
		if err := e.Check(); err != nil {
			return nil, err
		}
	}
	k, err := keyAt(ctx, u, o.orZero(), creds)
	if err != nil {
		return nil, err
	}
	s, err := k.open(e)
	if err != nil {
		return nil, urlError(err)
	}
	return s, nil
}

// enrolKMS makes one round trip with the key at a URL, and returns the record for [openKMS].
func enrolKMS(ctx context.Context, u *url.URL, o *Options, creds *federation.Provider) (kms.Enrolment, error) {
	k, err := keyAt(ctx, u, o.orZero(), creds)
	if err != nil {
		return kms.Enrolment{}, err
	}
	e, err := k.enrol(ctx)
	if err != nil {
		return kms.Enrolment{}, urlError(err)
	}
	return e, nil
}

// urlError returns the [*URLError] for a value that a key source rejects without a request. Other
// errors are returned as they are.
func urlError(err error) error {
	var reported *kms.Error
	if errors.Is(err, envelope.ErrInvalid) && !errors.As(err, &reported) {
		return &URLError{err.Error(), ""}
	}
	return err
}

// A kmsKey is the key at a URL.
type kmsKey struct {
	open  func(*kms.Enrolment) (*kms.Source, error)
	enrol func(context.Context) (kms.Enrolment, error)
}

// keyAt parses the URL of a key, and finds its credentials.
func keyAt(ctx context.Context, keyURL *url.URL, o *Options, creds *federation.Provider) (kmsKey, error) {
	u := parsedURL{URL: *keyURL}
	var err error
	if u.query, err = url.ParseQuery(u.RawQuery); err != nil {
		return kmsKey{}, &URLError{"its parameters are malformed", ""}
	}
	switch {
	case u.Scheme == "base64key":
		return kmsKey{}, &URLError{"base64key:// is refused, because its URL contains a secret key", "use env:VAR or exec:COMMAND for a key that another program supplies"}
	case !slices.Contains(kmsSchemes, u.Scheme):
		return kmsKey{}, bad("unknown kind of key management service")
	case u.Fragment != "":
		return kmsKey{}, bad("the URL contains a #, which must be written as %%23")
	case u.User != nil:
		return kmsKey{}, bad("the URL of a key must not contain a user or a password")
	case u.Opaque != "" || u.Port() != "":
		return kmsKey{}, bad("the URL of a key must have the form %s", kmsForm[u.Scheme])
	}
	switch u.Scheme {
	case "awskms":
		return awsKey(ctx, u, o, creds)
	case "tencentkms":
		return tencentKey(u, o, creds)
	case "hashivault":
		return vaultKey(u, o)
	}
	return otherKey(ctx, u, o)
}

// kmsForm contains the form of the URL of each service.
var kmsForm = map[string]string{
	"awskms":        "awskms://ARN, awskms://alias/NAME?region=REGION or awskms://ID?region=REGION",
	"tencentkms":    "tencentkms://REGION/ID",
	"hashivault":    "hashivault://KEY",
	"gcpkms":        "gcpkms://projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY",
	"azurekeyvault": "azurekeyvault://VAULT.vault.azure.net/keys/KEY/VERSION",
}

// defaultCredentials reports whether the URL selects the credentials of the environment. Without
// them, a key uses the exchanged credentials of the store.
func (u parsedURL) defaultCredentials(creds *federation.Provider) (bool, error) {
	switch value := u.query.Get("credentials"); {
	case value == "default":
		return true, nil
	case value != "":
		return false, bad("credentials= must be default, or absent")
	case creds == nil:
		return false, &URLError{"the key source uses the credentials that the store gets for a token, but the store has no role", "add credentials=default to the URL of the key source"}
	}
	return false, nil
}

func awsKey(ctx context.Context, u parsedURL, o *Options, creds *federation.Provider) (kmsKey, error) {
	if err := u.onlyFilled("region", "endpoint", "insecure", "credentials"); err != nil {
		return kmsKey{}, err
	}
	key := strings.TrimPrefix(u.Host+u.Path, "/")
	region, inARN := u.query.Get("region"), awskms.Region(key)
	if region != "" && inARN != "" && region != inARN {
		return kmsKey{}, bad("region= is not the region in the ARN of the key")
	}
	insecure, err := u.boolean("insecure")
	if err != nil {
		return kmsKey{}, err
	}
	useDefault, err := u.defaultCredentials(creds)
	if err != nil {
		return kmsKey{}, err
	}
	if useDefault {
		creds = nil
	}
	cfg, err := aws.SDKConfig(ctx, cmp.Or(inARN, region), creds, o.Timeout)
	if err != nil {
		return kmsKey{}, err
	}
	cfg.Credentials = awsCredentials{cfg.Credentials}
	config := awskms.Config{KeyID: key, AWS: cfg, Endpoint: u.query.Get("endpoint"), Insecure: insecure, Timeout: o.Timeout}
	return kmsKey{
		open: func(e *kms.Enrolment) (*kms.Source, error) {
			config := config
			config.Enrolment = e
			return awskms.New(config)
		},
		enrol: func(ctx context.Context) (kms.Enrolment, error) { return awskms.Enrol(ctx, config) },
	}, nil
}

// awsCredentials adds the sentinels of package envelope to the errors of credentials.
type awsCredentials struct{ awssdk.CredentialsProvider }

func (c awsCredentials) Retrieve(ctx context.Context) (awssdk.Credentials, error) {
	got, err := c.CredentialsProvider.Retrieve(ctx)
	return got, credentialsError(ctx, err)
}

// Expired implements [awskms.Renewer].
func (c awsCredentials) Expired(accessKeyID string) {
	if r, ok := c.CredentialsProvider.(awskms.Renewer); ok {
		r.Expired(accessKeyID)
	}
}

// credentialsError returns an error of a token source, a token exchange or a chain with the sentinel
// of package envelope.
func credentialsError(ctx context.Context, err error) error {
	switch {
	case err == nil, ctx.Err() != nil:
		return err
	case errors.Is(err, federation.ErrUnavailable):
		return fmt.Errorf("%w: %w", envelope.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", envelope.ErrUnauthenticated, err)
}

func tencentKey(u parsedURL, o *Options, creds *federation.Provider) (kmsKey, error) {
	if err := u.onlyFilled("endpoint", "insecure", "credentials"); err != nil {
		return kmsKey{}, err
	}
	key := strings.TrimPrefix(u.Path, "/")
	if u.Host == "" || key == "" {
		return kmsKey{}, bad("the URL of a key must have the form %s", kmsForm[u.Scheme])
	}
	insecure, err := u.boolean("insecure")
	if err != nil {
		return kmsKey{}, err
	}
	useDefault, err := u.defaultCredentials(creds)
	if err != nil {
		return kmsKey{}, err
	}
	config := tencentkms.Config{KeyID: key, Region: u.Host, Endpoint: u.query.Get("endpoint"), Insecure: insecure, Timeout: o.Timeout}
	if useDefault {
		config.Credentials = func(context.Context) (id, secret, token string, err error) { return o.tencentKeys() }
	} else {
		config.Expired = creds.Expired
		config.Credentials = func(ctx context.Context) (id, secret, token string, err error) {
			c, err := creds.Credentials(ctx)
			if err != nil {
				return "", "", "", credentialsError(ctx, err)
			}
			return c.AccessKeyID, c.SecretKey.Reveal(), c.SessionToken.Reveal(), nil
		}
	}
	return kmsKey{
		open: func(e *kms.Enrolment) (*kms.Source, error) {
			config := config
			config.Enrolment = e
			return tencentkms.New(config)
		},
		enrol: func(ctx context.Context) (kms.Enrolment, error) { return tencentkms.Enrol(ctx, config) },
	}, nil
}

// tencentKeys returns the keys in the environment variables of Tencent's tools, as for a COS store
// without a role.
func (o *Options) tencentKeys() (id, secret, token string, err error) {
	getenv := o.getenv()
	id, secret = getenv("TENCENTCLOUD_SECRET_ID"), getenv("TENCENTCLOUD_SECRET_KEY")
	if id == "" || secret == "" {
		return "", "", "", fmt.Errorf("%w: TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY are not set", envelope.ErrUnauthenticated)
	}
	return id, secret, cmp.Or(getenv("TENCENTCLOUD_TOKEN"), getenv("TENCENTCLOUD_SECURITY_TOKEN")), nil
}

// vaultKey returns the key of a HashiCorp Vault. The token is VAULT_TOKEN of the environment, and the
// address and the namespace are VAULT_ADDR and VAULT_NAMESPACE, unless the URL contains them.
func vaultKey(u parsedURL, o *Options) (kmsKey, error) {
	if err := u.onlyFilled("address", "engine", "namespace", "insecure"); err != nil {
		return kmsKey{}, err
	}
	if u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return kmsKey{}, bad("the URL of a key must have the form %s", kmsForm[u.Scheme])
	}
	insecure, err := u.boolean("insecure")
	if err != nil {
		return kmsKey{}, err
	}
	getenv := o.getenv()
	config := hashivault.Config{
		Key: u.Host, Address: cmp.Or(u.query.Get("address"), getenv("VAULT_ADDR")), Engine: u.query.Get("engine"),
		Namespace: cmp.Or(u.query.Get("namespace"), getenv("VAULT_NAMESPACE")), Token: getenv("VAULT_TOKEN"), Insecure: insecure, Timeout: o.Timeout,
	}
	if config.Address == "" {
		return kmsKey{}, &URLError{"the address of the Vault server is missing", "set VAULT_ADDR, or add address=https://HOST:8200 to the URL of the key source"}
	}
	return kmsKey{
		open: func(e *kms.Enrolment) (*kms.Source, error) {
			config := config
			config.Enrolment = e
			return hashivault.New(config)
		},
		enrol: func(ctx context.Context) (kms.Enrolment, error) { return hashivault.Enrol(ctx, config) },
	}, nil
}

// getenv returns Getenv, or the function of package os, which the SDKs of the clouds use.
func (o *Options) getenv() func(string) string {
	if o.Getenv != nil {
		return o.Getenv
	}
	return os.Getenv
}
