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
	{exitOK, "", "done, and durable where the command says so"},
	{exitFailure, "failure, isolation_broken, holes_found, no_space, unsupported, key_file", "anything without a code of its own"},
	{exitUsage, "usage", "unknown command or flag, wrong arguments or configuration, bad name"},
	{exitPartial, "partial", "of several items some failed; with --json each has its own code"},
	{exitNotFound, "not_found", "no such name, or no such version of it"},
	{exitConflict, "exists, conflict", "there already, or somebody else wrote in between; nothing was stored"},
	{exitUnknownKey, "unknown_key", "wrong key, or an object of another name, tenant or vault"},
	{exitDenied, "denied", "known, but not allowed to"},
	{exitUnauthenticated, "unauthenticated", "no credentials, or expired ones"},
	{exitIntegrity, "integrity", "the stored bytes were altered, cut or rolled back"},
	{exitNotInitialised, "not_initialised", "there is no root key yet: vault init"},
	{exitUnreachable, "unreachable, unsure", "the store did not answer; not known to be saved"},
	{exitSpooled, "spooled", "saved here, not yet in the store"},
	{exitNotExecutable, "not_executable", "the command of exec was found and cannot be executed"},
	{exitNoCommand, "no_command", "the command of exec was not found"},
	{exitHungUp, "interrupted", "as 130, by SIGHUP: the terminal went away"},
	{exitInterrupted, "interrupted", "stopped by ^C or SIGINT; tells nothing of a write under way"},
	{exitTerminated, "interrupted", "as 130, by SIGTERM"},
}

// What only the command knows.
var (
	errPartial        = errors.New("partial")
	errNotInitialised = errors.New("there is no root key")
	errKeyFile        = errors.New("unusable root key file")

	errIsolationBroken = errors.New("ISOLATION BROKEN")
	errHolesFound      = errors.New("holes found")

	errTerminated = errors.New("terminated by a signal")
	errHungUp     = errors.New("the terminal went away")

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
	{errIsolationBroken, exitFailure, "isolation_broken", "keep secrets out of this store until {prog} doctor is content: {prog} policy check names the holes of policies"},
	{errHolesFound, exitFailure, "holes_found", ""},
	{vault.ErrRollback, exitIntegrity, "integrity", "an old object was served in place of a newer one, or its writer's clock is slow"},
	{envelope.ErrDecrypt, exitIntegrity, "integrity", integrityHint},
	{envelope.ErrFormat, exitIntegrity, "integrity", integrityHint},
	{errPartial, exitPartial, "partial", ""},
	{errNoCommand, exitNoCommand, "no_command", ""},
	{errNotExecutable, exitNotExecutable, "not_executable", ""},
	{errTerminated, exitTerminated, "interrupted", ""},
	{errHungUp, exitHungUp, "interrupted", ""},
	{context.Canceled, exitInterrupted, "interrupted", ""},
	{usage.ErrUsage, exitUsage, "usage", ""},
	{config.ErrInvalid, exitUsage, "usage", ""},
	{envelope.ErrUnknownKey, exitUnknownKey, "unknown_key", "another key, tenant, collection or vault id sealed it: compare --keys, --tenant, --collection and vault_id with those of its writer"},
	{errNotInitialised, exitNotInitialised, "not_initialised", "run {prog} init to make one, or {prog} init --import FILE to bring it from another machine"},
	{errKeyFile, exitFailure, "key_file", ""},
	{vault.ErrUnsure, exitUnreachable, "unsure", "run {prog} stat {name} to see whether it took effect"},
	{vault.ErrUnauthenticated, exitUnauthenticated, "unauthenticated", "get new credentials and try again"},
	{vault.ErrPermission, exitDenied, "denied", "the scope of the profile, or the rights at the store, do not allow this: ask whoever gave them, or chmod what is yours"},
	{vault.ErrNoSpace, exitFailure, "no_space", "nothing was changed; make room and try again"},
	{vault.ErrConflict, exitConflict, "conflict", "somebody else wrote it: look at {prog} stat {name}, then try again"},
	{vault.ErrExist, exitConflict, "exists", ""},
	{vault.ErrNotFound, exitNotFound, "not_found", "{prog} ls lists the names there are"},
	{vault.ErrUnsupported, exitFailure, "unsupported", ""},
	{vault.ErrInvalidName, exitUsage, "usage", ""},
	{vault.ErrConfig, exitUsage, "usage", ""},
	{envelope.ErrInvalid, exitUsage, "usage", "metadata has at most 4096 bytes of UTF-8 and 64 labels"},
	{vault.ErrRefused, exitFailure, "failure", "the store refuses this request, and would again: its code is in front, and its documentation or its operator knows what it means"},
	{vault.ErrBusy, exitUnreachable, "unreachable", "wait for the other program, or end it, then try again"},
	{vault.ErrUnavailable, exitUnreachable, "unreachable", "see whether the store can be reached, then try again"},
	{context.DeadlineExceeded, exitUnreachable, "unreachable", "it took longer than --deadline allows"},
}

// reasonHints is what to do about a failure whose reason the provider or the key source knows.
// The clouds differ in some: aws and tencent stand in for any where they are not empty.
// {detail} is the Detail of the cause; a hint that needs one gives way to fallback where
// there is none.
var reasonHints = map[vault.Reason]struct{ any, aws, tencent, fallback string }{
	vault.AccessDenied: {
		aws:     "the cloud's policies do not allow this: see whether the tenant is the token's, {prog} whoami, and {prog} policy check",
		tencent: "the cloud's policies do not allow this: see whether the tenant is the role's, {prog} whoami, and {prog} policy check",
	},
	vault.AccountBlocked: {
		aws:     "AWS says that something is wrong with the account: see its console",
		tencent: "Tencent Cloud has blocked the account or the object: see its console",
	},
	vault.Archived:             {any: "the object was moved to an archive class: restore it first"},
	vault.Locked:               {any: "the object is locked until its retention ends"},
	vault.PathStyle:            {any: "the endpoint has to be the bucket's own, such as https://BUCKET.cos.REGION.myqcloud.com"},
	vault.TenantMismatch:       {any: "the token is another tenant's: leave --tenant out, or take that tenant's token"},
	vault.VersioningUnreadable: {any: "allow name/cos:GetBucketVersioning, as {prog} policy tencent does"},

	vault.StoreKey: {
		any:     "the cloud encrypts this bucket with a key that cannot be used: see that it exists and is enabled, and allow its use",
		aws:     "the key in KMS that encrypts this bucket cannot be used: see that it exists and is enabled, and allow kms:GenerateDataKey and kms:Decrypt",
		tencent: "the key in KMS that encrypts this bucket cannot be used: see that it exists and is enabled, and allow its use",
	},

	vault.NoCredentials: {
		aws:     "give --identity, or credentials that the AWS SDK finds: AWS_PROFILE, AWS_ACCESS_KEY_ID, an instance role",
		tencent: "give --identity, or TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY",
	},
	vault.CredentialsRejected: {any: "the service does not know these credentials, or not with this secret: {prog} whoami shows where they come from"},
	vault.TokenExpired:        {any: "the credentials have expired: get a new token, and {prog} login again if that is how you work"},
	vault.ClockSkew:           {any: "the clock of this machine is too far off: set it"},
	vault.TokenInvalid: {
		aws:     "get a new token from the issuer, for this audience and tenant",
		tencent: "get a new token from the issuer; its iss and aud have to be those of the OIDC provider in CAM",
	},
	vault.TokenRefused: {any: "the issuer gives no token: renew what it knows you by"},
	vault.TrustRefused: {
		aws:     "the role's trust policy does not accept this token: compare issuer, audience, subject and tags, {prog} whoami, with {prog} policy aws",
		tencent: "there is no such role, or its trust policy does not accept this token: compare issuer, audience and subject, {prog} whoami, with {prog} policy tencent",
	},

	vault.Unreachable: {
		aws:     "the service was not reached, or stopped responding: check the network, a proxy (HTTPS_PROXY) and endpoint=",
		tencent: "the service was not reached, or stopped responding: check the network, a proxy (HTTPS_PROXY), region= and endpoint=",
	},
	vault.Untrusted: {
		any: "the server's certificate is not trusted: name the CA's certificate with SSL_CERT_FILE, or correct endpoint=",
		aws: "the server's certificate is not trusted: name the CA's certificate with AWS_CA_BUNDLE or SSL_CERT_FILE, or correct endpoint=",
	},
	vault.ForeignResponse:        {any: "another server, a proxy or a login page of the network responded in place of the service: check endpoint=, HTTPS_PROXY and the network"},
	vault.IssuerUnreachable:      {any: "the cloud could not fetch the keys of the token's issuer: see whether the issuer's address and its jwks_uri can be reached from the internet, then try again"},
	vault.TokenSourceUnavailable: {any: "the source of the token, or the cloud's STS, did not respond: see whether it works and can be reached"},
	vault.Throttled:              {any: "the service asks for fewer requests: try again later"},
	vault.WrongRegion:            {any: "the bucket is in {detail}: give region={detail}", fallback: "the bucket is in another region: give the right one with region="},
	vault.NoBucket: {
		aws:     "there is no such bucket: see whether its name, region= and endpoint= are right, or make it",
		tencent: "there is no such bucket: see whether its name, with the APPID, and region= are right, or make it",
	},
	vault.WriteConflict: {any: "another write of the same name was in progress: try again"},
	vault.UploadAborted: {any: "another client, or a lifecycle rule, aborted the upload: try again"},
	vault.Damaged:       {any: "bytes were damaged on the way: try again"},

	vault.QuotaExceeded: {any: "nothing was changed; make room or raise the quota, and try again"},

	vault.RangeIgnored: {
		aws:     "the server, or a proxy in front of it, ignores ranges: use another one",
		tencent: "the server, or a proxy or CDN in front of it, ignores ranges: use the bucket's own endpoint",
	},
	vault.VersioningSuspended: {any: "enable versioning again, or use a bucket that never had it"},
	vault.ObjectsOnly:         {any: "the accelerated endpoint has no buckets, only objects: use the bucket's own"},

	vault.KeyUnavailable: {any: "the key cannot be used now: ask its operator"},
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

const integrityHint = "the stored bytes are damaged or were tampered with: {prog} history {name} lists older versions to go back to"

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

// A report is an error as it is told.
type report struct {
	Code    int    `json:"code"`
	Kind    string `json:"kind"`
	Op      string `json:"op,omitempty"`
	Name    string `json:"name,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
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
		if errors.As(err, &cause) && cause.Unfinished > 0 { // it costs money, and nobody else knows of it
			r.Message = (&vault.Cause{Sentinel: errors.New(r.Message), Unfinished: cause.Unfinished}).Error()
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
		return exitFailure // nobody reads any more, so nobody is told
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
