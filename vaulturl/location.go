package vaulturl

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// A Location is the parsed URL of a store. [ParseStore] returns it.
type Location struct {
	Scheme string // s3, cos, file or mem
	Bucket string // empty for file and mem
	Dir    string // of a file store
	// Role is the role to assume with a token. If it is empty, the store uses no identity.
	Role string
	// Audience is the required audience of a token. If it is empty, only the cloud checks the
	// audience.
	Audience string
	// OtherAudiences are also accepted instead of Audience.
	OtherAudiences []string
	// TagKeys are the keys of the session tags that contain the tenant. Nil means the default keys
	// of [federation.Expectation].
	TagKeys []string
	// PerRole means that the cloud isolates tenants only by their roles, and does not use claims of
	// the token for that.
	PerRole bool
	// Identity is the source of tokens that the environment of a pod of Tencent Kubernetes Engine
	// (TKE) supplies. IdentityFrom is the name of the environment variable. Both are empty in any
	// other environment.
	Identity, IdentityFrom string

	endpoint string // of S3 or COS; empty: the default one

	open     func(ctx context.Context, p *federation.Provider) (*vault.Store, error)
	exchange func(ctx context.Context) (federation.Exchanger, error)
	explain  func(error) error
	options  *Options
}

// InCloud reports whether the store is in a cloud. Only a cloud isolates tenants from each other.
func (l *Location) InCloud() bool { return l.Scheme == "s3" || l.Scheme == "cos" }

// SpoolID returns the [spool.StoreID] of the store, for the Store of a [spool.Config] or a
// [seen.Config].
func (l *Location) SpoolID() string {
	host := ""
	if u, err := url.Parse(l.endpoint); err == nil {
		host = u.Host
	}
	bucket := l.Bucket
	if !l.InCloud() {
		bucket = l.Dir
	}
	return spool.StoreID(l.Scheme, host, bucket, "")
}

// Open opens the store with the credentials of p. If p is nil, the store uses the default
// credentials of the cloud: for S3 those that the AWS SDK finds, and for COS the variables
// TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY and TENCENTCLOUD_TOKEN. The caller must close the
// store with [vault.Store].Close.
func (l *Location) Open(ctx context.Context, p *federation.Provider) (*vault.Store, error) {
	return l.open(ctx, p)
}

// Source opens a source of tokens, as [OpenIdentity] does. If spec is "github:" without an
// audience, Source requests the audience in [Location].Audience.
func (l *Location) Source(spec string) (federation.Source, error) {
	return parseSource(spec, l.Audience, l.options)
}

// Exchanger returns a [federation.Exchanger] that trades tokens for credentials of Role. If Role is
// empty, the error is a [*URLError].
func (l *Location) Exchanger(ctx context.Context) (federation.Exchanger, error) {
	if l.exchange == nil {
		return nil, &URLError{"the URL of the store has no role", l.roleAdvice()}
	}
	return l.exchange(ctx)
}

// Explain returns the [*vault.Cause] of err, if err is the error of a token source or of a token
// exchange. Otherwise it returns nil.
func (l *Location) Explain(err error) error {
	if l.explain == nil {
		return nil
	}
	return l.explain(err)
}

// roleAdvice returns an instruction to add a role to the URL, with an example.
func (l *Location) roleAdvice() string {
	switch l.Scheme {
	case "s3":
		return fmt.Sprintf("write s3://%s?role=arn:aws:iam::ACCOUNT:role/NAME", l.Bucket)
	case "cos":
		return fmt.Sprintf("write cos://%s?region=REGION&provider=NAME&role=qcs::cam::uin/UIN:roleName/NAME", l.Bucket)
	}
	return "omit the identity, which only stores in a cloud use"
}

// RoleAdvice returns a hint for the user of a store without a role: how to add role= to the URL,
// with an example.
func (l *Location) RoleAdvice() string { return l.roleAdvice() }

// ParseStore parses the URL of a store. It opens nothing and sends no request. If the URL is
// invalid, the error is a [*URLError].
func ParseStore(storeURL string, o *Options) (*Location, error) {
	o = o.orZero()
	if arn := strings.ReplaceAll(strings.ToLower(storeURL), "%3a", ":"); strings.HasPrefix(arn, "s3://arn:") {
		return nil, &URLError{"the ARN of an access point cannot be used as the name of a bucket", "use the alias of the access point, which ends in -s3alias: aws s3control get-access-point --account-id ACCOUNT --name NAME shows it"}
	}
	parsed, err := url.Parse(storeURL)
	if err != nil {
		return nil, &URLError{"it is not a URL", ""}
	}
	u := parsedURL{URL: *parsed}
	if u.query, err = url.ParseQuery(u.RawQuery); err != nil {
		return nil, &URLError{"its parameters are malformed", ""}
	}
	if u.Fragment != "" {
		return nil, &URLError{"the URL contains a #, which must be written as %23", ""}
	}
	switch u.Scheme {
	case "s3":
		return parseS3(u, o)
	case "cos":
		return parseCOS(u, o)
	case "file", "mem":
		return parseFile(u, o)
	case "":
		return nil, &URLError{"it is not a URL", "write a directory as file:///DIR"}
	}
	return nil, bad("unknown kind of store %s://; the known kinds are s3://, cos://, file:// and mem://", u.Scheme)
}

func bad(format string, args ...any) error {
	return &URLError{fmt.Sprintf(format, args...), ""}
}

// A parsedURL is the URL of a store and its parameters.
type parsedURL struct {
	url.URL
	query url.Values
}

// only rejects parameters that are unknown or repeated.
func (u parsedURL) only(known ...string) error {
	for name, values := range u.query {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return bad("unknown parameter %q; %s:// supports no parameters", name, u.Scheme)
			}
			return bad("unknown parameter %q; %s:// supports only %s", name, u.Scheme, strings.Join(known, ", "))
		}
		if len(values) > 1 {
			return bad("parameter %q occurs twice", name)
		}
	}
	return nil
}

// onlyFilled rejects parameters that are unknown, repeated or empty.
func (u parsedURL) onlyFilled(known ...string) error {
	if err := u.only(known...); err != nil {
		return err
	}
	for name, values := range u.query {
		if values[0] == "" {
			return bad("parameter %q is empty: set a value, or omit the parameter", name)
		}
	}
	return nil
}

// without rejects the parameters names, which have no meaning if the parameter absent is missing.
func (u parsedURL) without(absent string, names ...string) error {
	for _, name := range names {
		if u.query.Has(name) {
			return bad("%s= requires %s=, which is missing", name, absent)
		}
	}
	return nil
}

// boolean returns the value of a true or false parameter; false if it is absent.
func (u parsedURL) boolean(name string) (bool, error) {
	if !u.query.Has(name) {
		return false, nil
	}
	value, err := strconv.ParseBool(u.query.Get(name))
	if err != nil {
		return false, bad("%s= must be true or false", name)
	}
	return value, nil
}

// maxParallel limits the parameter parallel: each request needs 5 MiB of memory.
const maxParallel = 64

// parallel returns the number of requests at a time of a large write or read; 0 if it is absent.
func (u parsedURL) parallel() (int, error) {
	text := u.query.Get("parallel")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxParallel {
		return 0, bad("parallel=%s is not a number from 1 to %d", text, maxParallel)
	}
	return n, nil
}

// duration returns the value of a duration parameter; 0 if it is absent.
func (u parsedURL) duration(name string) (time.Duration, error) {
	text := u.query.Get(name)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, bad("%s=%s is not a duration such as 1h or 15m", name, text)
	}
	return d, nil
}
