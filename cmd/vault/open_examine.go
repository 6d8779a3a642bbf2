package main

import (
	"context"
	"fmt"
	"time"

	"github.com/objectvault/objectvault/internal/doctor"
)

// examine is what doctor tells of an identity: its token, the exchange, and whether the
// token is the tenant's.
func (i *identity) examine(ctx context.Context) []doctor.Line {
	if i.broken != nil {
		return []doctor.Line{failed("exchange", i.broken)}
	}
	// Before its token is looked at: a source need not give the same one twice.
	c, err := i.provider.Credentials(ctx)
	lines := []doctor.Line{i.examineToken(ctx)}
	if err != nil {
		return append(lines, failed("exchange", i.told(err)))
	}
	from := "exchanged for"
	if i.token.Load() == nil {
		from = "logged in to"
	}
	lines = append(lines, doctor.Line{Check: "exchange", Status: doctor.OK,
		Message: fmt.Sprintf("%s role %s, until %s", from, i.role, timestamp(c.Expires))})
	return append(lines, i.examineTenant(ctx))
}

func (i *identity) examineToken(ctx context.Context) doctor.Line {
	if i.source == nil {
		return doctor.Line{Check: "token", Status: doctor.Skipped, Message: "token: none was given, there is a login"}
	}
	token := i.token.Load()
	if token == nil { // there was no exchange
		t, err := i.provider.Token(ctx)
		if err != nil {
			return failed("token", i.told(err))
		}
		token = &t
	}
	c := token.Claims
	return doctor.Line{Check: "token", Status: doctor.OK,
		Message: fmt.Sprintf("token of %s for %s, good for %v", c.Issuer, c.Subject, c.Expires.Sub(i.now()).Round(time.Second))}
}

func (i *identity) examineTenant(ctx context.Context) doctor.Line {
	l := doctor.Line{Check: "tenant"}
	tenant, err := i.tenant(ctx)
	if err != nil {
		return failed(l.Check, err)
	}
	token := i.token.Load()
	if token == nil {
		l.Status, l.Message = doctor.OK, fmt.Sprintf("tenant %s, as at the login", tenant)
		return l
	}
	key, value, ok := i.tagOf(token.Claims, tenant)
	if !ok {
		l.Status, l.Message = doctor.Warning, fmt.Sprintf("the token has no tag that names a tenant, and %s is used", tenant)
		l.Hint = "isolation is then by role: {prog} policy aws --isolation role"
		return l
	}
	// The provider has refused a token of another tenant by now.
	l.Status, l.Message = doctor.OK, fmt.Sprintf("tenant %s is the token's tag %s=%s", tenant, key, value)
	if first, another, _ := token.Claims.Tag(i.tagKeys()...); first != key {
		l.Status = doctor.Warning
		l.Message += fmt.Sprintf("; its tag %s=%s names another", first, another)
		l.Hint = fmt.Sprintf("the policies must tell tenants apart by %s: {prog} policy aws --tag %s", key, key)
	}
	return l
}
