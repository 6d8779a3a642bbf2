package testcloud_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// A server that a test starts itself knows only its own users and issuer, and leaves no files.
func TestWeed(t *testing.T) {
	if testing.Short() {
		t.Skip("SeaweedFS starts slowly")
	}
	testcloud.RequireWeed(t) // installs it
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx := t.Context()
	issuer := newIssuer(t, &testcloud.IssuerOptions{Name: testcloud.WeedIssuer})
	w, err := testcloud.StartWeed(ctx, &testcloud.WeedOptions{Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if w.Version != testcloud.WeedVersion {
		t.Errorf("version %q", w.Version)
	}
	bucket := testcloud.NewBucket(t, w.URL, w.Owner, true)
	if err := put(ctx, testcloud.S3Client(w.URL, w.Owner), bucket, "0xaaa/k", "value"); err != nil {
		t.Fatal(err)
	}
	secure := testcloud.NewProxy(w.TLSURL, &testcloud.ProxyOptions{CA: w.CA})
	defer secure.Close()
	for name, url := range map[string]string{"http": w.URL, "https": secure.URL} {
		if got, err := get(ctx, testcloud.S3Client(url, w.Owner), bucket, "0xaaa/k"); got != "value" || err != nil {
			t.Errorf("get over %s = %q, %v", name, got, err)
		}
		if _, err := get(ctx, testcloud.S3Client(url, w.Other), bucket, "0xaaa/k"); status(err) != http.StatusForbidden {
			t.Errorf("get over %s as another user: %v", name, err)
		}
	}

	_, err = w.CreateRole(ctx, "agents",
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Federated": "`+w.ProviderARN()+`"}, "Action": "sts:AssumeRoleWithWebIdentity"}]}`,
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::`+bucket+`/${aws:PrincipalTag/`+testcloud.WalletTag+`}/*"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	role := "arn:aws:iam::" + testcloud.WeedAccount + ":role/agents"
	for wallet, want := range map[string]int{"0xaaa": 0, "0xbbb": http.StatusForbidden} {
		claims := testcloud.AgentClaims(wallet)
		claims.FlatTags = true
		out, err := testcloud.STSClient(w.URL).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: &role, RoleSessionName: aws.String("test"), WebIdentityToken: aws.String(issuer.Mint(claims)),
		})
		if err != nil {
			t.Fatal(err)
		}
		c := out.Credentials
		client := testcloud.S3Client(w.URL, testcloud.Keys{}, func(o *s3.Options) {
			o.Credentials = credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
		})
		if _, err := get(ctx, client, bucket, "0xaaa/k"); status(err) != want {
			t.Errorf("get as %s: %v, want %d", wallet, err, want)
		}
	}
	checkStopped(t, w.Stop, w.PIDs(), w.URL, tmp)
}

func TestInstallWeedAnnounces(t *testing.T) {
	setPrograms(t, map[string]string{"go": `[ -e $2/go.mod ] && [ -e $2/go.sum ] || exit 1
echo go $3
while [ $# -gt 1 ]; do [ $1 = -o ] && : >$2; shift; done
`})
	var log bytes.Buffer
	if err := testcloud.InstallWeed(t.Context(), &log); err != nil {
		t.Fatal(err)
	}
	first, _, ran := strings.Cut(log.String(), "go build\n")
	path := filepath.Join(os.Getenv("XDG_CACHE_HOME"), "objectvault-test", "seaweedfs-"+testcloud.WeedVersion)
	if !ran || !strings.Contains(first, "SeaweedFS "+testcloud.WeedVersion) || !strings.Contains(first, path) || !strings.Contains(first, "MB") {
		t.Errorf("the log is %q, and the program is at %s", log.String(), path)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	log.Reset()
	if err := testcloud.InstallWeed(t.Context(), &log); err != nil || log.Len() > 0 {
		t.Errorf("an installed server is installed again: %v, %q", err, log.String())
	}
}
