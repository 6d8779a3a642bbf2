package main

import (
	"context"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/internal/testcloud"
)

// cosAudience is the aud of the tokens and the audience that the scripts pass to policy tencent.
const cosAudience = "vault"

// TestTencent runs testdata/tencent. Each script has its own COS, CAM and STS in costest, over https
// with a CA that only SSL_CERT_FILE contains. The output of policy tencent is applied unchanged, and
// costest checks every exchange, policy and request.
func TestTencent(t *testing.T) {
	if testing.Short() {
		t.Skip("one command after the other")
	}
	issuer := testcloud.NewIssuer(&testcloud.IssuerOptions{Algorithm: "RS256"})
	t.Cleanup(func() { issuer.Close() })
	files, err := filepath.Glob("testdata/tencent/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("only %d scripts were found (%v)", len(files), err)
	}
	setup := func(e *testscript.Env) error {
		s, err := costest.New(&costest.Options{TLS: true})
		if err != nil {
			return err
		}
		e.Defer(func() { s.Close() })
		e.Values["cloud"] = s
		key := s.NewKMSKey()
		e.Setenv("KMS_ID", key)
		e.Setenv("KMS_RESOURCE", s.KMSKeyResource(key))
		other := s.NewKMSKey() // no role may use it
		e.Setenv("KMS_OTHER_ID", other)
		e.Setenv("KMS_OTHER", "tencentkms://"+s.Region()+"/"+other+"?endpoint="+s.URL())
		e.Setenv("KMS", "tencentkms://"+s.Region()+"/"+key+"?endpoint="+s.URL())
		for name, value := range map[string]string{
			"BUCKET": s.Bucket(), "ENDPOINT": s.URL(), "ISSUER": issuer.URL, "A": walletA, "B": walletB,
			"OWNER_ID": s.SecretID(), "OWNER_KEY": s.SecretKey(), "SSL_CERT_FILE": filepath.Join(e.WorkDir, "ca.pem"),
			"PROXY": strings.Replace(s.URL(), "https:", "http:", 1), // forwards the host names of Tencent Cloud
			"STORE": "cos://" + s.Bucket() + "?region=" + s.Region() + "&endpoint=" + s.URL() + "&provider=idp&role=qcs::cam::uin/100000000001:roleName/vault-",
		} {
			e.Setenv(name, value)
		}
		tagged := testcloud.AgentClaims(walletB)
		tagged.Subject = "bot:a"
		expired := issuer.MintExpired(testcloud.Claims{Subject: "bot:a", Audience: cosAudience})
		for name, text := range map[string]string{
			"ca.pem":        string(s.CA()),
			"token-a":       issuer.Mint(testcloud.Claims{Subject: "bot:a", Audience: cosAudience}),
			"token-b":       issuer.Mint(testcloud.Claims{Subject: "bot:b", Audience: cosAudience}),
			"token-tag-a":   issuer.Mint(testcloud.Claims{Subject: "bot:a", Audience: cosAudience, Tags: testcloud.AgentClaims(walletA).Tags}),
			"token-tag-b":   issuer.Mint(testcloud.Claims{Subject: "bot:a", Audience: cosAudience, Tags: tagged.Tags}),
			"token-aws":     issuer.Mint(testcloud.Claims{Subject: "bot:a"}),
			"token-forged":  issuer.MintForged(testcloud.Claims{Subject: "bot:a", Audience: cosAudience}),
			"token-expired": expired,
		} {
			if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(text), 0o600); err != nil {
				return err
			}
		}
		return nil
	}
	// The scripts run in parallel. The group ends when all of them have ended.
	t.Run("script", func(t *testing.T) { testscript.Run(t, params(files, setup, cosCommands)) })
}

// cosCommands are actions of the operator of the cloud in a script, and failures of the cloud.
var cosCommands = map[string]func(*testscript.TestScript, bool, []string){
	"exits":  exits,
	"expand": expand,
	// apply POLICY applies the output of policy tencent.
	"apply": func(ts *testscript.TestScript, neg bool, args []string) {
		ts.Check(cosOf(ts).Setup([]byte(ts.ReadFile(args[0])), nil))
	},
	// role NAME TRUST POLICY creates a role that policy tencent did not print.
	"role": func(ts *testscript.TestScript, neg bool, args []string) {
		_, err := cosOf(ts).AddRole(args[0], os.Expand(ts.ReadFile(args[1]), ts.Getenv), os.Expand(ts.ReadFile(args[2]), ts.Getenv))
		ts.Check(err)
	},
	// versioning Enabled|Suspended changes the versioning of the bucket.
	"versioning": func(ts *testscript.TestScript, neg bool, args []string) {
		ts.Check(cosOf(ts).SetVersioning(cosOf(ts).Bucket(), args[0]))
	},
	// logging PREFIX makes the bucket write its access log into itself, under the prefix.
	"logging": func(ts *testscript.TestScript, neg bool, args []string) {
		s := cosOf(ts)
		client, err := cosblob.NewClient(s.Bucket(), s.Region(), cosblob.Static(s.SecretID(), s.SecretKey(), ""),
			&cosblob.ClientOptions{Endpoint: s.BucketURL(s.Bucket()), Transport: s.Client().Transport})
		ts.Check(err)
		_, err = client.Bucket.PutLogging(context.Background(), &cos.BucketPutLoggingOptions{
			LoggingEnabled: &cos.BucketLoggingEnabled{TargetBucket: s.Bucket(), TargetPrefix: args[0]},
		})
		ts.Check(err)
	},
	// lifecycle FILE sets the lifecycle of the bucket.
	"lifecycle": func(ts *testscript.TestScript, neg bool, args []string) {
		s := cosOf(ts)
		client, err := cosblob.NewClient(s.Bucket(), s.Region(), cosblob.Static(s.SecretID(), s.SecretKey(), ""),
			&cosblob.ClientOptions{Endpoint: s.BucketURL(s.Bucket()), Transport: s.Client().Transport})
		ts.Check(err)
		var rules cos.BucketPutLifecycleOptions
		ts.Check(xml.Unmarshal([]byte(ts.ReadFile(args[0])), &rules))
		_, err = client.Bucket.PutLifecycle(context.Background(), &rules)
		ts.Check(err)
	},
	// key STATE changes the state of the key $KMS_ID.
	"key": func(ts *testscript.TestScript, neg bool, args []string) {
		ts.Check(cosOf(ts).SetKMSKeyState(ts.Getenv("KMS_ID"), args[0]))
	},
	// breaks SERVICE CODE makes cos or sts respond to every request with the error. If CODE is 0, it
	// closes the connection instead. breaks writes closes that of every PUT to cos, and breaks denies
	// makes cos respond with 403 to every PUT. breaks without arguments ends the failure.
	"breaks": func(ts *testscript.TestScript, neg bool, args []string) {
		if len(args) == 0 {
			cosOf(ts).SetRule(nil)
			return
		}
		cosOf(ts).SetRule(func(r *costest.Request) *costest.Fault {
			switch {
			case args[0] == "writes" && r.Service == "cos" && r.Method == "PUT":
				return costest.DropBefore()
			case args[0] == "denies" && r.Service == "cos" && r.Method == "PUT":
				return costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "told by a test"))
			case r.Service != args[0]:
				return nil
			case args[1] == "0":
				return costest.DropBefore()
			case args[0] == "sts":
				return costest.RespondBefore(200, costest.ErrorJSON(args[1], "told by a test"))
			}
			return costest.RespondBefore(503, costest.ErrorXML(args[1], "told by a test"))
		})
	},
	// raw read|write|remove KEY FILE accesses an object as the operator of the cloud.
	"raw": func(ts *testscript.TestScript, neg bool, args []string) {
		s := cosOf(ts)
		client, err := cosblob.NewClient(s.Bucket(), s.Region(), cosblob.Static(s.SecretID(), s.SecretKey(), ""),
			&cosblob.ClientOptions{Endpoint: s.BucketURL(s.Bucket()), Transport: s.Client().Transport})
		ts.Check(err)
		b, err := cosblob.OpenBucket(context.Background(), client, s.Bucket(), nil)
		ts.Check(err)
		defer b.Close()
		switch args[0] {
		case "read":
			data, err := b.ReadAll(context.Background(), args[1])
			ts.Check(err)
			ts.Check(os.WriteFile(ts.MkAbs(args[2]), data, 0o600))
		case "write":
			ts.Check(b.WriteAll(context.Background(), args[1], []byte(ts.ReadFile(args[2])), nil))
		case "remove":
			ts.Check(b.Delete(context.Background(), args[1]))
		}
	},
	// expires lets all credentials expire that were issued so far.
	"expires": func(ts *testscript.TestScript, neg bool, args []string) {
		for _, r := range cosOf(ts).Requests() {
			if r.AccessKeyID != "" && r.AccessKeyID != cosOf(ts).SecretID() {
				cosOf(ts).ExpireKey(r.AccessKeyID)
			}
		}
	},
}

func cosOf(ts *testscript.TestScript) *costest.Server { return ts.Value("cloud").(*costest.Server) }
