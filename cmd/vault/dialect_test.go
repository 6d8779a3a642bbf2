package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/objectvault/objectvault/internal/testcloud"
)

type scriptCommands = map[string]func(*testscript.TestScript, bool, []string)

// serverOf starts a server for a script. $ENDPOINT is its URL, and it does not check the keys in the
// environment.
func serverOf(t *testing.T, h http.HandlerFunc) func(*testscript.Env) error {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return func(e *testscript.Env) error {
		e.Setenv("ENDPOINT", server.URL)
		e.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
		e.Setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
		return nil
	}
}

// TestDeadlineScript: a command ends at its deadline, even if the server never responds.
func TestDeadlineScript(t *testing.T) {
	stop := make(chan struct{})
	setup := serverOf(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-stop
	})
	t.Cleanup(func() { close(stop) }) // before the server closes
	runAWS(t, "testdata/aws/deadline.txtar", setup, scriptCommands{})
}

// TestForeignScript: if a login page of the network responds, no command reports success.
func TestForeignScript(t *testing.T) {
	runAWS(t, "testdata/aws/foreign.txtar", serverOf(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		switch {
		case strings.HasPrefix(r.URL.Path, "/missing"):
			http.NotFound(w, r)
		case strings.HasPrefix(r.URL.Path, "/refusing"):
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, "<Error><Code>InvalidEncryption</Code><Message>use a key</Message></Error>")
		case strings.HasPrefix(r.URL.Path, "/full"):
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, "<Error><Code>XMinioAdminBucketQuotaExceeded</Code><Message>Bucket quota exceeded</Message></Error>")
		case strings.HasPrefix(r.URL.Path, "/keyless"):
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, "<Error><Code>KMS.DisabledException</Code><Message>the key is disabled</Message></Error>")
		default:
			io.WriteString(w, "<!DOCTYPE html><title>Welcome</title>")
		}
	}), scriptCommands{})
}

// TestVirtualHost: with a Ceph server that expects the bucket in the host name, vault sends it there.
func TestVirtualHost(t *testing.T) {
	rgw := testcloud.RequireRGW(t)
	bucket := testcloud.NewBucket(t, rgw.URL, rgw.Owner, false)
	u, err := url.Parse(rgw.URL)
	if err != nil {
		t.Fatal(err)
	}
	var hosts atomic.Int32
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host
		if strings.HasPrefix(r.In.Host, bucket+".localhost") && !strings.HasPrefix(r.In.URL.Path, "/"+bucket) {
			hosts.Add(1)
		}
	}})
	t.Cleanup(proxy.Close)
	runAWS(t, "testdata/aws/virtualhost.txtar", func(e *testscript.Env) error {
		e.Setenv("STORE", "s3://"+bucket+"?endpoint=http://localhost:"+u.Port()+"&path_style=false")
		e.Setenv("http_proxy", proxy.URL)
		e.Setenv("AWS_ACCESS_KEY_ID", rgw.Owner.AccessKeyID)
		e.Setenv("AWS_SECRET_ACCESS_KEY", rgw.Owner.SecretKey)
		return nil
	}, scriptCommands{})
	if hosts.Load() == 0 {
		t.Error("no request named the bucket by its host name")
	}
}
