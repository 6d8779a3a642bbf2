package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
)

func TestMain(m *testing.M) { os.Exit(testcloud.Main(m)) }

// start runs up and returns the line that it printed. stop ends up and returns its exit code.
func start(t *testing.T, args ...string) (line []byte, at server, stop func() int) {
	t.Helper()
	in, eof := io.Pipe()
	out, w := io.Pipe()
	var talk bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(context.Background(), append([]string{"up", "--until-eof"}, args...), &world{in, w, &talk})
		w.Close()
	}()
	if err := json.NewDecoder(out).Decode(&at); err != nil {
		t.Fatalf("%v\n%s", err, talk.String())
	}
	line, err := json.Marshal(at)
	if err != nil {
		t.Fatal(err)
	}
	return line, at, sync.OnceValue(func() int { eof.Close(); return <-code })
}

// A walkthrough: a server, policies, a token from the broker, an exchange, a put.
func TestUpAWS(t *testing.T) {
	if testing.Short() {
		t.Skip("one call after the other")
	}
	testcloud.RequireRGW(t)
	line, at, stop := start(t, "--wallet", "0xaaa", "--wallet", "0xbbb", "aws")
	defer stop()
	if len(at.Session) != 2 || at.Session[0].Wallet != "0xaaa" || at.Issuer == nil || at.Other == nil {
		t.Fatalf("up printed %s", line)
	}
	file := filepath.Join(t.TempDir(), "server.json")
	if err := os.WriteFile(file, line, 0o600); err != nil {
		t.Fatal(err)
	}
	policy := `{
		"trust_policy": {"Version": "2012-10-17", "Statement": [{
			"Effect": "Allow", "Principal": {"Federated": ["` + at.Issuer.Provider + `"]}, "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"]}]},
		"role_policy": {"Version": "2012-10-17", "Statement": [{
			"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::vault/bots/0xaaa/*"],
			"Condition": {"StringEquals": {"aws:PrincipalTag/agentkeys_user_wallet": "0xaaa"}}}]},
		"bucket_policy": {"Version": "2012-10-17", "Statement": [{
			"Effect": "Deny", "Principal": {"AWS": ["*"]}, "Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::vault/bots/0xaaa/denied/*"]}]},
		"versioning": {}
	}`
	for range 2 { // apply can be repeated
		var out, talk bytes.Buffer
		if code := run(t.Context(), []string{"apply", "--server", file, "--bucket", "vault", "--role", "agents"}, &world{strings.NewReader(policy), &out, &talk}); code != 0 {
			t.Fatal(talk.String())
		}
		if want := "bucket vault\nrole arn:aws:iam:::role/agents\nrole policy\nbucket policy\n"; out.String() != want {
			t.Errorf("apply printed %q", out.String())
		}
	}
	for i, want := range map[int]map[string]int{
		0: {"bots/0xaaa/k": 0, "bots/0xaaa/denied/k": 403, "bots/0xbbb/k": 403},
		1: {"bots/0xaaa/k": 403, "bots/0xbbb/k": 403},
	} {
		client := login(t, at, at.Session[i].Token)
		for key, status := range want {
			_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("vault"), Key: &key, Body: strings.NewReader("value")})
			got := 0
			if e := (*awshttp.ResponseError)(nil); errors.As(err, &e) {
				got = e.HTTPStatusCode()
			}
			if got != status {
				t.Errorf("wallet %d puts %s: %v", i, key, err)
			}
		}
	}
	if code := stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
	for _, pid := range at.PIDs {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d after the end: %v", pid, err)
		}
	}
}

// mint exchanges a session for a token at the broker.
func mint(t *testing.T, at server, session string) string {
	t.Helper()
	url, ok := strings.CutPrefix(at.Issuer.Broker, "broker+")
	if !ok {
		t.Fatalf("broker %q", at.Issuer.Broker)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/v1/mint-oidc-jwt", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+session)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var minted struct{ JWT string }
	if err := json.NewDecoder(resp.Body).Decode(&minted); err != nil || minted.JWT == "" {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return minted.JWT
}

// login exchanges a session for credentials, through the broker and STS.
func login(t *testing.T, at server, session string) *s3.Client {
	t.Helper()
	token := mint(t, at, session)
	out, err := testcloud.STSClient(at.URL).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String("arn:aws:iam:::role/agents"), RoleSessionName: aws.String("test"), WebIdentityToken: &token,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := out.Credentials
	return testcloud.S3Client(at.URL, testcloud.Keys{}, func(o *s3.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	})
}

func TestUpVersity(t *testing.T) {
	testcloud.RequireVersity(t)
	line, at, stop := start(t, "versity")
	defer stop()
	if at.Other != nil || at.Issuer != nil || at.Version != "1.8.0" {
		t.Errorf("up printed %s", line)
	}
	if _, err := testcloud.S3Client(at.URL, testcloud.Keys(at.Owner)).ListBuckets(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if code := stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// SeaweedFS accepts the tokens of the issuer that is started with it.
func TestUpWeed(t *testing.T) {
	if testing.Short() {
		t.Skip("SeaweedFS starts slowly")
	}
	testcloud.RequireWeed(t) // installs it
	line, at, stop := start(t, "--wallet", "0xaaa", "weed")
	defer stop()
	if at.TLSURL == "" || at.CAFile == "" || at.Other == nil || at.Version != testcloud.WeedVersion || at.Issuer.Name != testcloud.WeedIssuer {
		t.Errorf("up printed %s", line)
	}
	if _, err := testcloud.S3Client(at.URL, testcloud.Keys(at.Owner)).ListBuckets(t.Context(), nil); err != nil {
		t.Error(err)
	}
	token, err := federation.ParseToken(mint(t, at, at.Session[0].Token))
	if err != nil {
		t.Fatal(err)
	}
	if c := token.Claims; c.Issuer != at.Issuer.Name || len(c.Tags) == 0 || !slices.Contains(c.Ignored, testcloud.FlatTagsClaim) {
		t.Errorf("the broker mints a token of %s with tags %v, and beside them %v", c.Issuer, c.Tags, c.Ignored)
	}
	if code := stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestUpIssuer(t *testing.T) {
	line, at, stop := start(t, "--wallet", "0xccc", "--untagged", "issuer")
	defer stop()
	if at.URL != "" || at.Issuer == nil || len(at.Session) != 1 || at.Session[0].Wallet != "0xccc" || bytes.Contains(line, []byte("owner")) {
		t.Fatalf("up printed %s", line)
	}
	token, err := federation.ParseToken(mint(t, at, at.Session[0].Token))
	if err != nil {
		t.Fatal(err)
	}
	if c := token.Claims; c.Issuer != at.Issuer.URL || c.Subject != "agentkeys:agent:0xccc" || !slices.Contains(c.Audience, at.Issuer.Audience) || len(c.Tags) > 0 {
		t.Errorf("the broker mints a token of %s for %s to %q with tags %v", c.Issuer, c.Subject, c.Audience, c.Tags)
	}
	if code := stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestUsage(t *testing.T) {
	for _, tc := range []struct {
		args string
		in   string
		code int
		want string
	}{
		{"", "", 2, "usage: testcloud install"},
		{"down", "", 2, "usage: testcloud install"},
		{"install minio", "", 1, `testcloud: install: no server "minio": use rgw, versity, weed or kms`},
		{"up", "", 1, `testcloud: up: no server "": use rgw, versity, aws, weed, kms or issuer`},
		{"up --port 1 rgw", "", 1, "flag provided but not defined: -port"},
		{"apply", "", 1, "testcloud: apply: --server, --bucket and --role are required"},
		{"apply --server /absent --bucket b --role r", "", 1, "testcloud: apply: open /absent: "},
		{"apply --server testdata/server.json --bucket b --role r", "{}", 1, "testcloud: apply: policy: trust_policy is missing"},
	} {
		var out, talk bytes.Buffer
		code := run(t.Context(), strings.Fields(tc.args), &world{strings.NewReader(tc.in), &out, &talk})
		if code != tc.code || out.Len() > 0 || !strings.Contains(talk.String(), tc.want) {
			t.Errorf("%q: exit %d, stdout %q, stderr %q, want %d and %q", tc.args, code, out.String(), talk.String(), tc.code, tc.want)
		}
	}
}
