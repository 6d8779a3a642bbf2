// Package objectvault_test contains the tests of the repository as a whole: which package may
// import which, and whether README.md is correct.
package objectvault_test

import (
	"encoding/json"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/objectvault/objectvault"

// A goPackage is the output of go list -json for a package.
type goPackage struct {
	ImportPath string
	Name       string
	Standard   bool
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

func goList(t *testing.T, args ...string) []goPackage {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Name,Standard,Imports,Deps,Module"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// An importRule forbids packages to depend on others, directly or indirectly.
type importRule struct {
	from   []string // directories of this module, as in "./vault"; nil means all
	except []string // directories to which the rule does not apply
	to     []string // directories of this module, or import paths of other packages
	reason string
}

// importRules is the layering: cmd → vaulturl → providers → vault → envelope.
var importRules = []importRule{
	{nil, []string{"./cmd"}, []string{"./cmd"}, "only commands import packages below cmd"},
	{nil, []string{"./cmd", "./providers", "./vaulturl"}, []string{"./providers"}, "only the commands and vaulturl import providers"},
	{nil, []string{"./cmd"}, []string{"./vaulturl"}, "vaulturl is for programs"},
	{[]string{"./cmd/vault/internal/argv", "./cmd/vault/internal/envfile", "./cmd/vault/internal/usage"}, nil, []string{"./vault", "gocloud.dev", "github.com/aws", "github.com/tencentyun"}, "a fuzz target compiles all its dependencies with instrumentation"},
	{[]string{"./providers"}, nil, []string{"./policy"}, "adapters return raw settings; the doctor judges them"},
	{[]string{"./providers/aws"}, nil, []string{"./providers/tencent", "./providers/memfs"}, "providers do not import each other"},
	{[]string{"./providers/tencent"}, nil, []string{"./providers/aws", "./providers/memfs"}, "providers do not import each other"},
	{[]string{"./providers/memfs"}, nil, []string{"./providers/aws", "./providers/tencent"}, "providers do not import each other"},
	{nil, []string{"./cmd/vault", "./internal/oldserver"}, []string{"modernc.org"}, "only the migration reads SQLite"},
	{[]string{"./internal/oldserver"}, nil, []string{"./vault", "./envelope", "./agentkeys"}, "what stands for agentKeys shares nothing with what replaces it"},
	{nil, []string{"./conformance"}, []string{"testing"}, "only conformance and tests reach package testing"},
	{[]string{"./envelope"}, nil, []string{"./vault", "./federation", "./policy", "./internal"}, "the format does not depend on the vault"},
	{[]string{"./vault", "./conformance"}, nil, []string{"github.com/aws", "github.com/tencentyun", "github.com/urfave", "gocloud.dev/blob/s3blob", "./federation", "./policy", "./cosblob", "./costest"}, "the core depends on no cloud and no command line"},
	{[]string{"./vault"}, []string{"./vault/spool"}, []string{"./vault/spool"}, "the core declares the interface of a spool; package spool implements it"},
	{[]string{"./vault"}, []string{"./vault/seen"}, []string{"./vault/seen"}, "the core declares the interface of a log of seen revisions; package seen implements it"},
	{[]string{"./agentkeys"}, nil, []string{"./vault", "./federation", "./policy", "./internal", "./providers", "github.com/aws", "github.com/tencentyun"}, "the formats of agentKeys are useful without a vault"},
	{[]string{"./cosblob", "./costest", "./federation", "./policy"}, nil, []string{"./vault", "./envelope", "./conformance", "./vaulturl"}, "useful without a vault"},
	{[]string{"./audit"}, nil, []string{"github.com/aws", "github.com/tencentyun", "github.com/urfave", "./providers", "./federation", "./policy", "./cosblob", "./costest"}, "the logs of a cloud are read without its SDK"},
	{[]string{"./costest"}, nil, []string{"./cosblob", "github.com/tencentyun", "./federation", "./internal/tc3"}, "the test server shares nothing with the clients that it judges"},
	{[]string{"./internal/fault"}, nil, []string{"./vault", "./envelope", "./costest", "./internal/testcloud", "github.com/aws", "golang.org/x"}, "costest imports it: standard library only"},
	{[]string{"./federation"}, nil, []string{"gocloud.dev", "github.com/aws", "github.com/tencentyun", "./cosblob", "./policy", "./internal"}, "standard library only"},
}

// TestImports checks the packages against importRules, and the modules of the format and of the key
// sources against formatModules and kekModules.
func TestImports(t *testing.T) {
	modules := make(map[string]string) // of each package that this module depends on
	for _, p := range goList(t, "-deps", "./...") {
		switch {
		case p.Standard:
			modules[p.ImportPath] = "std"
		case p.Module != nil:
			modules[p.ImportPath] = p.Module.Path
		}
	}
	ours := goList(t, "./...")
	if len(ours) < 5 {
		t.Fatalf("go list found only %d packages", len(ours))
	}
	// A rule about a directory that does not exist would always pass.
	for _, r := range importRules {
		for _, dir := range slices.Concat(r.from, r.except, r.to) {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(modules)), func(p string) bool { return under(p, dir) }) {
				t.Errorf("the rule %q names %s, which contains no package", r.reason, dir)
			}
		}
	}
	for _, p := range ours {
		if slices.Contains([]string{"util", "utils", "common", "helpers", "types"}, p.Name) {
			t.Errorf("%s: a package is named for its subject, not %s", p.ImportPath, p.Name)
		}
		for _, dep := range p.Deps {
			if under(dep, stdOnly...) && under(p.ImportPath, "./envelope/kek", "./federation") {
				continue // these import the standard library only, see below
			}
			for _, r := range importRules {
				if (r.from == nil || under(p.ImportPath, r.from...)) && !under(p.ImportPath, r.except...) && under(dep, r.to...) {
					t.Errorf("%s depends on %s: %s", p.ImportPath, dep, r.reason)
				}
			}
			if under(p.ImportPath, "./envelope") && !slices.Contains(formatModules, modules[dep]) && !slices.Contains(kekModules[strings.TrimPrefix(p.ImportPath, module+"/")], modules[dep]) {
				t.Errorf("%s depends on %s: the format needs only Tink and the standard library", p.ImportPath, dep)
			}
			if under(p.ImportPath, stdOnly...) && !under(dep, stdOnly...) && modules[dep] != "std" {
				t.Errorf("%s depends on %s: it needs only the standard library", p.ImportPath, dep)
			}
		}
		for _, dep := range p.Imports {
			if under(dep, "./providers") && !under(p.ImportPath, "./vaulturl") {
				t.Errorf("%s imports %s: only vaulturl opens every provider", p.ImportPath, dep)
			}
		}
		if p.ImportPath == module+"/conformance/probe" && slices.Contains(p.Imports, "testing") {
			t.Errorf("%s imports testing: the command runs these checks too", p.ImportPath)
		}
	}
}

// formatModules are the modules that package envelope may import.
var formatModules = []string{"std", module, "github.com/tink-crypto/tink-go/v2", "google.golang.org/protobuf", "golang.org/x/crypto", "golang.org/x/sys"}

// kekModules are the further modules of the key sources, each in a package of its own.
var kekModules = map[string][]string{
	"envelope/kek/recovery":                         {"github.com/cloudflare/circl", "github.com/bwesterb/go-ristretto"},
	"envelope/kek/keyring":                          {"github.com/zalando/go-keyring", "github.com/godbus/dbus/v5", "github.com/danieljoos/wincred", "golang.org/x/sys"},
	"envelope/kek/passphrase":                       {"golang.org/x/text"},
	"envelope/kek/signer":                           {"github.com/decred/dcrd/dcrec/secp256k1/v4"},
	"envelope/kek/signer/signertest":                {"github.com/decred/dcrd/dcrec/secp256k1/v4"},
	"envelope/kek/signer/signertest/cmd/signertest": {"github.com/decred/dcrd/dcrec/secp256k1/v4"},
	"envelope/kek/kms/awskms": {
		"github.com/aws/aws-sdk-go-v2", "github.com/aws/aws-sdk-go-v2/credentials", "github.com/aws/aws-sdk-go-v2/internal/configsources",
		"github.com/aws/aws-sdk-go-v2/internal/endpoints/v2", "github.com/aws/aws-sdk-go-v2/service/kms", "github.com/aws/smithy-go",
	},
	"envelope/kek/kms/internal/keeper": secretsModules,
	"envelope/kek/kms/hashivault": slices.Concat(secretsModules, []string{
		"github.com/cenkalti/backoff/v4",
		"github.com/go-jose/go-jose/v4",
		"github.com/hashicorp/errwrap",
		"github.com/hashicorp/go-cleanhttp",
		"github.com/hashicorp/go-multierror",
		"github.com/hashicorp/go-retryablehttp",
		"github.com/hashicorp/go-rootcerts",
		"github.com/hashicorp/go-secure-stdlib/parseutil",
		"github.com/hashicorp/go-secure-stdlib/strutil",
		"github.com/hashicorp/go-sockaddr",
		"github.com/hashicorp/hcl",
		"github.com/hashicorp/vault/api",
		"github.com/mitchellh/mapstructure",
		"github.com/ryanuber/go-glob",
		"gocloud.dev/secrets/hashivault",
		"golang.org/x/time",
	}),
}

// secretsModules are what package gocloud.dev/secrets needs.
var secretsModules = []string{
	"github.com/cespare/xxhash/v2",
	"github.com/go-logr/logr",
	"github.com/go-logr/stdr",
	"github.com/google/uuid",
	"github.com/googleapis/gax-go/v2",
	"go.opentelemetry.io/auto/sdk",
	"go.opentelemetry.io/otel",
	"go.opentelemetry.io/otel/metric",
	"go.opentelemetry.io/otel/sdk",
	"go.opentelemetry.io/otel/sdk/metric",
	"go.opentelemetry.io/otel/trace",
	"gocloud.dev",
	"golang.org/x/net",
	"golang.org/x/text",
	"golang.org/x/xerrors",
	"google.golang.org/api",
	"google.golang.org/genproto/googleapis/rpc",
	"google.golang.org/grpc",
}

// stdOnly are packages that the format and package federation may import: they depend only on the
// standard library and on each other.
var stdOnly = []string{"./internal/command", "./internal/durable", "./internal/loopback", "./internal/tc3", "./internal/text", "./internal/transport"}

// under reports whether the import path is one of dirs, or below it.
func under(importPath string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool {
		if below, ok := strings.CutPrefix(dir, "./"); ok {
			dir = module + "/" + below
		}
		return importPath == dir || strings.HasPrefix(importPath, dir+"/")
	})
}
