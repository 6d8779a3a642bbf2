package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/vault"
)

// A Role is an IAM role whose credentials AWS STS issues. ARN and Region are required.
type Role struct {
	ARN string
	// Session is the name of the session in the logs of AWS: 2 to 64 characters of A-Z a-z 0-9
	// _+=,.@-. The default is objectvault.
	Session string
	// Duration is the lifetime of the credentials, from 15 minutes to the maximum of the role. The
	// default is one hour.
	Duration time.Duration
	// Region selects the STS endpoint, and so the partition.
	Region string
	// Endpoint is the URL of an STS that is not AWS.
	Endpoint string
	// Insecure allows an http Endpoint that is not on this machine.
	Insecure bool
	// Timeout limits an exchange, with all of its attempts, of which there are at most three. The
	// default is 30 seconds.
	Timeout time.Duration
}

var sessionName = text.NewRegexp(`^[A-Za-z0-9_+=,.@-]{2,64}$`)

// NewExchanger returns an Exchanger that exchanges a token for credentials of the role. It uses
// AssumeRoleWithWebIdentity, which is not signed.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
func NewExchanger(ctx context.Context, r Role) (federation.Exchanger, error) {
	name, err := arn.Parse(r.ARN)
	if err != nil || name.Service != "iam" || !strings.HasPrefix(name.Resource, "role/") {
		return nil, fmt.Errorf("%w: %q is not a role such as arn:aws:iam::123456789012:role/vault", vault.ErrConfig, r.ARN)
	}
	session := cmp.Or(r.Session, "objectvault")
	if !sessionName.MatchString(session) {
		return nil, fmt.Errorf("%w: session %q is not 2 to 64 characters of A-Z a-z 0-9 _+=,.@-", vault.ErrConfig, session)
	}
	if r.Duration != 0 && (r.Duration < 15*time.Minute || r.Duration > 12*time.Hour) {
		return nil, fmt.Errorf("%w: duration %v is not between 15m and 12h", vault.ErrConfig, r.Duration)
	}
	if err := checkEndpoint("sts_endpoint", r.Endpoint, r.Insecure); err != nil {
		return nil, err
	}
	cfg, err := loadConfig(ctx, r.Region, aws.AnonymousCredentials{}, r.Timeout)
	if err != nil {
		return nil, err
	}
	if err := requireRegion(&cfg, r.Endpoint); err != nil {
		return nil, err
	}
	// Limit each attempt, so that an attempt that hangs does not prevent another attempt. The SDK has
	// no such limit. Its pauses must not use up the rest of the time, either.
	timeout := cmp.Or(r.Timeout, 30*time.Second)
	if c, ok := cfg.HTTPClient.(*http.Client); ok {
		c.Timeout = timeout / time.Duration(retry.DefaultMaxAttempts)
	}
	// An Exchanger is never closed, so no connection may stay open.
	cfg.APIOptions = append(cfg.APIOptions, smithyhttp.SetHeaderValue("Connection", "close"))
	client, err := newSTS(cfg, r.Endpoint, r.Insecure, timeout)
	if err != nil {
		return nil, err
	}
	return &exchanger{client: client, role: r, session: session}, nil
}

// newSTS returns a client whose pauses between two attempts are at most a tenth of timeout.
func newSTS(cfg aws.Config, endpoint string, insecure bool, timeout time.Duration) (*sts.Client, error) {
	var err error
	client := sts.NewFromConfig(cfg, func(o *sts.Options) {
		err = fixEndpoint("the SDK's endpoint for STS", endpoint, insecure, &o.BaseEndpoint)
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			// If two exchanges for the same new subject run at the same time, Ceph responds to one of them
			// with 409.
			o.MaxBackoff = timeout / 10
			o.Retryables = append(o.Retryables, retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusConflict: {}}})
		})
	})
	return client, err
}

type exchanger struct {
	client  *sts.Client
	role    Role
	session string
}

func (e *exchanger) Exchange(ctx context.Context, t federation.Token) (federation.Credentials, error) {
	in := &sts.AssumeRoleWithWebIdentityInput{
		RoleArn:          aws.String(e.role.ARN),
		RoleSessionName:  aws.String(e.session),
		WebIdentityToken: aws.String(t.Raw.Reveal()),
	}
	if e.role.Duration != 0 {
		in.DurationSeconds = aws.Int32(int32(e.role.Duration / time.Second))
	}
	out, err := e.assume(ctx, in)
	if err != nil {
		return federation.Credentials{}, e.exchangeError(err)
	}
	if out.Credentials == nil {
		return federation.Credentials{}, fmt.Errorf("%w: the STS response has no credentials", federation.ErrUnavailable)
	}
	c := federation.Credentials{
		AccessKeyID:  aws.ToString(out.Credentials.AccessKeyId),
		SecretKey:    federation.NewSecret(aws.ToString(out.Credentials.SecretAccessKey)),
		SessionToken: federation.NewSecret(aws.ToString(out.Credentials.SessionToken)),
		Expires:      aws.ToTime(out.Credentials.Expiration),
		Role:         e.role.ARN,
		Session:      e.session,
		Subject:      aws.ToString(out.SubjectFromWebIdentityToken),
		Issuer:       t.Claims.Issuer,
	}
	if out.AssumedRoleUser != nil { // AWS always sends it, SeaweedFS never
		if name, err := arn.Parse(aws.ToString(out.AssumedRoleUser.Arn)); err == nil {
			c.Account = name.AccountID
		}
	}
	return c, nil
}

// assume calls STS, and repeats the call while STS cannot fetch the keys of the issuer, until the
// timeout. If the time runs out between two attempts, it returns the last error of STS.
func (e *exchanger) assume(ctx context.Context, in *sts.AssumeRoleWithWebIdentityInput) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, e.timeout(ctx))
	defer cancel()
	var last lastResponse
	for n := 0; ; n++ {
		out, err := e.client.AssumeRoleWithWebIdentity(ctx, in, last.keep)
		switch {
		case err != nil && ctx.Err() != nil && !errors.Is(caller.Err(), context.Canceled) && last.err != nil:
			return nil, last.err
		case !issuerUnreachable(err) || !waitBefore(ctx, 250*time.Millisecond<<min(n, 4)):
			return out, err
		}
	}
}

// timeout returns the time limit of an exchange. It ends before the deadline of ctx, because the error
// after that deadline contains less information: a tenth before it, or a second on a busy machine, but at
// most a third.
func (e *exchanger) timeout(ctx context.Context) time.Duration {
	d := cmp.Or(e.role.Timeout, 30*time.Second)
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		d = min(d, left-max(left/10, min(left/3, time.Second)))
	}
	return d
}

// A lastResponse keeps the last error response of STS. The SDK discards it when the context ends between
// two attempts.
type lastResponse struct{ err error }

// keep is an option for one call.
func (l *lastResponse) keep(o *sts.Options) {
	o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
		return s.Finalize.Insert(middleware.FinalizeMiddlewareFunc("objectvault:LastResponse", func(
			ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
		) (middleware.FinalizeOutput, middleware.Metadata, error) {
			out, meta, err := next.HandleFinalize(ctx, in)
			if errors.As(err, new(smithy.APIError)) {
				l.err = &smithy.OperationError{ServiceID: sts.ServiceID, OperationName: "AssumeRoleWithWebIdentity", Err: err}
			}
			return out, meta, err
		}), "Retry", middleware.After)
	})
}

// waitBefore waits for d and returns true. If ctx ends before, it returns false immediately.
func waitBefore(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// noVerificationKey is the start of the message of InvalidIdentityToken if STS could not fetch the keys
// of the issuer. This is temporary, but an invalid token has the same code, so only the message shows the
// difference. No other code in this package decides on a text. The message is documented at
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_roles.html and
// https://repost.aws/knowledge-center/iam-sts-invalididentitytoken.
const noVerificationKey = "Couldn't retrieve verification key from your identity provider"

// issuerUnreachable reports whether STS responded that it could not reach the issuer of the token.
func issuerUnreachable(err error) bool {
	var ae smithy.APIError
	if !errors.As(err, &ae) {
		return false
	}
	return ae.ErrorCode() == "IDPCommunicationError" ||
		ae.ErrorCode() == "InvalidIdentityToken" && strings.HasPrefix(ae.ErrorMessage(), noVerificationKey)
}

// exchangeError returns the error of a failed exchange with the matching sentinel of package federation.
func (e *exchanger) exchangeError(err error) error {
	kind := federation.ErrUnavailable
	var re *smithyhttp.ResponseError
	switch code := code(err); {
	case issuerUnreachable(err):
	case slices.Contains([]string{"ExpiredTokenException", "ExpiredToken", "InvalidIdentityToken", "InvalidIdentityTokenException", "IDPRejectedClaim"}, code):
		kind = federation.ErrTokenInvalid
	case slices.Contains([]string{"AccessDenied", "ValidationError", "MalformedPolicyDocument", "RegionDisabledException"}, code):
		kind = federation.ErrRefused
	case slices.Contains([]string{"RequestExpired", "ServiceUnavailable"}, code), errors.As(err, new(*foreignError)):
	default:
		if _, busy := retry.DefaultThrottleErrorCodes[code]; busy { // the STS of AWS uses status 400 for these
			break
		}
		// The SDK finds no code in the responses of some servers that are not AWS.
		if errors.As(err, &re) {
			switch re.HTTPStatusCode() {
			case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
				kind = federation.ErrRefused
			}
		}
	}
	return &exchangeError{role: e.role.ARN, kind: kind, err: err}
}

// An exchangeError is the error of a token exchange.
type exchangeError struct {
	role      string
	kind, err error
}

func (e *exchangeError) Error() string {
	return fmt.Sprintf("%v: role %s: %s", e.kind, e.role, describe(e.err))
}

func (e *exchangeError) Unwrap() []error { return []error{e.kind, e.err} }
