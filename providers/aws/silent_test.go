package aws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// silentSources returns the URL of a server that never responds, and of a server whose responses
// never end.
func silentSources(t *testing.T) (silent, halting string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		io.WriteString(w, "{")
		w.(http.Flusher).Flush()
		<-stop
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(stop) })
	return "http://" + l.Addr().String(), server.URL
}

// fromChain makes the SDK's credential chain use only one source.
func fromChain(t *testing.T, source, url string) {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_EC2_METADATA_DISABLED"} {
		t.Setenv(name, "")
	}
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	switch source {
	case "metadata service":
		t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
	case "container":
		t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url+"/credentials")
	case "web identity":
		token := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(token, []byte("x.y.z"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
		t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x")
		t.Setenv("AWS_ENDPOINT_URL_STS", url)
	}
}

// TestSilentCredentials: a silent source of credentials has the same timeout as any other
// connection.
func TestSilentCredentials(t *testing.T) {
	silent, halting := silentSources(t)
	for _, source := range []string{"metadata service", "container", "web identity"} {
		for _, url := range []string{silent, halting} {
			t.Run(fmt.Sprint(source, " silent ", url == silent), func(t *testing.T) {
				fromChain(t, source, url)
				s := open(t, aws.Config{Bucket: "no-keys", Region: "eu-central-1", Endpoint: testcloud.NoServer(t), Timeout: time.Second})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				_, err := newVault(t, s, "acme").Put(ctx, "x", strings.NewReader("value"), nil)
				if ctx.Err() != nil {
					t.Fatalf("put waited until its context ended: %v", err)
				}
				want := vault.ErrUnavailable
				if source == "metadata service" { // most machines do not have one
					want = vault.ErrUnauthenticated
				}
				if !errors.Is(err, want) || errors.Is(err, vault.ErrUnsure) {
					t.Errorf("put: %v, want %v", err, want)
				}
			})
		}
	}
}

// TestCredentialsUntilEnd: the context ends the wait for credentials, and it is certain that
// nothing was stored.
func TestCredentialsUntilEnd(t *testing.T) {
	silent, _ := silentSources(t)
	for _, source := range []string{"metadata service", "container", "web identity"} {
		for _, cancelled := range []bool{false, true} {
			t.Run(fmt.Sprint(source, " cancelled ", cancelled), func(t *testing.T) {
				fromChain(t, source, silent)
				s := open(t, aws.Config{Bucket: "no-keys", Region: "eu-central-1", Endpoint: testcloud.NoServer(t)})
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				want := vault.ErrUnavailable
				if cancelled {
					ctx, cancel = context.WithCancel(t.Context())
					stop := time.AfterFunc(100*time.Millisecond, cancel)
					defer stop.Stop()
					want = context.Canceled
				}
				defer cancel()
				_, err := newVault(t, s, "acme").Put(ctx, "x", strings.NewReader("value"), nil)
				if !errors.Is(err, want) || errors.Is(err, vault.ErrUnsure) {
					t.Errorf("put: %v, want %v and a certain outcome", err, want)
				}
			})
		}
	}
}
