package aws_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// An agent with a token, and without keys of AWS.
func Example() {
	ctx := context.Background()
	exchange, err := aws.NewExchanger(ctx, aws.Role{ARN: "arn:aws:iam::123456789012:role/vault", Region: "eu-central-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := federation.ParseSource("file:/run/token", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	const tenant = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
	identity := federation.NewProvider(source, exchange, &federation.Options{
		Expect: federation.Expectation{Audience: "sts.amazonaws.com", Tenant: tenant},
	})
	store, err := aws.Open(ctx, aws.Config{Bucket: "vault", Region: "eu-central-1", Identity: identity})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	v, err := vault.New(store, tenant, []envelope.KeySource{kek.InsecureFixed()}, nil) // for examples only
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = v.Put(ctx, "openrouter", strings.NewReader("sk-or-v1-example"), nil)
	fmt.Println(err) // this example has no token
	// Output: put openrouter: not authenticated: file:/run/token: no valid identity token: no such file or directory
}

// A server that supports S3, with its own keys.
func ExampleOpen() {
	store, err := aws.Open(context.Background(), aws.Config{
		Bucket:   "vault",
		Endpoint: "https://s3.example.com",
		Static:   credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "example", ""),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	fmt.Println(store.Name)
	// Output: s3://vault
}

func ExampleNewExchanger() {
	_, err := aws.NewExchanger(context.Background(), aws.Role{ARN: "vault", Region: "eu-central-1"})
	fmt.Println(err)
	// Output: invalid configuration: "vault" is not a role such as arn:aws:iam::123456789012:role/vault
}
