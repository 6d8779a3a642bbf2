package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// TestExitCodes contains a literal copy of the exit codes, which are frozen. Entries may be added, but
// not changed.
func TestExitCodes(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code int
		kind string
	}{
		{io.ErrUnexpectedEOF, 1, "failure"},
		{fs.ErrPermission, 1, "failure"},
		{vault.ErrNoSpace, 1, "no_space"},
		{vault.ErrUnsupported, 1, "unsupported"},
		{errKeyFile, 1, "key_file"},
		{errIsolationBroken, 1, "isolation_broken"},
		{errHolesFound, 1, "holes_found"},
		{usage.ErrUsage, 2, "usage"},
		{usagef("x"), 2, "usage"},
		{config.ErrInvalid, 2, "usage"},
		{vault.ErrInvalidName, 2, "usage"},
		{errPartial, 3, "partial"},
		{vault.ErrNotFound, 10, "not_found"},
		{vault.ErrExist, 11, "exists"},
		{vault.ErrConflict, 11, "conflict"},
		{envelope.ErrUnknownKey, 12, "unknown_key"},
		{vault.ErrPermission, 13, "denied"},
		{vault.ErrUnauthenticated, 14, "unauthenticated"},
		{envelope.ErrDecrypt, 15, "integrity"},
		{envelope.ErrFormat, 15, "integrity"},
		{vault.ErrRollback, 15, "rollback"},
		{errNotInitialised, 16, "not_initialised"},
		{vault.ErrUnavailable, 20, "unreachable"},
		{vault.ErrUnsure, 20, "unsure"},
		{errNotExecutable, 126, "not_executable"},
		{errNoCommand, 127, "no_command"},
		{context.Canceled, 130, "interrupted"},
		{tagged{context.Canceled, errTerminated}, 143, "interrupted"},
		{tagged{context.Canceled, errHungUp}, 129, "interrupted"},
		// If several errors apply, the worse or more precise one determines the code.
		{fmt.Errorf("%w: %w", vault.ErrUnavailable, envelope.ErrDecrypt), 15, "integrity"},
		{fmt.Errorf("%w: %w", vault.ErrUnsure, vault.ErrPermission), 20, "unsure"},
		{fmt.Errorf("%w: %w", vault.ErrUnavailable, vault.ErrNoSpace), 1, "no_space"},
		{fmt.Errorf("%w: %w", context.Canceled, vault.ErrUnavailable), 130, "interrupted"},
		{tagged{fs.ErrExist, vault.ErrExist}, 11, "exists"},
		{hint(vault.ErrNotFound, "x"), 10, "not_found"},
	} {
		wrapped := &vault.Error{Op: "put", Name: "n", Err: fmt.Errorf("deep: %w", tc.err)}
		for _, err := range []error{tc.err, wrapped, hint(wrapped, "h")} {
			if r := explain("get", err); r.Code != tc.code || r.Kind != tc.kind {
				t.Errorf("%v: code %d kind %s, want %d %s", err, r.Code, r.Kind, tc.code, tc.kind)
			}
		}
		i := slices.IndexFunc(exitCodes, func(c struct {
			code    int
			kinds   string
			meaning string
		}) bool {
			return c.code == tc.code
		})
		if i < 0 || !slices.Contains(strings.Split(exitCodes[i].kinds, ", "), tc.kind) {
			t.Errorf("help exit-codes does not list %d %s", tc.code, tc.kind)
		}
	}
	var codes []int
	for _, c := range exitCodes {
		codes = append(codes, c.code)
	}
	if want := []int{0, 1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 20, 75, 126, 127, 129, 130, 143}; !slices.Equal(codes, want) {
		t.Errorf("help exit-codes lists %v, want %v", codes, want)
	}
	for _, o := range outcomes {
		if o.code == exitOK {
			t.Errorf("%v exits with 0", o.err)
		}
	}
}

// TestReasonHints checks the hint for each reason that a provider or a key source reports, and the
// terms of each cloud where they differ.
func TestReasonHints(t *testing.T) {
	contains := func(reason vault.Reason, service, detail, part string) {
		t.Helper()
		err := &vault.Error{Op: "get", Name: "a", Err: fmt.Errorf("deep: %w", &vault.Cause{Sentinel: vault.ErrUnavailable, Service: service, Reason: reason, Detail: detail})}
		if got := explain("get", err).Hint; !strings.Contains(got, part) || strings.Contains(got, "{detail}") {
			t.Errorf("reason %d of %q: the hint is %q, want …%s…", reason, service, got, part)
		}
	}
	for reason := vault.ReasonUnknown + 1; reason <= vault.KeyUnavailable; reason++ {
		if _, ok := reasonHints[reason]; !ok {
			t.Errorf("reason %d has no hint", reason)
			continue
		}
		for _, service := range []string{"aws", "tencent"} {
			h := reasonHints[reason]
			if h.any == "" && (h.aws == "" || h.tencent == "") {
				t.Errorf("reason %d has no hint for every cloud", reason)
			}
			if strings.Contains(h.any+h.aws+h.tencent, "{detail}") && h.fallback == "" {
				t.Errorf("reason %d has no hint without a detail", reason)
			}
			contains(reason, service, "", "")
		}
	}
	if len(reasonHints) != int(vault.KeyUnavailable) {
		t.Errorf("%d hints, want one for each of %d reasons", len(reasonHints), vault.KeyUnavailable)
	}
	contains(vault.AccessDenied, "aws", "", "the token's tenant")
	contains(vault.AccessDenied, "tencent", "", "the role's tenant")
	contains(vault.NoCredentials, "aws", "", "AWS_PROFILE")
	contains(vault.NoCredentials, "tencent", "", "TENCENTCLOUD_SECRET_ID")
	contains(vault.TrustRefused, "tencent", "", "{prog} policy tencent")
	contains(vault.TokenExpired, "aws", "", "get a new token")
	contains(vault.ClockSkew, "aws", "", "the clock of this machine")
	contains(vault.WrongRegion, "aws", "eu-west-1", "set region=eu-west-1")
	contains(vault.WrongRegion, "aws", "", "set region=")
	contains(vault.VersioningUnreadable, "tencent", "", "name/cos:GetBucketVersioning")
	contains(vault.ReasonUnknown, "aws", "", "check that the store can be reached") // the hint for the kind of error
}

// TestReports checks messages that no script can cause on one machine.
func TestReports(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&vault.Error{Op: "put", Name: "a b", Err: vault.ErrUnsure},
			"vault: put a b: may or may not have taken effect\nvault: hint: run vault stat 'a b' to check whether the write took effect\n"},
		{&vault.Error{Op: "put", Name: "a", Err: vault.ErrNoSpace}, "vault: put a: no space left\nvault: hint: nothing was changed; free some space and try again\n"},
		{&vault.Error{Op: "put", Name: "a", Err: vault.ErrConflict}, "vault: put a: conflict\nvault: hint: check the new value with vault stat a, then try again: another writer changed it\n"},
		{vault.ErrUnauthenticated, "vault: put: not authenticated\nvault: hint: get new credentials and try again\n"},
		{&vault.Error{Op: "get", Name: "a", Err: vault.ErrRollback}, "vault: put a: rolled back\nvault: hint: check the store and the clock of each writer: the store returned an older object than before, or a clock is slow\n"},
		{&vault.Error{Op: "get", Name: "a", Err: fmt.Errorf("%w: more", context.Canceled)}, "vault: put a: interrupted\n"},
		{&vault.Error{Op: "put", Name: "a", Err: fmt.Errorf("deep: %w", &vault.Cause{Sentinel: context.Canceled, Unfinished: 300_000_000})},
			"vault: put a: interrupted; an unfinished upload of 300 MB may remain; it is billed until a lifecycle rule removes it\n"},
		{&interruption{context.Canceled, "the secret was stored"}, "vault: put: interrupted; the secret was stored\n"},
		{errors.New("line\nbreak\x1b"), "vault: put: line; break\\x1b\n"},
		{childCode(7), ""},
	} {
		var b strings.Builder
		u := &ui{world: &world{err: &b, quietly: func(error) bool { return false }}, prog: "vault"}
		u.fail("put", tc.err)
		if b.String() != tc.want {
			t.Errorf("got  %q\nwant %q", b.String(), tc.want)
		}
	}
	u := &ui{world: &world{err: io.Discard}, prog: "vault"}
	if code := u.fail("exec", childCode(7)); code != 7 {
		t.Errorf("the program exited with 7 and vault with %d", code)
	}
}
