package aws_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/objectvault/objectvault/conformance"
	"github.com/objectvault/objectvault/internal/testcloud"
	policy "github.com/objectvault/objectvault/policy/aws"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// onAWS contains the clauses that AWS guarantees for a bucket with versioning.
var onAWS = []string{
	"read-after-write", "two-clients", "sizes", "large", "names", "ranges", "list", "list-after-write",
	"all-or-nothing", "all-or-nothing-large",
	"create", "create-after-delete", "create-large", "create-detects", "create-atomic",
	"swap", "swap-atomic", "swap-large", "splice", "splice-atomic",
	"history", "history-overwriters", "versions",
	"remove", "delete-tells-absent", "purge",
	"errors", "errors-denied", "errors-expired", "errors-unreachable", "close", "no-secrets",
}

func without(claims []string, not ...string) []string {
	return slices.DeleteFunc(slices.Clone(claims), func(c string) bool { return slices.Contains(not, c) })
}

func static(k testcloud.Keys) credentials.StaticCredentialsProvider {
	return credentials.NewStaticCredentialsProvider(k.AccessKeyID, k.SecretKey, "")
}

// A realServer is a server that all packages share, with the keys of its owner.
type realServer struct {
	url  string
	keys testcloud.Keys
}

func realServers(t *testing.T) map[string]realServer {
	t.Helper()
	rgw, versity := testcloud.RequireRGW(t), testcloud.RequireVersity(t)
	return map[string]realServer{"Ceph": {rgw.URL, rgw.Owner}, "versitygw": {versity.URL, versity.Root}}
}

// expiring returns a server that forwards to url, and responds that the credentials have expired.
func expiring(t *testing.T, url string) string {
	t.Helper()
	p := testcloud.NewProxy(url, &testcloud.ProxyOptions{Rule: func(*http.Request, int) *testcloud.Fault {
		return testcloud.RespondBefore(400, testcloud.ErrorXML("ExpiredToken", "The provided token has expired."))
	}})
	t.Cleanup(func() { p.Close() })
	return p.URL
}

// large is a size that needs several requests.
const large = 10 << 20

// silentTimeout is the timeout of a silent server. On a busy machine, a Ceph needs more than the usual
// 30 seconds to delete the 1000 objects of one request.
const silentTimeout = 2 * time.Minute

// conform runs the suite with the keys of the bucket's owner.
func conform(t *testing.T, server, url string, owner, other testcloud.Keys, versioned bool, claims []string, deviations map[string]string, change ...func(*conformance.Provider)) {
	bucket := testcloud.NewBucket(t, url, owner, versioned)
	client := func(c aws.Config) func(context.Context) (*vault.Store, error) {
		c.Bucket = bucket
		return func(ctx context.Context) (*vault.Store, error) { return aws.Open(ctx, c) }
	}
	opened := client(aws.Config{Endpoint: url, Static: static(owner), Timeout: silentTimeout})
	// This clause mostly waits, and its result does not depend on versioning, so it runs only
	// without versioning.
	unreachable := client(aws.Config{Endpoint: testcloud.NoServer(t), Static: static(owner)})
	if versioned || !slices.Contains(claims, "errors-unreachable") {
		unreachable, claims = nil, without(claims, "errors-unreachable")
	}
	p := conformance.Provider{
		Name: "aws", Server: setUp(server, versioned), Open: opened, Reopen: opened, Claims: deviating(claims, deviations), Deviations: deviations,
		Denied:      client(aws.Config{Endpoint: url, Static: static(other)}),
		Expired:     client(aws.Config{Endpoint: expiring(t, url), Static: static(owner)}),
		Unreachable: unreachable,
		Secrets:     []string{owner.SecretKey},
		Large:       large,
		Timeout:     5 * time.Minute,
	}
	for _, f := range change {
		f(&p)
	}
	conformance.Run(t, p)
}

// setUp returns the name of a server with its bucket, for docs/capabilities.md.
func setUp(server string, versioned bool) string {
	if versioned {
		server += ", versioning"
	}
	return server
}

// onAWSPlain contains the clauses without versioning.
var onAWSPlain = without(onAWS, "history", "history-overwriters", "versions", "purge")

func TestConformanceVersity(t *testing.T) {
	t.Parallel()
	s := testcloud.RequireVersity(t)
	known(t, "versitygw", s.Version, knownVersity)
	other, err := s.AddUser(t.Context(), "conformance")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("plain", func(t *testing.T) {
		if testing.Short() {
			t.Skip("the suite runs with versioning")
		}
		t.Parallel()
		conform(t, "versitygw "+s.Version, s.URL, s.Root, other, false, onAWSPlain, nil)
	})
	t.Run("versioned", func(t *testing.T) {
		t.Parallel()
		conform(t, "versitygw "+s.Version, s.URL, s.Root, other, true, onAWS, versityVersioned)
	})
}

// TestConformanceRGW runs the suite without versioning. TestConformanceFederated runs it with
// versioning, as a tenant with permission for everything that the suite does.
func TestConformanceRGW(t *testing.T) {
	if testing.Short() {
		t.Skip("a data race would be in the client: the run with one server finds it")
	}
	t.Parallel()
	s := testcloud.RequireRGW(t)
	known(t, "Ceph", s.Version, knownRGW)
	conform(t, "Ceph RGW "+s.Version, s.URL, s.Owner, s.Other, false, onAWSPlain, rgwPlain)
}

// TestConformanceWeed runs the suite with the owner's keys and as a tenant. It uses only keys below
// a directory, because SeaweedFS stores keys as files. The loser of a race waits a second for the
// lock of the object, so all runs are parallel.
func TestConformanceWeed(t *testing.T) {
	if testing.Short() {
		t.Skip("a data race would be in the client: the run with one server finds it")
	}
	t.Parallel()
	s := testcloud.RequireWeed(t)
	known(t, "SeaweedFS", s.Version, knownWeed)
	below := func(p *conformance.Provider) { p.Below = true }
	server := "SeaweedFS " + s.Version
	var all sync.WaitGroup
	defer all.Wait()
	for name, run := range map[string]func(*testing.T){
		"plain": func(t *testing.T) {
			conform(t, server, s.URL, s.Owner, s.Other, false, without(onAWSPlain, "errors-unreachable"), weedPlain, below)
		},
		"as a tenant": func(t *testing.T) {
			site := newWeedSite(t, true, func(o *policy.Options) { o.AllowPurge = true })
			conformFederated(t, server, site, true, append(slices.Clone(federatedVersioned), "delete-tells-absent"), weedVersioned)
		},
	} {
		all.Go(func() { t.Run(name, run) })
	}
}
