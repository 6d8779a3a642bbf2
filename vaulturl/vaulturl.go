// Package vaulturl opens stores, key sources and identities by URL. The command `vault` accepts
// the same URLs:
//
//	s3://BUCKET?region= endpoint= path_style= insecure=true parallel= checksum= sse= kms_key=
//	            role= session= duration= sts_endpoint= audience= tag=
//	cos://BUCKET-APPID?region= endpoint= insecure=true parallel=
//	            role= provider= session= duration= sts_endpoint= audience=
//	file:///DIR?versions=N
//	mem://
//	local:///FILE, env:VAR, fd:N, exec:COMMAND, keyring:NAME,
//	passphrase:, signer+https://HOST?omni=HEX,
//	awskms://ARN, tencentkms://REGION/ID, hashivault://KEY              a key source
//	file:PATH, env:VAR, exec:COMMAND, broker+https://HOST, github:      an identity
//
// A program opens a store and a key source, and passes them to [vault.New]:
//
//	store, err := vaulturl.OpenStore(ctx, "s3://vault?region=eu-central-1&role=arn:aws:iam::1:role/agents",
//		&vaulturl.Options{Identity: "file:/run/token", Tenant: "0xabc"})
//	key, err := vaulturl.OpenKeySource(ctx, "local:///etc/vault/root.key", nil)
//	v, err := vault.New(store, "0xabc", []envelope.KeySource{key}, nil)
//
// Most parameters of a store's URL set the field with the same name in the Config or the Role of
// the provider: aws.Config and aws.Role, tencent.Config and tencent.Role, or memfs.Config. The
// parameter role sets the ARN of the Role. The parameters audience and tag set [Location].Audience
// and [Location].TagKeys. docs/aws.md and docs/tencent.md of this module describe the parameters
// for the clouds.
//
// The package imports every provider and thus the SDKs of all clouds. If the size of the binary
// matters, import one provider directly.
//
// An error about a URL wraps [vault.ErrConfig]. It does not repeat the URL, which may contain a
// password.
package vaulturl

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/seen"
	"github.com/objectvault/objectvault/vault/spool"
)

// Options contains the settings of this package that are not part of a URL. Nil, or the zero value,
// is ready to use.
type Options struct {
	// Identity is the source of tokens for a store with role=. If it is empty, OpenStore cannot
	// open such a store. A COS store without role= in a pod of Tencent Kubernetes Engine (TKE)
	// needs no Identity: see [Location].Identity.
	Identity string
	// Credentials are the exchanged credentials of a store, from [OpenCredentials]. OpenStore uses
	// them instead of Identity, and OpenKeySource uses them for a key of AWS or Tencent.
	Credentials *federation.Provider
	// Tenant is the expected tenant of the token. A token of another tenant is rejected before it
	// is sent. Empty means any tenant.
	Tenant vault.Tenant
	// Timeout is how long a connection may be silent, and how long to wait for a file lock. 0 means
	// 30 seconds.
	Timeout time.Duration
	// MustExist makes OpenStore fail with [ErrNoStore] instead of creating a file:// store.
	MustExist bool
	// Deferred makes OpenStore send no request: the Store is opened before its first request, as
	// [vault.Deferred] describes. A program with a spool sets it, so that it can start, and save
	// values, while the cloud cannot be reached.
	Deferred bool
	// Unsynced, if not nil, is called with the directory of a file:// store whose file system
	// cannot sync directories. It is called once, at the first write: see [memfs.Config].
	Unsynced func(dir string)
	// Getenv returns an environment variable; usually it is [os.Getenv]. This package uses Getenv
	// for the identities env: and github:, for AWS_ENDPOINT_URL, and for the variables of a TKE
	// pod. If Getenv is nil, env: and github: are rejected, and the other variables are ignored.
	// The SDKs of the clouds do not use Getenv; they read the environment themselves.
	Getenv func(name string) string
	// VaultID is the VaultID of the Vault. If VaultID or Tenant is set, each vault and tenant can have
	// a separate enrolment of the passphrase, with a separate salt.
	VaultID string
	// Records is the directory of the enrolments of key sources: see [EnrolKeySource]. If it is
	// empty, sources that must be enrolled open objects, and seal none.
	Records string
	// KeepKeys is how long the keys of a signer stay in memory. The parameter keep= of the signer's
	// URL overrides it. 0 means until the call is complete. Batches set it, so that each object
	// needs one signature.
	KeepKeys time.Duration
	// Warn is called with a problem that is no failure, such as a changed key version of a signer. It
	// may be nil.
	Warn func(error)
	// Prompt asks the user for a secret. If it is nil, key sources that need a prompt are rejected.
	Prompt func(ctx context.Context, text string) (string, error)
	// Now reports the time; nil means [time.Now].
	Now func() time.Time
}

// ErrNoStore means that [Options].MustExist is set and the directory of a file:// URL contains no
// store. The error also wraps [vault.ErrUnavailable].
var ErrNoStore = memfs.ErrNoStore

// A URLError describes an invalid URL. It wraps [vault.ErrConfig].
type URLError struct {
	Problem string // does not repeat the URL
	Advice  string // how to correct the URL; may be empty
}

func (e *URLError) Error() string { return e.Problem }

// Unwrap returns [vault.ErrConfig].
func (e *URLError) Unwrap() error { return vault.ErrConfig }

// OpenStore opens the store at a URL. The caller must close it with [vault.Store].Close.
func OpenStore(ctx context.Context, storeURL string, o *Options) (*vault.Store, error) {
	l, err := ParseStore(storeURL, o)
	if err != nil {
		return nil, err
	}
	open := l.Open
	if o.orZero().Deferred {
		open = func(_ context.Context, p *federation.Provider) (*vault.Store, error) {
			name := l.Scheme + "://" + l.Bucket + filepath.ToSlash(l.Dir)
			return vault.Deferred(name, func(ctx context.Context) (*vault.Store, error) { return l.Open(ctx, p) }), nil
		}
	}
	credentials, err := l.credentials(ctx, o.orZero())
	if err != nil {
		return nil, err
	}
	return open(ctx, credentials)
}

// OpenCredentials returns the provider of the credentials with which OpenStore opens the store at a
// URL: pass it in [Options].Credentials, so that a store and a key of the same cloud share them. It
// sends no request. It returns nil if the URL has no role.
func OpenCredentials(ctx context.Context, storeURL string, o *Options) (*federation.Provider, error) {
	l, err := ParseStore(storeURL, o)
	if err != nil {
		return nil, err
	}
	return l.credentials(ctx, o.orZero())
}

func (l *Location) credentials(ctx context.Context, o *Options) (*federation.Provider, error) {
	identity := o.Identity
	switch {
	case l.Role == "" && identity != "":
		return nil, &URLError{"an identity is set, but the URL of the store has no role", l.roleAdvice()}
	case l.Role == "":
		return nil, nil
	case o.Credentials != nil:
		return o.Credentials, nil
	case identity == "":
		identity = l.Identity
	}
	if identity == "" {
		return nil, &URLError{"the URL of the store has a role, but there is no identity to assume it", "set the identity to the source of a token, such as file:/run/token"}
	}
	source, err := l.Source(identity)
	if err != nil {
		return nil, err
	}
	exchange, err := l.Exchanger(ctx)
	if err != nil {
		return nil, err
	}
	return federation.NewProvider(source, exchange, &federation.Options{
		Expect: federation.Expectation{Audience: l.Audience, OtherAudiences: l.OtherAudiences, Tenant: string(o.Tenant), TagKeys: l.TagKeys},
		Now:    o.Now, Timeout: o.Timeout,
	}), nil
}

// OpenSpool returns the spool of the store at a URL. The caller sets the Dir of c, the directory of
// the spools of all stores. OpenSpool replaces the Store of c. It sends no request and creates no
// file.
func OpenSpool(storeURL string, c spool.Config, o *Options) (*spool.Spool, error) {
	l, err := ParseStore(storeURL, o)
	if err != nil {
		return nil, err
	}
	c.Store = l.SpoolID()
	return spool.Open(c)
}

// OpenSeen opens the [seen.Log] of the store at a URL. The caller sets the Dir of c, the directory
// of the logs of all stores. OpenSeen replaces the Store of c. It sends no request and creates no
// file.
func OpenSeen(storeURL string, c seen.Config, o *Options) (*seen.Log, error) {
	l, err := ParseStore(storeURL, o)
	if err != nil {
		return nil, err
	}
	c.Store = l.SpoolID()
	return seen.Open(c)
}

// OpenIdentity opens a source of tokens: file:PATH, env:VAR, exec:COMMAND, broker+https://HOST or
// github:AUDIENCE. If spec is invalid, the error wraps [federation.ErrInvalidSource]. For github:
// without an audience, GitHub chooses the audience of the token. [Location.Source] requests the
// audience of the store instead.
func OpenIdentity(_ context.Context, spec string, o *Options) (federation.Source, error) {
	return parseSource(spec, "", o.orZero())
}

func parseSource(spec, audience string, o *Options) (federation.Source, error) {
	getenv := o.Getenv
	if getenv == nil {
		if scheme, _, _ := strings.Cut(spec, ":"); scheme == "env" || scheme == "github" {
			return nil, fmt.Errorf("%w: %s: requires environment variables, but Options.Getenv is nil", federation.ErrInvalidSource, scheme)
		}
		getenv = func(string) string { return "" }
	}
	return federation.ParseSource(spec, &federation.SourceOptions{Getenv: getenv, Audience: audience, Timeout: o.Timeout})
}

func (o *Options) orZero() *Options {
	if o == nil {
		return &Options{}
	}
	return o
}

func (o *Options) timeout() time.Duration {
	if o.Timeout <= 0 {
		return 30 * time.Second
	}
	return o.Timeout
}

func (o *Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// localPath returns the path of a file:// or local:// URL.
func localPath(path string) (string, error) {
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, "/") // /C:/dir
	}
	path = filepath.FromSlash(path)
	if !filepath.IsAbs(path) {
		return "", errors.New("not an absolute path")
	}
	return filepath.Clean(path), nil
}
