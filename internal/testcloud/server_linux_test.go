package testcloud_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// checkStopped stops a server and checks that no process, port or file remains.
func checkStopped(t *testing.T, stop func() error, pids []int, url, dir string) {
	t.Helper()
	begin := time.Now()
	if err := stop(); err != nil {
		t.Errorf("Stop: %v", err)
	}
	t.Logf("stopped in %v", time.Since(begin))
	for _, pid := range pids {
		if !hasEnded(pid) {
			t.Errorf("process %d still exists after Stop", pid)
		}
	}
	if !free(t, url) {
		t.Errorf("the port of %s is not free after Stop", url)
	}
	if left := dirs(t, dir); len(left) > 0 {
		t.Errorf("after Stop %q remain", left)
	}
	if err := stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

// Two clusters that start at the same time know only their own users, and leave no files.
func TestRGW(t *testing.T) {
	testcloud.RequireRGW(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var servers [2]*testcloud.RGW
	var all errgroup.Group
	begin := time.Now()
	for i := range servers {
		all.Go(func() (err error) { servers[i], err = testcloud.StartRGW(t.Context(), nil); return err })
	}
	err := all.Wait()
	t.Logf("two at once in %v", time.Since(begin))
	for _, r := range servers {
		if r != nil {
			defer r.Stop()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	a, b := servers[0], servers[1]
	if a.Version != b.Version || strings.Count(a.Version, ".") != 2 {
		t.Errorf("versions %q and %q", a.Version, b.Version)
	}
	for _, r := range servers {
		bucket := testcloud.NewBucket(t, r.URL, r.Owner, false)
		owner := testcloud.S3Client(r.URL, r.Owner)
		if err := put(t.Context(), owner, bucket, "k", "value"); err != nil {
			t.Fatal(err)
		}
		if got, err := get(t.Context(), owner, bucket, "k"); got != "value" || err != nil {
			t.Errorf("get = %q, %v", got, err)
		}
		if _, err := get(t.Context(), testcloud.S3Client(r.URL, r.Other), bucket, "k"); status(err) != http.StatusForbidden {
			t.Errorf("get as another user: %v", err)
		}
		wrong := testcloud.Keys{AccessKeyID: r.Owner.AccessKeyID, SecretKey: "x" + r.Owner.SecretKey[1:]}
		if _, err := get(t.Context(), testcloud.S3Client(r.URL, wrong), bucket, "k"); status(err) != http.StatusForbidden {
			t.Errorf("get with a wrong secret: %v", err)
		}
	}
	if _, err := testcloud.S3Client(b.URL, a.Owner).ListBuckets(t.Context(), nil); status(err) != http.StatusForbidden {
		t.Errorf("the second cluster knows a user of the first: %v", err)
	}
	a.Stop()
	checkStopped(t, b.Stop, append(a.PIDs(), b.PIDs()...), b.URL, tmp)
}

func TestVersity(t *testing.T) {
	testcloud.RequireVersity(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	begin := time.Now()
	v, err := testcloud.StartVersity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(begin))
	defer v.Stop()
	if v.Version != "1.8.0" {
		t.Errorf("version %q", v.Version)
	}
	bucket := testcloud.NewBucket(t, v.URL, v.Root, false)
	root := testcloud.S3Client(v.URL, v.Root)
	if err := put(t.Context(), root, bucket, "k", "value"); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t.Context(), root, bucket, "k"); got != "value" || err != nil {
		t.Errorf("get = %q, %v", got, err)
	}
	alice, err := v.AddUser(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(t.Context(), testcloud.S3Client(v.URL, alice), bucket, "k"); status(err) != http.StatusForbidden {
		t.Errorf("get as another user: %v", err)
	}
	own := testcloud.NewBucket(t, v.URL, alice, true)
	if err := put(t.Context(), testcloud.S3Client(v.URL, alice), own, "k", "value"); err != nil {
		t.Error(err)
	}
	checkStopped(t, v.Stop, v.PIDs(), v.URL, tmp)
}

func TestLocalKMS(t *testing.T) {
	testcloud.RequireLocalKMS(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	k, err := testcloud.StartLocalKMS(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Stop()
	key, err := k.NewKey(t.Context())
	if err != nil || !strings.HasPrefix(key, "arn:aws:kms:"+k.Region+":"+k.Account+":key/") {
		t.Fatalf("the key is %q, %v", key, err)
	}
	sealed, err := k.Client().Encrypt(t.Context(), &kms.EncryptInput{KeyId: &key, Plaintext: []byte("value")})
	if err != nil {
		t.Fatal(err)
	}
	out, err := k.Client().Decrypt(t.Context(), &kms.DecryptInput{KeyId: &key, CiphertextBlob: sealed.CiphertextBlob})
	if err != nil || string(out.Plaintext) != "value" {
		t.Errorf("Decrypt: %v, %v", out, err)
	}
	checkStopped(t, k.Stop, k.PIDs(), k.URL, tmp)
}

// A directory of the caller is kept, and is rejected if it is not empty.
func TestDirStays(t *testing.T) {
	testcloud.RequireVersity(t)
	dir := filepath.Join(t.TempDir(), "new")
	v, err := testcloud.StartVersity(t.Context(), &testcloud.VersityOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	bucket := testcloud.NewBucket(t, v.URL, v.Root, false)
	if err := put(t.Context(), testcloud.S3Client(v.URL, v.Root), bucket, "k", "value"); err != nil {
		t.Error(err)
	}
	if err := v.Stop(); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "data", bucket, "k")); string(b) != "value" {
		t.Errorf("after Stop the object has the value %q, %v", b, err)
	}
	if v, err := testcloud.StartVersity(t.Context(), &testcloud.VersityOptions{Dir: dir}); err == nil {
		v.Stop()
		t.Error("a directory that is not empty was accepted")
	} else if !strings.Contains(err.Error(), "is not empty") {
		t.Error(err)
	}
}

// After a failed start, no process and no file remains.
func TestStartFails(t *testing.T) {
	testcloud.RequireRGW(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, start := range map[string]func() (*testcloud.RGW, error){
		"unknown store": func() (*testcloud.RGW, error) {
			return testcloud.StartRGW(t.Context(), &testcloud.RGWOptions{Store: "tape"})
		},
		"short day": func() (*testcloud.RGW, error) {
			return testcloud.StartRGW(t.Context(), &testcloud.RGWOptions{LifecycleDay: 1})
		},
		"ended context": func() (*testcloud.RGW, error) { return testcloud.StartRGW(ended, nil) },
		"no such parent": func() (*testcloud.RGW, error) {
			return testcloud.StartRGW(t.Context(), &testcloud.RGWOptions{Dir: "/dev/null/x"})
		},
	} {
		if r, err := start(); err == nil {
			r.Stop()
			t.Errorf("%s: started", name)
		}
		if left := dirs(t, tmp); len(left) > 0 {
			t.Errorf("%s: %q remain", name, left)
		}
	}
}

// With a lifecycle day of one second, an object expires during the test.
func TestLifecycle(t *testing.T) {
	if testing.Short() {
		t.Skip("the test waits for Ceph, so there is nothing for the race detector")
	}
	testcloud.RequireRGW(t)
	var log bytes.Buffer
	r, err := testcloud.StartRGW(t.Context(), &testcloud.RGWOptions{LifecycleDay: time.Second, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	if !strings.Contains(log.String(), "first response\n") {
		t.Errorf("the log is %q", log.String())
	}
	owner, bucket := testcloud.S3Client(r.URL, r.Owner), testcloud.NewBucket(t, r.URL, r.Owner, false)
	for _, key := range []string{"old/k", "kept/k"} {
		if err := put(t.Context(), owner, bucket, key, "value"); err != nil {
			t.Fatal(err)
		}
	}
	_, err = owner.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{
		Bucket: &bucket,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{
			ID: aws.String("old"), Status: types.ExpirationStatusEnabled,
			Filter: &types.LifecycleRuleFilter{Prefix: aws.String("old/")}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(1)},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "old/k expires", func() bool {
		_, err := get(t.Context(), owner, bucket, "old/k")
		return status(err) == http.StatusNotFound
	})
	if _, err := get(t.Context(), owner, bucket, "kept/k"); err != nil {
		t.Error(err)
	}
}

func TestKeysPrintWithoutSecret(t *testing.T) {
	k := testcloud.Keys{AccessKeyID: "alice", SecretKey: "hush"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%d", "%s", "%x"} {
		if got := fmt.Sprintf(verb, struct{ K testcloud.Keys }{k}); strings.Contains(got, "hush") || strings.Contains(got, fmt.Sprintf("%x", "hush")) || !strings.Contains(got, "alice") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}
