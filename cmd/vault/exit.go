package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/vault"
)

// The exit codes. They are frozen: a code is never renumbered or reused. No other file contains an
// exit code.
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

// exitCodes is the table that "vault help exit-codes" prints.
var exitCodes = []struct {
	code    int
	kinds   string
	meaning string
}{
	{exitOK, "", "success; after put, the value is durable"},
	{exitFailure, "failure, isolation_broken, holes_found, no_space, unsupported, not_captured, key_file, key_changed", "any failure without its own exit code"},
	{exitUsage, "usage", "unknown command or flag, wrong arguments or configuration, invalid name"},
	{exitPartial, "partial", "the command failed for some of several items; with --json, each failed item has its own code; rotate: the value is stored, but --revoke failed or did not run"},
	{exitNotFound, "not_found", "the name or the version does not exist"},
	{exitConflict, "exists, conflict", "the name exists, or another writer changed its value; nothing was stored"},
	{exitUnknownKey, "unknown_key", "wrong key, or the object was sealed for a different name, tenant or vault id"},
	{exitDenied, "denied", "the credentials are valid, but access is denied"},
	{exitUnauthenticated, "unauthenticated", "there are no credentials, or they are invalid or have expired"},
	{exitIntegrity, "integrity, rollback", "the stored bytes were changed or truncated, or the store returned an older object than before"},
	{exitNotInitialised, "not_initialised", "there is no root key, or the key source is not enrolled: run vault init"},
	{exitUnreachable, "unreachable, unsure", "the store cannot be reached, or the outcome of a write is unknown"},
	{exitSpooled, "spooled", "the value is saved on this machine, and not yet in the store: see vault help spool"},
	{exitNotExecutable, "not_executable", "exec: the command cannot be executed"},
	{exitNoCommand, "no_command", "exec: the command was not found"},
	{exitHungUp, "interrupted", "interrupted by SIGHUP, because the terminal was closed; a write in progress may or may not have completed"},
	{exitInterrupted, "interrupted", "interrupted by SIGINT (^C); a write in progress may or may not have completed"},
	{exitTerminated, "interrupted", "interrupted by SIGTERM; a write in progress may or may not have completed"},
}

// The errors of the command itself.
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

// outcomes assigns a code to an error: the first entry that errors.Is matches decides. Entries that
// are more serious or more specific come first.
var outcomes = []struct {
	err  error
	code int
	kind string
	hint string
}{
	{errIsolationBroken, exitFailure, "isolation_broken", "store no secrets here until {vault} doctor succeeds; {prog} policy check finds weaknesses in the policies"},
	{errHolesFound, exitFailure, "holes_found", ""},
	{vault.ErrRollback, exitIntegrity, "rollback", "check the store and the clock of each writer: the store returned an older object than before, or a clock is slow"},
	{envelope.ErrDecrypt, exitIntegrity, "integrity", integrityHint},
	{vault.ErrLegacy, exitIntegrity, "integrity", "use the signer of its wallet as a key source, and the wallet as the tenant: --keys signer+https://HOST?omni=HEX --tenant WALLET"},
	{envelope.ErrFormat, exitIntegrity, "integrity", integrityHint},
	{errDamaged, exitIntegrity, "integrity", ""},
	{errPartial, exitPartial, "partial", ""},
	{vault.ErrPartial, exitPartial, "partial", ""},
	{errNotCaptured, exitFailure, "not_captured", ""},
	{errNoCommand, exitNoCommand, "no_command", ""},
	{errNotExecutable, exitNotExecutable, "not_executable", ""},
	{errTerminated, exitTerminated, "interrupted", ""},
	{errHungUp, exitHungUp, "interrupted", ""},
	{context.Canceled, exitInterrupted, "interrupted", ""},
	{vault.ErrSpooled, exitSpooled, "spooled", ""},
	{usage.ErrUsage, exitUsage, "usage", ""},
	{config.ErrInvalid, exitUsage, "usage", ""},
	{envelope.ErrUnknownKey, exitUnknownKey, "unknown_key", "use the same --keys, --tenant, --collection and --vault-id as the writer: at least one differs"},
	{errNotInitialised, exitNotInitialised, "not_initialised", "run {vault} init to create one, or {vault} init --import FILE to copy it from another machine"},
	{errKeyFile, exitFailure, "key_file", ""},
	{errNoRoot, exitFailure, "key_file", "check the key source: it must return a root key, 64 digits 0-9 a-f"},
	{envelope.ErrNotEnrolled, exitNotInitialised, "not_initialised", "run {prog} init --keys URL to enrol the key source on this machine, or {prog} init --import FILE to copy the enrolment of another machine"},
	{envelope.ErrChanged, exitFailure, "key_changed", "find out why the key has changed; {vault} keys list shows what was enrolled"},
	{envelope.ErrDenied, exitDenied, "denied", "allow the use of the key: {prog} policy aws --kms-key or {prog} policy tencent --kms-key prints the statement"},
	{vault.ErrUnsure, exitUnreachable, "unsure", "run {vault} stat {name} to check whether the write took effect"},
	{errNoPassphrase, exitUnauthenticated, "unauthenticated", "run {prog} in a terminal, or set OBJECTVAULT_PASSPHRASE_FILE, OBJECTVAULT_PASSPHRASE_COMMAND or OBJECTVAULT_PASSPHRASE"},
	{envelope.ErrUnauthenticated, exitUnauthenticated, "unauthenticated", "get new credentials for the key source and try again"},
	{vault.ErrUnauthenticated, exitUnauthenticated, "unauthenticated", "get new credentials and try again"},
	{vault.ErrScope, exitDenied, "denied", "check scope and read_only in the profile"},
	{vault.ErrPermission, exitDenied, "denied", "check the permissions of the store or its files"},
	{vault.ErrNoSpace, exitFailure, "no_space", "nothing was changed; free some space and try again"},
	{vault.ErrConflict, exitConflict, "conflict", "check the new value with {vault} stat {name}, then try again: another writer changed it"},
	{vault.ErrExist, exitConflict, "exists", ""},
	{vault.ErrNotFound, exitNotFound, "not_found", "{vault} ls lists the existing names"},
	{vault.ErrUnsupported, exitFailure, "unsupported", ""},
	{vault.ErrInvalidName, exitUsage, "usage", "{prog} help names describes the rules for names"},
	{vault.ErrConfig, exitUsage, "usage", ""},
	{envelope.ErrInvalid, exitUsage, "usage", "use at most 64 labels, and at most 4096 bytes of UTF-8 for the content type and the labels together"},
	{vault.ErrRefused, exitFailure, "failure", "look up the code in the documentation of the store; the store will refuse the same request again"},
	{vault.ErrTooLarge, exitFailure, "failure", ""},
	{migrate.ErrUnauthorized, exitUnauthenticated, "unauthenticated", "check --source-token: the credential server needs a valid session token"},
	{migrate.ErrDenied, exitDenied, "denied", "use a session token of this agent without a scope: --source-token"},
	{migrate.ErrUnavailable, exitUnreachable, "unreachable", "check that the source of the migration can be used, then run the command again"},
	{migrate.ErrGone, exitNotFound, "not_found", "run the command again: the source has changed"},
	{migrate.ErrSource, exitFailure, "failure", ""},
	{errNoKeyring, exitUnreachable, "unreachable", "unlock the keyring, or use a root key that is not in a keyring: --keys local:, local:///FILE, env:VAR or exec:COMMAND"},
	{envelope.ErrUnavailable, exitUnreachable, "unreachable", "check the key source that the message names, then try again"},
	{vault.ErrBusy, exitUnreachable, "unreachable", "wait until the other program has ended, then try again"},
	{vault.ErrUnavailable, exitUnreachable, "unreachable", "check that the store can be reached, then try again"},
	{context.DeadlineExceeded, exitUnreachable, "unreachable", "increase --deadline, or check the connection to the store"},
}

// reasonHints contains the hint for each failure whose reason the provider or the key source
// knows. A cloud's own hint, aws or tencent, replaces any if it is not empty. {detail} stands for
// the Detail of the cause; if the cause has no detail, fallback replaces the hint.
var reasonHints = map[vault.Reason]struct{ any, aws, tencent, fallback string }{
	vault.AccessDenied: {
		aws:     "check that --tenant is the token's tenant ({vault} whoami), and check the policies ({prog} policy check)",
		tencent: "check that --tenant is the role's tenant ({vault} whoami), and check the policies ({prog} policy check)",
	},
	vault.AccountBlocked: {
		aws:     "check the AWS console: AWS reports a problem with the account",
		tencent: "check the Tencent Cloud console: the account or the object is blocked",
	},
	vault.Archived:             {any: "restore the object first: it is in an archive storage class"},
	vault.Locked:               {any: "wait until the retention period of the object ends"},
	vault.PathStyle:            {any: "use the bucket's own endpoint, such as https://BUCKET.cos.REGION.myqcloud.com"},
	vault.TenantMismatch:       {any: "omit --tenant, or use a token of that tenant"},
	vault.NotPlain:             {any: "remove what the message names: a store has only the files and directories that {prog} creates"},
	vault.VersioningUnreadable: {any: "allow name/cos:GetBucketVersioning, as in the policies that {prog} policy tencent prints"},

	vault.StoreKey: {
		any:     "check that the key that encrypts the bucket exists and is enabled, and allow its use",
		aws:     "check that the KMS key that encrypts the bucket exists and is enabled, and allow kms:GenerateDataKey and kms:Decrypt",
		tencent: "check that the KMS key that encrypts the bucket exists and is enabled, and allow its use",
	},

	vault.NoCredentials: {
		aws:     "set --identity, or AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use an instance role",
		tencent: "set --identity, or TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY",
	},
	vault.CredentialsRejected: {any: "check the access key and its secret; {vault} whoami shows their source"},
	vault.TokenExpired:        {any: "get a new token; if you use {vault} login, log in again"},
	vault.ClockSkew:           {any: "set the clock of this machine"},
	vault.TokenInvalid: {
		aws:     "get a new token from the issuer, for this audience and tenant",
		tencent: "get a new token from the issuer; its iss and aud must be those of the OIDC provider in CAM",
	},
	vault.TokenRefused: {any: "log in to the token issuer again, or renew the credential that it requires"},
	vault.TrustRefused: {
		aws:     "compare issuer, audience, subject and tags of the token ({vault} whoami) with the role's trust policy ({prog} policy aws)",
		tencent: "check that the role exists, and compare issuer, audience and subject of the token ({vault} whoami) with its trust policy ({prog} policy tencent)",
	},

	vault.Unreachable: {
		aws:     "check the network, the proxy (HTTPS_PROXY), and endpoint= in the store URL",
		tencent: "check the network, the proxy (HTTPS_PROXY), and region= and endpoint= in the store URL",
	},
	vault.Untrusted: {
		any:     "set SSL_CERT_FILE to the CA certificate of the server, or correct its address",
		tencent: "set SSL_CERT_FILE to the CA certificate of the server, or correct endpoint=",
		aws:     "set AWS_CA_BUNDLE or SSL_CERT_FILE to the CA certificate of the server, or correct endpoint=",
	},
	vault.ForeignResponse:        {any: "check endpoint=, HTTPS_PROXY and the network: another server, a proxy or a login page responded"},
	vault.IssuerUnreachable:      {any: "check that the issuer and its jwks_uri can be reached from the internet, then try again"},
	vault.TokenSourceUnavailable: {any: "check that the token source and the cloud's token service (STS) can be reached"},
	vault.Throttled:              {any: "try again later, with fewer requests"},
	vault.WrongRegion:            {any: "set region={detail} in the store URL", fallback: "set region= in the store URL to the region of the bucket"},
	vault.NoBucket: {
		aws:     "check the name of the bucket, region= and endpoint= in the store URL, or create the bucket",
		tencent: "check the name of the bucket, which ends in the APPID, and region= in the store URL, or create the bucket",
	},
	vault.WriteConflict: {any: "try again: another write of the same name was in progress"},
	vault.UploadAborted: {any: "try again: another client, or a lifecycle rule, aborted the upload"},
	vault.Damaged:       {any: "try again: the data was damaged in transit"},

	vault.QuotaExceeded: {any: "nothing was changed; free some space or raise the quota, and try again"},

	vault.RangeIgnored: {
		aws:     "use another server or proxy: the server or a proxy ignores range requests",
		tencent: "use the bucket's own endpoint: the server, a proxy or a CDN ignores range requests",
	},
	vault.VersioningSuspended: {any: "enable versioning again, or use a bucket that was never versioned"},
	vault.ObjectsOnly:         {any: "use the bucket's own endpoint: the accelerated endpoint supports only object requests"},

	vault.KeyUnavailable: {any: "ask the operator of the key: the key cannot be used now"},
}

// reasonHint returns the hint for the cause of err, or "".
func reasonHint(err error) string {
	var missing *federation.MissingError
	if errors.As(err, &missing) {
		return missingHint(missing)
	}
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

// missingHint returns the hint for a source of tokens that has none now.
func missingHint(e *federation.MissingError) string {
	switch e.Kind {
	case "file":
		return "check the path and the permissions of " + e.Name + ", or write the token to this file"
	case "env":
		return "set the variable " + e.Name
	case "exec":
		return "check the path of the command: " + e.Name
	}
	return "run the command in a GitHub Actions job with permissions: id-token: write, or set --identity to another source"
}

// seenHint returns the hint for an object that is older than the one that was seen, or gone.
func seenHint(e *vault.SeenError) string {
	if errors.Is(e, vault.ErrNotFound) {
		return "check {vault} history {name}, and the lifecycle rules of the bucket; if the name was removed on purpose, run {vault} rm {name} to record the removal"
	}
	return "find out why the object is older: {vault} history {name} lists the versions; then {vault} stat {name} --accept-older accepts the object"
}

const integrityHint = "restore an older version: {vault} history {name} lists them"

func usagef(format string, args ...any) *usage.Error { return usage.Errorf(format, args...) }

// hint adds a hint to err, which replaces the general hint for this kind of error.
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

// A reworded error is another error with a text for people.
type reworded struct {
	err  error
	text string
}

func (e *reworded) Error() string { return e.text }
func (e *reworded) Unwrap() error { return e.err }

// tagged is an error that also wraps a sentinel. The sentinel adds nothing to its text.
type tagged struct {
	error
	sentinel error
}

func (e tagged) Unwrap() []error { return []error{e.error, e.sentinel} }

// childCode is the exit code of a program that exec ran.
type childCode int

func (c childCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// A report is an error in the form that the user sees.
type report struct {
	Code    int    `json:"code"`
	Kind    string `json:"kind"`
	Op      string `json:"op,omitempty"`
	Name    string `json:"name,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Spooled means that the value is saved on this machine.
	Spooled bool `json:"spooled,omitempty"`
	// SeenRevision is the revision that this machine has seen, if the store returned an older object, or
	// none.
	SeenRevision int64 `json:"seen_revision,omitempty"`
}

// explain returns the report for an error of the command op.
func explain(op string, err error) report {
	r := report{Code: exitFailure, Kind: "failure", Op: op, Message: err.Error()}
	var v *vault.Error
	if errors.As(err, &v) {
		r.Name, r.Message = v.Name, v.Err.Error()
	}
	r.Message = strings.ReplaceAll(r.Message, "\n", "; ") // errors.Join, for example of several key sources
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			r.Code, r.Kind, r.Hint = o.code, o.kind, o.hint
			break
		}
	}
	if r.Kind == "interrupted" {
		r.Message = "interrupted"
		var i *interruption
		if errors.As(err, &i) {
			r.Message += "; " + i.done
		}
		var cause *vault.Cause
		if errors.As(err, &cause) && cause.Unfinished > 0 { // the upload costs money, and only this process knows that it exists
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
	var seen *vault.SeenError
	if errors.As(err, &seen) {
		r.SeenRevision, r.Hint = seen.Last.Revision, seenHint(seen)
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

// fail prints err and returns its exit code.
func (u *ui) fail(op string, err error) int {
	var child childCode
	if errors.As(err, &child) {
		return int(child)
	}
	if errors.Is(err, errOutput) && u.quietly(err) {
		return exitFailure // the reader of the output has closed the pipe
	}
	r := explain(op, err)
	if r.Name == "" {
		r.Name = u.subject
	}
	u.printError(r)
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
