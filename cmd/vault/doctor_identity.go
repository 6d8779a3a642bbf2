package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/vault"
)

// check returns the doctor's results for an identity: its token, the exchange, and whether the
// token belongs to the tenant.
func (i *identity) check(ctx context.Context, cloud vault.Cloud) []doctor.Line {
	if i.broken != nil {
		return []doctor.Line{failed("exchange", i.broken)}
	}
	// Exchange first, and then check the token that was exchanged, because a source may return
	// another token each time.
	c, err := i.provider.Credentials(ctx)
	lines := []doctor.Line{i.checkToken(ctx)}
	if err != nil {
		return append(lines, failed("exchange", i.withCause(err)))
	}
	from := "exchanged for"
	if i.token.Load() == nil {
		from = "logged in to"
	}
	lines = append(lines, doctor.Line{Check: "exchange", Status: doctor.OK,
		Message: fmt.Sprintf("%s role %s, until %s", from, i.Role, timestamp(c.Expires))})
	if i.PerRole && cloud != nil { // in other clouds, the exchange returned the caller
		lines = append(lines, checkCaller(ctx, cloud, "the credentials of the role", "according to the role's ARN, the account is "+c.Account))
	}
	return append(lines, i.checkTenant(ctx, c))
}

func (i *identity) checkToken(ctx context.Context) doctor.Line {
	if i.source == nil {
		return doctor.Line{Check: "token", Status: doctor.Skipped, Message: "token: skipped, because credentials of a login are used"}
	}
	token := i.token.Load()
	if token == nil { // there was no exchange
		t, err := i.provider.Token(ctx)
		if err != nil {
			return failed("token", i.withCause(err))
		}
		token = &t
	}
	c := token.Claims
	return doctor.Line{Check: "token", Status: doctor.OK,
		Message: fmt.Sprintf("token of %s for %s, valid for %v", c.Issuer, c.Subject, c.Expires.Sub(i.now()).Round(time.Second))}
}

func (i *identity) checkTenant(ctx context.Context, c federation.Credentials) doctor.Line {
	l := doctor.Line{Check: "tenant"}
	tenant, err := i.tenant(ctx)
	if err != nil {
		return failed(l.Check, err)
	}
	if i.PerRole {
		return i.checkOwnRole(l, tenant, c)
	}
	token := i.token.Load()
	if token == nil {
		l.Status, l.Message = doctor.OK, fmt.Sprintf("tenant %s, as in the login", tenant)
		return l
	}
	key, value, ok := i.tagOf(token.Claims, tenant)
	if !ok {
		l.Status, l.Message = doctor.Warning, fmt.Sprintf("the token has no tag that names a tenant; %s is used", tenant)
		l.Hint = "isolate by role: {prog} policy aws --isolation role"
		return l
	}
	// The provider has already refused a token of another tenant.
	l.Status, l.Message = doctor.OK, fmt.Sprintf("tenant %s is the token's tag %s=%s", tenant, key, value)
	if value != string(tenant) && strings.EqualFold(value, string(tenant)) {
		l.Status = doctor.Warning
		l.Message = fmt.Sprintf("the token's tag %s=%s has capital letters, but the prefix of tenant %s is in lower case: the cloud compares them exactly, so it denies every request", key, value, tenant)
		l.Hint = "let the issuer write the tag in lower case, or isolate by role: {prog} policy aws --isolation role"
		return l
	}
	if first, another, _ := token.Claims.Tag(i.tagKeys()...); first != key {
		l.Status = doctor.Warning
		l.Message += fmt.Sprintf("; its tag %s=%s names another tenant", first, another)
		l.Hint = fmt.Sprintf("let the policies use the tag %s: {prog} policy aws --tag %s", key, key)
	}
	return l
}

// checkOwnRole checks the tenant in a cloud without session tags: only the subject of the token
// decides which role it can assume.
func (i *identity) checkOwnRole(l doctor.Line, tenant vault.Tenant, c federation.Credentials) doctor.Line {
	l.Status = doctor.OK
	l.Message = fmt.Sprintf("tenant %s is isolated by its role %s, provided that only tokens with the subject %s can assume this role (Tencent Cloud has no session tags)", tenant, i.Role, c.Subject)
	named := i.set.Tenant.Text != ""
	if token := i.token.Load(); token == nil {
		l.Message += "; the tenant is that of the login"
		named = true
	} else if key, value, ok := i.tagOf(token.Claims, tenant); ok {
		l.Message += fmt.Sprintf("; the tag %s=%s is ignored", key, value)
		named = true
	}
	if !named {
		l.Status = doctor.Warning
		l.Hint = "set --tenant to the tenant in the role's policy; without it, the tenant \"default\" is used"
	}
	return l
}

// checkCaller reports the caller that the cloud returns.
func checkCaller(ctx context.Context, cloud vault.Cloud, whose, otherwise string) doctor.Line {
	caller, err := cloud.Caller(ctx)
	if err != nil {
		r := explain("doctor", err)
		return doctor.Line{Check: "caller", Status: doctor.NotProven, Message: fmt.Sprintf("caller: STS did not report the caller: %s; %s", r.Message, otherwise), Hint: r.Hint}
	}
	return doctor.Line{Check: "caller", Status: doctor.OK, Message: fmt.Sprintf("%s belong to %s, account %s", whose, caller.ARN, caller.Account)}
}

// checkKeys reports the caller of credentials that were found without an identity.
func checkKeys(ctx context.Context, cloud vault.Cloud) doctor.Line {
	return checkCaller(ctx, cloud, "the credentials from environment variables", "the credentials come from environment variables")
}

// requireDistinct returns an error unless the second tenant has credentials and is another tenant
// than the first.
func (i *identity) requireDistinct(ctx context.Context, first *identity) error {
	second, err := i.provider.Credentials(ctx)
	switch {
	case err != nil && i.PerRole && i.Role == first.Role && errors.Is(err, federation.ErrRefused):
		return hint(i.withCause(err), "this refusal is correct; to run the other checks, set --other-store to the store URL with the second tenant's role")
	case err != nil:
		return i.withCause(err)
	case !i.PerRole: // the tags distinguish the tenants, which may have the same subject
		return nil
	}
	if c, err := first.provider.Credentials(ctx); err == nil && c.Issuer == second.Issuer && c.Subject == second.Subject {
		return hint(fmt.Errorf("both tokens have the subject %s", c.Subject), "set --other to a token of another subject")
	}
	return nil
}

// checkRoles tries to assume the role of each of two tenants as the other tenant, if roles isolate
// tenants.
func (i *identity) checkRoles(ctx context.Context, other *identity) []doctor.Line {
	if !i.PerRole {
		return nil
	}
	lines := []doctor.Line{i.checkRefusal(ctx, other, "isolation-role")}
	if other.Role != i.Role {
		lines = append(lines, other.checkRefusal(ctx, i, "isolation-reverse-role"))
	}
	return lines
}

// checkRefusal tries to assume the role of i with a token of another tenant. The cloud must refuse
// this. The refusal proves isolation only if the tenant of i can assume the role.
func (i *identity) checkRefusal(ctx context.Context, other *identity, check string) doctor.Line {
	line := func(status doctor.Status, hint, format string, args ...any) doctor.Line {
		return doctor.Line{Check: check, Status: status, Message: fmt.Sprintf(format, args...), Hint: hint}
	}
	attempt := fmt.Sprintf("assume role %s with a token of the other tenant", i.Role)
	if other.source == nil {
		return line(doctor.Skipped, "", "%s: not tried, because the other tenant has a login and no token", attempt)
	}
	tenant, err := i.provider.Credentials(ctx)
	if err != nil {
		return line(doctor.NotProven, "", "%s: not tried, because not even the role's own tenant can assume it", attempt)
	}
	token, err := other.source.Token(ctx)
	if err == nil { // the same check as before any exchange
		err = federation.Expectation{Audience: i.Audience, OtherAudiences: i.OtherAudiences}.Check(token.Claims, i.now())
	}
	if err != nil {
		return line(doctor.NotProven, "", "%s: not tried: %v", attempt, err)
	}
	if token.Claims.Issuer == tenant.Issuer && token.Claims.Subject == tenant.Subject {
		return line(doctor.NotProven, "use a token of another subject", "%s: both tokens have the subject %s", attempt, tenant.Subject)
	}
	exchange, err := i.Exchanger(ctx)
	if err == nil {
		_, err = exchange.Exchange(ctx, token)
	}
	switch {
	case err == nil:
		return line(doctor.Broken, "add string_equal oidc:sub with the subject of the role's tenant to the role's trust policy; check it with {prog} policy check",
			"ISOLATION BROKEN: role %s was assumed with a token of %s; only a token of %s may assume it", i.Role, token.Claims.Subject, tenant.Subject)
	case errors.Is(err, federation.ErrRefused):
		return line(doctor.OK, "", "%s, %s: denied", attempt, token.Claims.Subject)
	}
	return line(doctor.NotProven, "", "%s: the response is neither success nor a denial: %v", attempt, i.withCause(err))
}

// failed returns the result of a check that ended with an error.
func failed(check string, err error) doctor.Line {
	r := explain("doctor", err)
	return doctor.Line{Check: check, Status: doctor.Fail, Message: check + ": " + r.Message, Hint: r.Hint}
}
