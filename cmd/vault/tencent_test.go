package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/internal/testcloud"
)

// cosAudience is the aud of tokens, as the scripts print it into policies.
const cosAudience = "vault"

// TestTencent runs testdata/tencent, each script against a COS with CAM and STS of its own,
// over https with a CA that only SSL_CERT_FILE knows, and what policy tencent printed
// applied as it is: every exchange, policy and denial is costest's.
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
			"PROXY": strings.Replace(s.URL(), "https:", "http:", 1), // to the service's own hosts
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
	// In a group, which ends when the scripts have: they run in parallel.
	t.Run("script", func(t *testing.T) { testscript.Run(t, params(files, setup, cosCommands)) })
}

// cosCommands are what the operator of the cloud does in a script, and what befalls it.
var cosCommands = map[string]func(*testscript.TestScript, bool, []string){
	"exits": exits,
	// apply POLICY applies what policy tencent printed.
	"apply": func(ts *testscript.TestScript, neg bool, args []string) {
		ts.Check(cosOf(ts).Setup([]byte(ts.ReadFile(args[0])), nil))
	},
	// role NAME TRUST POLICY makes a role that was not printed.
	"role": func(ts *testscript.TestScript, neg bool, args []string) {
		_, err := cosOf(ts).AddRole(args[0], os.Expand(ts.ReadFile(args[1]), ts.Getenv), os.Expand(ts.ReadFile(args[2]), ts.Getenv))
		ts.Check(err)
	},
	// versioning Enabled|Suspended switches it.
	"versioning": func(ts *testscript.TestScript, neg bool, args []string) {
		ts.Check(cosOf(ts).SetVersioning(cosOf(ts).Bucket(), args[0]))
	},
	// key STATE changes the state of the key $KMS_ID.
	"key": func(ts *testscript.TestScript, neg bool, args []string) {
		ts.Check(cosOf(ts).SetKMSKeyState(ts.Getenv("KMS_ID"), args[0]))
	},
	// breaks SERVICE CODE answers every request to cos or sts with an error from now on, or
	// cuts its connection where the code is 0; breaks alone ends that.
	"breaks": func(ts *testscript.TestScript, neg bool, args []string) {
		if len(args) == 0 {
			cosOf(ts).SetRule(nil)
			return
		}
		cosOf(ts).SetRule(func(r *costest.Request) *costest.Fault {
			switch {
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
	// raw read|write|remove KEY FILE does what the operator of the cloud can do with an object.
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
	// expires has the keys that were given so far expire.
	"expires": func(ts *testscript.TestScript, neg bool, args []string) {
		for _, r := range cosOf(ts).Requests() {
			if r.AccessKeyID != "" && r.AccessKeyID != cosOf(ts).SecretID() {
				cosOf(ts).ExpireKey(r.AccessKeyID)
			}
		}
	},
}

func cosOf(ts *testscript.TestScript) *costest.Server { return ts.Value("cloud").(*costest.Server) }
