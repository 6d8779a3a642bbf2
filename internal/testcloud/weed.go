package testcloud

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// WeedVersion is the version of SeaweedFS that is installed. The tests know the deviations of this
// version from AWS, but not those of other versions.
const WeedVersion = "4.53"

// WeedAccount is the account that owns the roles and the issuer of a [Weed].
const WeedAccount = "123456789012"

// WeedIssuer is a name for the issuer of a [Weed] that AWS would accept: https without a port.
const WeedIssuer = "https://issuer.example"

// weedPackage is built in a module with [weedModule] and [weedSums], because go install does not
// accept the replace directive in the go.mod of SeaweedFS.
const weedPackage = "github.com/seaweedfs/seaweedfs/weed"

var (
	//go:embed weed.mod
	weedModule []byte
	//go:embed weed.sum
	weedSums []byte
)

// A Weed is a running SeaweedFS: S3 with versioning and conditional writes, IAM, and an STS whose
// policies support ${aws:PrincipalTag/KEY} in a resource. The caller must call Stop.
type Weed struct {
	URL    string         // http://127.0.0.1:port
	TLSURL string         // https://127.0.0.1:port, for the same server
	CA     *x509.CertPool // the certificate of TLSURL
	CAFile string         // the same certificate in a PEM file
	Region string

	// Owner and Other are two users. Owner has all permissions, Other has none.
	Owner, Other Keys

	Version string // for example 4.53

	// Issuer is the issuer that the server trusts, or nil.
	Issuer *Issuer

	group     *group
	dir       *dir
	ownIssuer *Issuer  // Stop closes it
	sockets   []string // socket files that the server does not remove
}

// WeedOptions configures [StartWeed]. Nil, or the zero value, is ready to use.
type WeedOptions struct {
	// Issuer is the issuer that the server trusts, with the name [Issuer.Name] and [Audience]. Nil
	// means none. Tags are the session tags that it may set, by default [WalletTag]. The server
	// reads both from a file when it starts. Its IAM API can add an issuer but cannot allow tags,
	// and without allowed tags the server ignores all tags.
	Issuer *Issuer
	Tags   []string

	// AuditLog is the host:port of a server to which the audit log is sent: JSON lists with a tag, a time
	// and a record, over TCP, as Fluentd receives them. "" means no audit log.
	AuditLog string

	// Dir is the directory for data and logs. It must be empty or absent, and Stop keeps it. ""
	// means a temporary directory, which Stop removes.
	Dir string

	// Log receives the name and the duration of each step of the start. Nil means no log.
	Log io.Writer
}

// StartWeed starts a server with an empty store. ctx limits only the start. After an error no
// process runs, and no temporary directory remains. StartWeed does not install SeaweedFS; see
// [InstallWeed].
func StartWeed(ctx context.Context, o *WeedOptions) (*Weed, error) {
	if o == nil {
		o = new(WeedOptions)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, fmt.Errorf("seaweedfs does not respond after %v", startWithin))
	defer cancel()
	path, err := weedPath()
	if err != nil {
		return nil, err
	}
	return onFreePorts(o.Dir, func() (*Weed, error) { return startWeed(ctx, path, o) })
}

func startWeed(ctx context.Context, path string, o *WeedOptions) (_ *Weed, err error) {
	step := steps(o.Log)
	d, g, err := newHost(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	w := &Weed{Region: Region, Owner: newKeys("owner"), Other: newKeys("other"), Issuer: o.Issuer, group: g, dir: d}
	defer func() {
		if err != nil {
			w.Stop()
		}
	}()
	if w.Version, err = weedVersion(ctx, path); err != nil {
		return nil, err
	}
	w.CAFile = filepath.Join(d.path, "cert.pem")
	keyFile := filepath.Join(d.path, "key.pem")
	if w.CA, err = writeCertificate(w.CAFile, keyFile); err != nil {
		return nil, err
	}
	data, logs, users, access := filepath.Join(d.path, "data"), filepath.Join(d.path, "log"), filepath.Join(d.path, "users.json"), filepath.Join(d.path, "iam.json")
	for _, dir := range []string{data, logs} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(os.WriteFile(users, w.users(), 0o600), os.WriteFile(access, w.access(o.Tags), 0o600)); err != nil {
		return nil, err
	}

	next := g.ports.first
	port := func(name string) string {
		if of, ok := strings.CutSuffix(name, ".port.grpc"); ok { // no option sets their path
			w.sockets = append(w.sockets, fmt.Sprintf("/tmp/seaweedfs-%s-grpc-%d.sock", of, next))
		}
		next++
		return fmt.Sprintf("-%s=%d", name, next-1)
	}
	socket := func(name string) string { return "-" + name + ".localSocket=" + filepath.Join(d.path, name+".sock") }
	w.URL, w.TLSURL = fmt.Sprintf("http://127.0.0.1:%d", next), fmt.Sprintf("https://127.0.0.1:%d", next+1)
	cmd := exec.Command(path, "-logdir="+logs, "server", "-dir="+data, "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
		"-s3", port("s3.port"), port("s3.port.https"), port("s3.port.grpc"), port("master.port"), port("master.port.grpc"),
		port("volume.port"), port("volume.port.grpc"), port("filer.port"), port("filer.port.grpc"),
		"-s3.port.iceberg=0", "-s3.port.lance=0", socket("s3"), socket("filer"),
		"-s3.cert.file="+w.CAFile, "-s3.key.file="+keyFile, "-s3.config="+users, "-s3.iam.config="+access, "-s3.iam.readOnly=false",
		"-s3.allowBackslashInKey", "-s3.allowDeleteBucketNotEmpty", "-s3.autoCreateBucket=false",
		// By default, the server sends statistics to its developers.
		"-master.telemetry=false",
		// Each bucket has separate volumes, which use no space until they are written.
		"-master.volumeSizeLimitMB=64", "-volume.max=10000", "-volume.minFreeSpace=1", "-volume.preStopSeconds=0",
	)
	cmd.Env = []string{
		"WEED_MASTER_VOLUME_GROWTH_COPY_1=1", "GOMEMLIMIT=512MiB",
		// The server stores the versions of an object in a directory with a longer name than the
		// object. The last segment of a key may have 255 bytes, so the limit must be higher.
		"WEED_FILER_OPTIONS_MAX_FILE_NAME_LENGTH=1024",
	}
	if o.AuditLog != "" {
		config := filepath.Join(d.path, "fluent.json")
		host, port, err := net.SplitHostPort(o.AuditLog)
		if err != nil {
			return nil, err
		}
		text := fmt.Sprintf(`{"fluent_host": %q, "fluent_port": %s, "marshal_as_json": true}`, host, port)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return nil, err
		}
		cmd.Args = append(cmd.Args, "-s3.auditLogConfig="+config)
	}
	if err := g.start("seaweedfs", cmd); err != nil {
		return nil, err
	}
	ctx, cancel := g.within(ctx)
	defer cancel()
	if err := waitForResponse(ctx, w.URL); err != nil {
		return nil, err
	}
	step("first response")
	if err := w.writable(ctx); err != nil {
		return nil, g.reasonOr(err)
	}
	step("ready")
	return w, nil
}

// writable waits until the server accepts an object from its owner, because it responds before it
// has found its volumes. If the server knows the owner's keys, it is the one that was started here.
func (w *Weed) writable(ctx context.Context) error {
	client, bucket, key := S3Client(w.URL, w.Owner, func(o *s3.Options) { o.RetryMaxAttempts = 1 }), "ready", "ready"
	var last error
	made := false
	err := poll(ctx, func() (bool, error) {
		if !made {
			_, last = client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket})
			made = last == nil
		}
		if made {
			_, last = client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(key)})
		}
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("seaweedfs accepts no object: %w: %w", err, last)
	}
	RemoveBucket(w.URL, w.Owner, bucket)
	return nil
}

// users returns the file with the users and their keys.
func (w *Weed) users() []byte {
	type key struct {
		AccessKey string `json:"accessKey"`
		SecretKey string `json:"secretKey"`
	}
	type user struct {
		Name    string   `json:"name"`
		Keys    []key    `json:"credentials"`
		Actions []string `json:"actions"`
	}
	one := func(k Keys, actions ...string) user {
		return user{k.AccessKeyID, []key{{k.AccessKeyID, k.SecretKey}}, actions}
	}
	return marshal(map[string]any{"identities": []user{one(w.Owner, "Admin", "Read", "Write", "List", "Tagging"), one(w.Other)}})
}

// access returns the configuration of STS, with the issuer that it trusts.
func (w *Weed) access(tags []string) []byte {
	if len(tags) == 0 {
		tags = []string{WalletTag}
	}
	config := map[string]any{
		"sts": map[string]any{
			"tokenDuration": "1h", "maxSessionLength": "12h", "issuer": "seaweedfs", "accountId": WeedAccount,
			"signingKey": []byte(rand.Text() + rand.Text()),
		},
		"policy": map[string]any{"defaultEffect": "Deny", "storeType": "memory"},
	}
	if w.Issuer != nil {
		config["sts"].(map[string]any)["providers"] = []any{map[string]any{
			// Trust policies contain this name of the provider.
			"name": w.ProviderARN(), "type": "oidc", "enabled": true,
			"config": map[string]any{
				"issuer": w.Issuer.Name, "jwksUri": w.Issuer.URL + jwksPath, "clientId": Audience, "allowedPrincipalTagKeys": tags,
			},
		}}
	}
	return marshal(config)
}

// ProviderARN returns the ARN of the issuer for trust policies.
func (w *Weed) ProviderARN() string {
	_, host, _ := strings.Cut(w.Issuer.Name, "://")
	return "arn:aws:iam::" + WeedAccount + ":oidc-provider/" + host
}

// CreateRole creates a role with a trust policy and one policy, and returns its ARN. SeaweedFS has
// no inline policies, so the policy is a managed policy with the name of the role.
func (w *Weed) CreateRole(ctx context.Context, name, trustPolicy, policy string) (arn string, err error) {
	client := w.IAM()
	role, err := client.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trustPolicy})
	if err != nil {
		return "", fmt.Errorf("create role %s: %w", name, err)
	}
	made, err := client.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: &policy})
	if err != nil {
		return "", fmt.Errorf("create policy %s: %w", name, err)
	}
	if _, err := client.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &name, PolicyArn: made.Policy.Arn}); err != nil {
		return "", fmt.Errorf("attach policy %s: %w", name, err)
	}
	return aws.ToString(role.Role.Arn), nil
}

// Stop ends the server, waits for it, and removes a temporary directory. A second Stop does
// nothing.
func (w *Weed) Stop() error {
	err := stop(w.group, w.dir)
	for _, path := range w.sockets {
		os.Remove(path)
	}
	if w.ownIssuer != nil {
		err = errors.Join(err, w.ownIssuer.Close())
	}
	return err
}

// PIDs returns the process id of the server.
func (w *Weed) PIDs() []int { return w.group.pids() }

// InstallWeed builds SeaweedFS into the user's cache directory, unless it is already there. This
// takes 5 to 15 minutes on one processor. For log, see [InstallRGW].
func InstallWeed(ctx context.Context, log io.Writer) error {
	return install(ctx, log, func() error { _, err := weedPath(); return err }, func() error {
		path, err := weedPlace()
		if err != nil {
			return err
		}
		announce(log, "installing SeaweedFS %s with go build, 5 to 15 minutes of one processor: about 500 MB of modules to download and one file of 165 MB, %s", WeedVersion, path)
		// The program is built in another directory and renamed, so a build that was killed leaves
		// no program.
		tmp, err := os.MkdirTemp(filepath.Dir(path), "build-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		if err := errors.Join(os.WriteFile(filepath.Join(tmp, "go.mod"), weedModule, 0o600), os.WriteFile(filepath.Join(tmp, "go.sum"), weedSums, 0o600)); err != nil {
			return err
		}
		program := filepath.Join(tmp, "weed")
		env := []string{"GOFLAGS=-mod=readonly", "GOWORK=off", "GOOS=", "GOARCH=", "CGO_ENABLED=0"}
		if err := tool(ctx, log, toolGrace, env, "go", "-C", tmp, "build", "-p=2", "-trimpath", "-ldflags=-s -w", "-o", program, weedPackage); err != nil {
			return err
		}
		return os.Rename(program, path)
	})
}

// weedPlace returns the path at which the pinned version is installed.
func weedPlace() (string, error) {
	cache, err := cacheDir()
	return filepath.Join(cache, "seaweedfs-"+WeedVersion), err
}

// weedPath returns the path of the program, or an error that wraps [ErrNotInstalled].
func weedPath() (string, error) {
	if unsupported != "" {
		return "", fmt.Errorf("%w: %s", ErrNotInstalled, unsupported)
	}
	path, err := weedPlace()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotInstalled, err)
	}
	return path, nil
}

// weedVersion returns the version from the output "version 30GB 4.53 …".
func weedVersion(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return "", fmt.Errorf("%s version: %w", path, err)
	}
	fields := strings.Fields(string(out))
	if len(fields) < 3 {
		return "", fmt.Errorf("%s version: %q", path, out)
	}
	return fields[2], nil
}

// writeCertificate writes a new certificate for 127.0.0.1, and its key.
func writeCertificate(certFile, keyFile string) (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "testcloud"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool, errors.Join(
		os.WriteFile(certFile, cert, 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}
