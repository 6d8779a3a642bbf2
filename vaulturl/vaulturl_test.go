package vaulturl_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vaulturl"
)

// TestRefused: an invalid URL is a URLError that does not repeat the URL.
func TestRefused(t *testing.T) {
	for url, want := range map[string]string{
		"":                                "it is not a URL",
		"/srv/vault":                      "it is not a URL",
		"https://PASSWORD@h/%zz":          "it is not a URL",
		"gs://bucket":                     "unknown kind of store gs://",
		"file://host/dir":                 "the URL must have the form file:///DIR",
		"file:///":                        "the URL must have the form file:///DIR",
		"file:///d?x=1":                   `unknown parameter "x"; file:// supports only versions`,
		"file:///d?versions=-1":           "versions=-1 is not a number",
		"file:///d?versions=1&versions=2": `parameter "versions" occurs twice`,
		"file:///d#x":                     "the URL contains a #, which must be written as %23",
		"mem://x":                         "the URL must be mem://",
		"mem://?a=1":                      `unknown parameter "a"; mem:// supports no parameters`,
		"s3://":                           "the URL must have the form s3://BUCKET",
		"s3://b/key":                      "the URL must have the form s3://BUCKET",
		"s3://u:PASSWORD@b":               "the URL must have the form s3://BUCKET",
		"s3://b?region=":                  `parameter "region" is empty`,
		"s3://b?session=x":                "session= requires role=",
		"s3://b?insecure=perhaps":         "insecure= must be true or false",
		"s3://b?role=r&duration=long":     "duration=long is not a duration",
		"s3://b?region=r&kms_key=k":       "kms_key= also requires",
		"s3://b?region=r&checksum=x":      "invalid configuration: checksum must be md5, crc32 or none",
		"s3://b?region=r&parallel=0":      "parallel=0 is not a number from 1 to 64",
		"s3://b?region=r&parallel=many":   "parallel=many is not a number from 1 to 64",
		"cos://b-1250000000?region=ap-guangzhou&parallel=65":  "parallel=65 is not a number from 1 to 64",
		"s3://b?region=r&sse=x":                               "invalid configuration: sse must be AES256",
		"s3://arn:aws:s3:eu-central-1:1:accesspoint/PASSWORD": "the ARN of an access point cannot be used as the name of a bucket",
		"cos://b-1?region=r&role=x":                           "role= also requires provider=",
		"cos://b-1250000000?region=ap-guangzhou&endpoint=https://c-1250000000.cos.ap-guangzhou.myqcloud.com": "endpoint= belongs to bucket c-1250000000",
	} {
		_, err := vaulturl.OpenStore(t.Context(), url, nil)
		var u *vaulturl.URLError
		if strings.HasPrefix(want, "invalid configuration") { // checked by the provider
			u = new(vaulturl.URLError)
		} else if !errors.As(err, &u) {
			u = nil
		}
		if u == nil || !errors.Is(err, vault.ErrConfig) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s…", url, err, want)
		} else if strings.Contains(err.Error()+u.Advice, "PASSWORD") {
			t.Errorf("%s: the error repeats a password: %v", url, err)
		}
	}
	// The region can also come from the environment and from the files of the AWS CLI.
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	for _, name := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		t.Setenv(name, filepath.Join(t.TempDir(), "absent"))
	}
	if _, err := vaulturl.OpenStore(t.Context(), "s3://b", nil); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("s3 without a region: %v, want ErrConfig", err)
	}
	for url, identity := range map[string]string{
		"mem://": "file:/run/token", "s3://b?region=r": "file:/run/token",
		"s3://b?region=r&role=arn:aws:iam::123456789012:role/v": "",
	} {
		if _, err := vaulturl.OpenStore(t.Context(), url, &vaulturl.Options{Identity: identity}); !errors.Is(err, vault.ErrConfig) {
			t.Errorf("%s with the identity %q: %v, want ErrConfig", url, identity, err)
		}
	}
}

// TestOpenStore opens each kind of store; COS with keys from the environment.
func TestOpenStore(t *testing.T) {
	cos, err := costest.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cos.Close()
	t.Setenv("TENCENTCLOUD_SECRET_ID", cos.SecretID())
	t.Setenv("TENCENTCLOUD_SECRET_KEY", cos.SecretKey())
	dir := filepath.ToSlash(t.TempDir())
	if runtime.GOOS == "windows" {
		dir = "/" + dir
	}
	for url, name := range map[string]string{
		"mem://":                          "mem://",
		"file://" + dir + "/s?versions=2": "file://" + dir + "/s",
		"cos://" + cos.Bucket() + "?region=" + cos.Region() + "&endpoint=" + cos.URL(): "cos://" + cos.Bucket(),
	} {
		store, err := vaulturl.OpenStore(t.Context(), url, nil)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if store.Name != name {
			t.Errorf("%s is called %s, want %s", url, store.Name, name)
		}
		v, err := vault.New(store, "acme", []envelope.KeySource{kek.InsecureFixed()}, nil)
		if err == nil {
			_, err = v.Put(t.Context(), "openai", strings.NewReader("sk-1"), nil)
		}
		if err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := vaulturl.OpenStore(t.Context(), "file://"+dir+"/absent", &vaulturl.Options{MustExist: true}); !errors.Is(err, memfs.ErrNoStore) {
		t.Errorf("a store that must exist: %v, want ErrNoStore", err)
	}
}

// TestRefusedWithoutOptions: a source that needs the environment is rejected if Options.Getenv
// is nil.
func TestRefusedWithoutOptions(t *testing.T) {
	if _, err := vaulturl.OpenIdentity(t.Context(), "env:TOKEN", nil); !errors.Is(err, federation.ErrInvalidSource) {
		t.Errorf("env: without Getenv: %v, want ErrInvalidSource", err)
	}
	getenv := func(name string) string { return map[string]string{"TOKEN": "x"}[name] }
	if _, err := vaulturl.OpenIdentity(t.Context(), "env:TOKEN", &vaulturl.Options{Getenv: getenv}); err != nil {
		t.Errorf("env: with Getenv: %v", err)
	}
	if _, err := vaulturl.OpenIdentity(t.Context(), "file:"+filepath.Join(t.TempDir(), "token"), nil); err != nil {
		t.Errorf("file: %v", err)
	}
}

// TestOpenKeySource opens a root key; a missing file is an error.
func TestOpenKeySource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	url := "local://" + filepath.ToSlash(path)
	if runtime.GOOS == "windows" {
		url = "local:///" + filepath.ToSlash(path)
	}
	if _, err := vaulturl.OpenKeySource(t.Context(), url, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v, want ErrNotExist", err)
	}
	if _, _, err := kek.CreateFile(path); err != nil {
		t.Fatal(err)
	}
	if key, err := vaulturl.OpenKeySource(t.Context(), url, nil); err != nil || key == nil {
		t.Errorf("%v, %v", key, err)
	}
	for _, url := range []string{"", "local:", "local://", "local://host/x", "local:x", "vault:///x", "local:///x?y", "local:///x#y"} {
		if _, err := vaulturl.OpenKeySource(t.Context(), url, nil); !errors.Is(err, vault.ErrConfig) {
			t.Errorf("%q: %v, want ErrConfig", url, err)
		}
	}
}

// TestAudience: in the China partition tokens for either audience are accepted, elsewhere for
// one.
func TestAudience(t *testing.T) {
	for _, tc := range []struct {
		url, env string
		audience string
		others   int
	}{
		{"s3://b?region=r&role=arn:aws:iam::1:role/v", "", "sts.amazonaws.com", 0},
		{"s3://b?region=cn-north-1&role=arn:aws-cn:iam::1:role/v", "", "sts.amazonaws.com", 1},
		{"s3://b?region=cn-north-1&role=arn:aws-cn:iam::1:role/v&audience=mine", "", "mine", 0},
		{"s3://b?role=arn:aws:iam::1:role/v&endpoint=https://e", "", "", 0},
		{"s3://b?role=arn:aws:iam::1:role/v", "https://e", "", 0}, // the same endpoint from the environment
		{"s3://b?region=r&role=arn:aws:iam::1:role/v", "https://sts.eu-central-1.amazonaws.com", "sts.amazonaws.com", 0},
	} {
		getenv := func(name string) string { return map[string]string{"AWS_ENDPOINT_URL": tc.env}[name] }
		l, err := vaulturl.ParseStore(tc.url, &vaulturl.Options{Getenv: getenv})
		if err != nil {
			t.Errorf("%s: %v", tc.url, err)
			continue
		}
		if l.Audience != tc.audience || len(l.OtherAudiences) != tc.others {
			t.Errorf("%s with %q: audience %q and %q", tc.url, tc.env, l.Audience, l.OtherAudiences)
		}
		claims := federation.Claims{Expires: time.Now().Add(time.Hour), Audience: []string{"sts.amazonaws.com.cn"}}
		err = federation.Expectation{Audience: l.Audience, OtherAudiences: l.OtherAudiences}.Check(claims, time.Now())
		if accepted := err == nil; accepted != (tc.others == 1 || tc.audience == "") {
			t.Errorf("%s: a token for China: %v", tc.url, err)
		}
	}
}
