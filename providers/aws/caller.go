package aws

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// A Caller is whom the credentials of a [Config] belong to.
type Caller struct {
	From    string    // which part of the SDK's chain found them
	KeyID   string    // the access key's id, which is no secret
	Expires time.Time // zero where they do not
	// What STS says; empty where there is none to ask.
	ARN, Account string
}

// WhoAmI says whose credentials c uses, with one request to STS: that of AWS, or the
// one at endpoint. A server that is not AWS, without an STS, is not asked.
func WhoAmI(ctx context.Context, c Config, endpoint string) (Caller, error) {
	cfg, err := load(ctx, c)
	if err != nil {
		return Caller{}, err
	}
	defer closeIdle(cfg.HTTPClient)
	got, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return Caller{}, err
	}
	who := Caller{From: got.Source, KeyID: got.AccessKeyID}
	if got.CanExpire {
		who.Expires = got.Expires
	}
	if c.Endpoint != "" {
		return who, nil
	}
	client, err := newSTS(cfg, endpoint, c.Insecure)
	if err != nil {
		return who, err
	}
	out, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return who, err
	}
	who.ARN, who.Account = aws.ToString(out.Arn), aws.ToString(out.Account)
	return who, nil
}

// Explain returns the sentinel of package vault behind an error of this package, with
// a Hint, or nil; what Open returns has it as [vault.Store].Explain.
func Explain(err error) error { return explain(err) }
