package federation_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/objectvault/objectvault/federation"
)

// demoCloud is a fake exchange.
type demoCloud struct{}

func (demoCloud) Exchange(_ context.Context, t federation.Token) (federation.Credentials, error) {
	return federation.Credentials{AccessKeyID: "AKIDEMO", SecretKey: federation.NewSecret("s3cr3t"), Expires: t.Claims.Expires}, nil
}

func ExampleNewProvider() {
	token := jwt(fmt.Sprintf(`{"sub":"agent-7","aud":"sts.amazonaws.com","exp":%d,
		"https://aws.amazon.com/tags":{"principal_tags":{"agentkeys_user_wallet":["0xABC"]}}}`, time.Now().Add(time.Hour).Unix()))
	source, err := federation.ParseSource("env:DEMO_TOKEN", &federation.SourceOptions{Getenv: func(string) string { return token }})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, tenant := range []string{"0xabc", "0xdef"} {
		p := federation.NewProvider(source, demoCloud{}, &federation.Options{
			Expect: federation.Expectation{Audience: "sts.amazonaws.com", Tenant: tenant},
		})
		creds, err := p.Credentials(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(creds.AccessKeyID, creds.SecretKey)
	}
	// Output:
	// AKIDEMO [redacted]
	// tenant mismatch: the token belongs to tenant "0xABC" (tag "agentkeys_user_wallet"), but tenant "0xdef" is required
}

func ExampleParseSource() {
	for _, spec := range []string{
		"file:/var/run/secrets/tokens/vault",
		"exec:gcloud auth print-identity-token --audiences=vault",
		"broker+https://keys.example?session=file:/run/session",
		"broker+http://keys.example",
		"github:sts.amazonaws.com",
	} {
		_, err := federation.ParseSource(spec, nil)
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// invalid identity source: broker+http: http is allowed only for this machine (localhost, 127.0.0.0/8, ::1): use https
	// <nil>
}

func ExampleParseToken() {
	token, err := federation.ParseToken(jwt(`{"iss":"https://issuer.example","sub":"agent-7","aud":"vault","exp":300}`))
	fmt.Println(token.Claims.Subject, token.Claims.Audience, token.Raw, err)
	_, err = federation.ParseToken("swordfish")
	fmt.Println(errors.Is(err, federation.ErrTokenInvalid), err)
	// Output:
	// agent-7 [vault] [redacted] <nil>
	// true no valid identity token: it is not a signed JWT, which consists of three parts separated by dots
}

func ExampleCache() {
	dir, err := os.MkdirTemp("", "objectvault")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	cache := federation.Cache{Dir: filepath.Join(dir, "login")}
	key := federation.CacheKey("s3://bucket", "file:/run/token")

	creds := federation.Credentials{AccessKeyID: "AKIDEMO", SecretKey: federation.NewSecret("s3cr3t"), Expires: time.Now().Add(time.Hour)}
	fmt.Println(cache.Save(key, federation.Login{Credentials: creds, Tenant: "0xabc"}))
	login, err := cache.Load(key)
	fmt.Println(login.AccessKeyID, login.Tenant, err)
	fmt.Println(cache.Remove(key))
	// Output:
	// <nil>
	// AKIDEMO 0xabc <nil>
	// true <nil>
}
