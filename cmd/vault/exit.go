package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// The exit codes. They are frozen: never renumbered, never used again for anything
// else. No other file has one.
const (
	exitOK              = 0
	exitFailure         = 1
	exitUsage           = 2
	exitPartial         = 3
	exitNotFound        = 10
	exitConflict        = 11
	exitUnknownKey      = 12
	exitDenied          = 13
	exitUnauthenticated = 14
	exitIntegrity       = 15
	exitNotInitialised  = 16
	exitUnreachable     = 20
	exitSpooled         = 75
	exitNotExecutable   = 126
	exitNoCommand       = 127
	exitHungUp          = 129
	exitInterrupted     = 130
	exitTerminated      = 143
)

// exitCodes is what "vault help exit-codes" prints.
var exitCodes = []struct {
	code    int
	kinds   string
	meaning string
}{
	{exitOK, "", "success; what put stored is durable"},
	{exitFailure, "failure, isolation_broken, holes_found, no_space, unsupported, key_file", "any failure that has no code of its own"},
	{exitUsage, "usage", "unknown command or flag, wrong arguments or configuration, invalid name"},
	{exitPartial, "partial", "some of several items failed; with --json each has its own code"},
	{exitNotFound, "not_found", "the name, or the version of it, does not exist"},
	{exitConflict, "exists, conflict", "the name exists, or another writer changed it; nothing was stored"},
	{exitUnknownKey, "unknown_key", "wrong key, or the object has another name, tenant or vault id"},
	{exitDenied, "denied", "the caller is known, but access is denied"},
	{exitUnauthenticated, "unauthenticated", "no credentials, or they are invalid or have expired"},
	{exitIntegrity, "integrity", "the stored bytes were changed, truncated or replaced by older ones"},
	{exitNotInitialised, "not_initialised", "no root key: run vault init"},
	{exitUnreachable, "unreachable, unsure", "the store cannot be reached, or the outcome of a write is unknown"},
	{exitSpooled, "spooled", "saved on this machine, not yet in the store"},
	{exitNotExecutable, "not_executable", "exec: the command cannot be executed"},
	{exitNoCommand, "no_command", "exec: the command was not found"},
	{exitHungUp, "interrupted", "as 130, by SIGHUP: the terminal was closed"},
	{exitInterrupted, "interrupted", "interrupted by ^C or SIGINT; a write in progress may or may not have completed"},
	{exitTerminated, "interrupted", "as 130, by SIGTERM"},
}

// What only the command knows.
var (
	errPartial        = errors.New("partial")
	errNotInitialised = errors.New("no root key")
	errKeyFile        = errors.New("unusable root key file")

	errIsolationBroken = errors.New("ISOLATION BROKEN")
	errHolesFound      = errors.New("weaknesses found")

	errTerminated = errors.New("terminated by a signal")
	errHungUp     = errors.New("the terminal was closed")

	errNoCommand     = errors.New("command not found")
	errNotExecutable = errors.New("the command cannot be executed")
	errTooLarge      = errors.New("too large")
)

// outcomes is how an error gets its code: the first one that it is. What is worse, or
// says more, comes first.
var outcomes = []struct {
	err  error
	code int
	kind string
	hint string
}{
	{errIsolationBroken, exitFailure, "isolation_broken", "store no secrets here until {prog} doctor succeeds; {prog} policy check finds weaknesses in the policies"},
	{errHolesFound, exitFailure, "holes_found", ""},
	{vault.ErrRollback, exitIntegrity, "integrity", "the store returned an older object than before, or the clock of its writer is slow"},
	{envelope.ErrDecrypt, exitIntegrity, "integrity", integrityHint},
	{envelope.ErrFormat, exitIntegrity, "integrity", integrityHint},
	{errPartial, exitPartial, "partial", ""},
	{errNoCommand, exitNoCommand, "no_command", ""},
	{errNotExecutable, exitNotExecutable, "not_executable", ""},
	{errTerminated, exitTerminated, "interrupted", ""},
	{errHungUp, exitHungUp, "interrupted", ""},
	{context.Canceled, exitInterrupted, "interrupted", ""},
	{vault.ErrSpooled, exitSpooled, "spooled", ""},
	{usage.ErrUsage, exitUsage, "usage", ""},
	{config.ErrInvalid, exitUsage, "usage", ""},
	{envelope.ErrUnknownKey, exitUnknownKey, "unknown_key", "compare --keys, --tenant, --collection and --vault-id with those of the writer: at least one differs"},
	{errNotInitialised, exitNotInitialised, "not_initialised", "run {prog} init to create one, or {prog} init --import FILE to copy it from another machine"},
	{errKeyFile, exitFailure, "key_file", ""},
	{vault.ErrUnsure, exitUnreachable, "unsure", "run {prog} stat {name} to check whether it took effect"},
	{vault.ErrUnauthenticated, exitUnauthenticated, "unauthenticated", "get new credentials and try again"},
	{vault.ErrPermission, exitDenied, "denied", "check the scope of the profile, and the permissions of the store or its files"},
	{vault.ErrNoSpace, exitFailure, "no_space", "nothing was changed; free some space and try again"},
	{vault.ErrConflict, exitConflict, "conflict", "another writer changed it: check {prog} stat {name}, then try again"},
	{vault.ErrExist, exitConflict, "exists", ""},
	{vault.ErrNotFound, exitNotFound, "not_found", "{prog} ls lists the existing names"},
	{vault.ErrUnsupported, exitFailure, "unsupported", ""},
	{vault.ErrInvalidName, exitUsage, "usage", ""},
	{vault.ErrConfig, exitUsage, "usage", ""},
	{envelope.ErrInvalid, exitUsage, "usage", "use at most 4096 bytes of UTF-8 and 64 labels"},
	{vault.ErrRefused, exitFailure, "failure", "look up the code in the documentation of the store; the same request will be refused again"},
	{vault.ErrTooLarge, exitFailure, "failure", ""},
	{vault.ErrBusy, exitUnreachable, "unreachable", "wait until the other program has ended, then try again"},
	{vault.ErrUnavailable, exitUnreachable, "unreachable", "check that the store can be reached, then try again"},
	{context.DeadlineExceeded, exitUnreachable, "unreachable", "increase --deadline, or check the connection to the store"},
}

// reasonHints is what to do about a failure whose reason the provider or the key source knows.
// The clouds differ in some: aws and tencent stand in for any where they are not empty.
// {detail} is the Detail of the cause; a hint that needs one gives way to fallback where
// there is none.
var reasonHints = map[vault.Reason]struct{ any, aws, tencent, fallback string }{
	vault.AccessDenied: {
		aws:     "check that --tenant is the token's tenant ({prog} whoami), and check the policies ({prog} policy check)",
		tencent: "check that --tenant is the role's tenant ({prog} whoami), and check the policies ({prog} policy check)",
	},
	vault.AccountBlocked: {
		aws:     "AWS reports a problem with the account: check its console",
		tencent: "Tencent Cloud has blocked the account or the object: check its console",
	},
	vault.Archived:             {any: "restore the object first: it is in an archive storage class"},
	vault.Locked:               {any: "wait until the retention period of the object ends"},
	vault.PathStyle:            {any: "use the bucket's own endpoint, such as https://BUCKET.cos.REGION.myqcloud.com"},
	vault.TenantMismatch:       {any: "omit --tenant, or use a token of that tenant"},
	vault.VersioningUnreadable: {any: "allow name/cos:GetBucketVersioning, as {prog} policy tencent prints it"},

	vault.StoreKey: {
		any:     "check that the key that encrypts the bucket exists and is enabled, and allow its use",
		aws:     "check that the KMS key that encrypts the bucket exists and is enabled, and allow kms:GenerateDataKey and kms:Decrypt",
		tencent: "check that the KMS key that encrypts the bucket exists and is enabled, and allow its use",
	},

	vault.NoCredentials: {
		aws:     "set --identity, or AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use an instance role",
		tencent: "set --identity, or TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY",
	},
	vault.CredentialsRejected: {any: "check the access key and its secret; {prog} whoami shows where they come from"},
	vault.TokenExpired:        {any: "get a new token; if you use {prog} login, log in again"},
	vault.ClockSkew:           {any: "set the clock of this machine"},
	vault.TokenInvalid: {
		aws:     "get a new token from the issuer, for this audience and tenant",
		tencent: "get a new token from the issuer; its iss and aud must be those of the OIDC provider in CAM",
	},
	vault.TokenRefused: {any: "renew the session or credential that the issuer expects"},
	vault.TrustRefused: {
		aws:     "compare issuer, audience, subject and tags of the token ({prog} whoami) with the role's trust policy ({prog} policy aws)",
		tencent: "check that the role exists, and compare issuer, audience and subject of the token ({prog} whoami) with its trust policy ({prog} policy tencent)",
	},

	vault.Unreachable: {
		aws:     "check the network, the proxy (HTTPS_PROXY) and endpoint=",
		tencent: "check the network, the proxy (HTTPS_PROXY), region= and endpoint=",
	},
	vault.Untrusted: {
		any:     "set SSL_CERT_FILE to the CA certificate of the server, or correct its address",
		tencent: "set SSL_CERT_FILE to the CA certificate of the server, or correct endpoint=",
		aws:     "set AWS_CA_BUNDLE or SSL_CERT_FILE to the CA certificate of the server, or correct endpoint=",
	},
	vault.ForeignResponse:        {any: "check endpoint=, HTTPS_PROXY and the network: another server, a proxy or a login page responded"},
	vault.IssuerUnreachable:      {any: "check that the issuer and its jwks_uri can be reached from the internet, then try again"},
	vault.TokenSourceUnavailable: {any: "check that the token source and the cloud's STS can be reached"},
	vault.Throttled:              {any: "try again later, with fewer requests"},
	vault.WrongRegion:            {any: "set region={detail}", fallback: "set region= to the region of the bucket"},
	vault.NoBucket: {
		aws:     "check the name of the bucket, region= and endpoint=, or create the bucket",
		tencent: "check the name of the bucket, which ends in the APPID, and region=, or create the bucket",
	},
	vault.WriteConflict: {any: "try again: another write of the same name was in progress"},
	vault.UploadAborted: {any: "try again: another client, or a lifecycle rule, aborted the upload"},
	vault.Damaged:       {any: "try again: the data was damaged in transit"},

	vault.QuotaExceeded: {any: "nothing was changed; free some space or raise the quota, and try again"},

	vault.RangeIgnored: {
		aws:     "use another server or proxy: this one ignores range requests",
		tencent: "use the bucket's own endpoint: the server, proxy or CDN ignores range requests",
	},
	vault.VersioningSuspended: {any: "enable versioning again, or use a bucket that was never versioned"},
	vault.ObjectsOnly:         {any: "use the bucket's own endpoint: the accelerated one supports only object requests"},

	vault.KeyUnavailable: {any: "ask the operator of the key: it cannot be used now"},
}

// reasonHint returns the hint for the cause of err, or "".
func reasonHint(err error) string {
	var cause *vault.Cause
	if !errors.As(err, &cause) {
		return ""
	}
	h := reasonHints[cause.Reason]
	text := h.any
	switch {
	case cause.Service == "aws" && h.aws != "":
		text = h.aws
	case cause.Service == "tencent" && h.tencent != "":
		text = h.tencent
	}
	if cause.Detail == "" && h.fallback != "" {
		text = h.fallback
	}
	return strings.ReplaceAll(text, "{detail}", cause.Detail)
}

const integrityHint = "restore an older version: {prog} history {name} lists them"

func usagef(format string, args ...any) *usage.Error { return usage.Errorf(format, args...) }

// hint says what can be done about err, better than the hint of its kind.
func hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hinted{err, fmt.Sprintf(format, args...)}
}

type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// tagged is an error that is also a sentinel, which adds nothing to its text.
type tagged struct {
	error
	is error
}

func (e tagged) Unwrap() []error { return []error{e.error, e.is} }

// childCode is the exit code of a program that was run to its end.
type childCode int

func (c childCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// A report is an error as the user sees it.
type report struct {
	Code    int    `json:"code"`
	Kind    string `json:"kind"`
	Op      string `json:"op,omitempty"`
	Name    string `json:"name,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Spooled means that the value is saved on this machine.
	Spooled bool `json:"spooled,omitempty"`
}

// explain decides what err is to the user of the command op.
func explain(op string, err error) report {
	r := report{Code: exitFailure, Kind: "failure", Op: op, Message: err.Error()}
	var v *vault.Error
	if errors.As(err, &v) {
		r.Name, r.Message = v.Name, v.Err.Error()
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			r.Code, r.Kind, r.Hint = o.code, o.kind, o.hint
			break
		}
	}
	if r.Kind == "interrupted" {
		r.Message = "interrupted"
		var cause *vault.Cause
		if errors.As(err, &cause) && cause.Unfinished > 0 { // it costs money, and only this process knows of it
			r.Message = (&vault.Cause{Sentinel: errors.New(r.Message), Unfinished: cause.Unfinished}).Error()
		}
	}
	var spooled *vault.SpooledError
	var required *requiredRemote
	if errors.As(err, &spooled) || errors.As(err, &required) {
		r.Spooled = true
		if r.Kind == "interrupted" {
			r.Message += "; the value is saved on this machine"
		}
	}
	var h *hinted
	var u *usage.Error
	switch {
	case errors.As(err, &h):
		r.Hint = h.hint
	case reasonHint(err) != "":
		r.Hint = reasonHint(err)
	case errors.As(err, &u) && u.Hint != "":
		r.Hint = u.Hint
	case r.Code == exitUsage && r.Hint == "":
		r.Hint = "{prog} help " + op
		if op == "" {
			r.Hint = "{prog} help"
		}
	}
	return r
}

// fail tells err and returns its code.
func (u *ui) fail(op string, err error) int {
	var child childCode
	if errors.As(err, &child) {
		return int(child)
	}
	if errors.Is(err, errOutput) && u.quietly(err) {
		return exitFailure // the reader of the output has gone
	}
	r := explain(op, err)
	if r.Name == "" {
		r.Name = u.subject
	}
	u.tell(r)
	return r.Code
}

func printExitCodes(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CODE\tKIND\tMEANING")
	for _, c := range exitCodes {
		fmt.Fprintf(t, "%d\t%s\t%s\n", c.code, c.kinds, c.meaning)
	}
	return t.Flush()
}
