package doctor_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// TestRefusedRequests: a check whose request was refused proves nothing. The cause is reported once.
func TestRefusedRequests(t *testing.T) {
	skewed := &vault.Cause{Sentinel: vault.ErrUnauthenticated, Reason: vault.ClockSkew, Message: "S3 PutObject: 403 RequestTimeTooSkewed"}
	for _, tc := range []struct {
		name  string
		cause *vault.Cause
		told  string
	}{
		{"clock", skewed, "RequestTimeTooSkewed"},
		{"expired", &vault.Cause{Sentinel: vault.ErrUnauthenticated, Reason: vault.TokenExpired, Message: "S3 PutObject: 400 ExpiredToken"}, "ExpiredToken"},
		{"denied", &vault.Cause{Sentinel: vault.ErrPermission, Reason: vault.AccessDenied, Message: "S3 PutObject: 403 AccessDenied"}, "AccessDenied"},
		{"refused", &vault.Cause{Sentinel: vault.ErrRefused, Message: "InvalidRequest"}, "InvalidRequest"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st := newCloud(t).open(t)
			refusing := intercept.Store(st, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
				if strings.Contains(c.Key, "/create") || strings.Contains(c.Key, "/read-after-write") || strings.Contains(c.Key, "/swap") {
					return tc.cause
				}
				return do()
			}})
			lines := examine(t, t.Context(), &doctor.Options{Store: refusing, Quick: true})
			told := 0
			for _, check := range []string{"create", "read-after-write", "swap"} {
				l := lines[check]
				if l.Status != doctor.NotProven || strings.Contains(l.Message, probe.ErrViolated.Error()) {
					t.Errorf("%s: %+v, want not proven", check, l)
				}
				told += strings.Count(l.Message, tc.told)
				if !strings.Contains(l.Message, tc.told) && !strings.Contains(l.Message, `same cause as for "create-only"`) {
					t.Errorf("%s: %q does not contain the reason", check, l.Message)
				}
			}
			if told != 1 && tc.cause.Reason != vault.ReasonUnknown {
				t.Errorf("the cause is reported %d times", told)
			}
		})
	}
	// If the clock is wrong, all later results refer to it.
	st := newCloud(t).open(t)
	refusing := intercept.Store(st, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op == "create" {
			return skewed
		}
		return do()
	}})
	lines := examine(t, t.Context(), &doctor.Options{Store: refusing, Quick: true, Cloud: late{20 * time.Minute}})
	if l := lines["create"]; l.Status != doctor.NotProven || !strings.Contains(l.Message, `same cause as for "the clock"`) {
		t.Errorf("create: %+v", l)
	}
}

// late is a cloud whose clock is behind by the given time.
type late struct{ by time.Duration }

func (l late) ServerTime(context.Context) (time.Time, error) { return time.Now().Add(-l.by), nil }
func (late) Caller(context.Context) (vault.Caller, error)    { return vault.Caller{}, nil }
func (late) Settings(context.Context) (none []vault.Setting) { return none }

// TestWhole: without a tenant, credentials that reach everything get a single result. It is a warning
// for the owner of the bucket, and broken isolation for any other caller.
func TestWhole(t *testing.T) {
	for _, owner := range []bool{true, false} {
		t.Run(fmt.Sprint("owner ", owner), func(t *testing.T) {
			st := newCloud(t).as(t, everything)
			broken, warned := 0, 0
			sum := doctor.Run(t.Context(), &doctor.Options{
				Store: st, Tenant: "default", Collection: vault.DefaultCollection, Isolated: true, Quick: true,
				OwnerCredentials: func(context.Context) (bool, string) { return owner, "arn:aws:iam::1:user/me" },
			}, func(l doctor.Line) {
				if l.Status == doctor.Broken {
					broken++
				}
				if l.Check == "isolation" && l.Status == doctor.Warning && strings.Contains(l.Message, "because they belong to its owner (arn:aws:iam::1:user/me): ") {
					warned++
				}
				if strings.Contains(l.Message, "ISOLATION BROKEN") == owner && strings.Contains(l.Message, "ISOLATION BROKEN") {
					t.Errorf("%s: %s", l.Check, l.Message)
				}
			})
			switch {
			case owner && (broken != 0 || warned != 1 || sum[doctor.Broken] != 0 || sum[doctor.Fail] != 0):
				t.Errorf("%d broken lines and %d warnings, %v", broken, warned, sum)
			case !owner && (broken != 1 || sum[doctor.Broken] < 5):
				t.Errorf("%d broken lines, %v", broken, sum)
			}
		})
	}
	// If the objects are public, that is reported separately, because an owner's credentials do not
	// explain it.
	readable := examine(t, t.Context(), &doctor.Options{
		Store: newCloud(t).as(t, everything), Tenant: "default", Collection: vault.DefaultCollection, Isolated: true, Quick: true,
		Cloud:            trier{uploads: vault.ErrPermission, abort: vault.ErrPermission, ownAbort: vault.ErrPermission},
		OwnerCredentials: func(context.Context) (bool, string) { return true, "arn:aws:iam::1:user/me" },
	})
	if l := readable["isolation-unsigned"]; l.Status != doctor.Broken {
		t.Errorf("a bucket that anyone can read: %+v", l)
	}
	// If the cloud isolates tenants, there is no summary.
	lines := examine(t, t.Context(), &doctor.Options{Store: newCloud(t).as(t, own("acme")), Isolated: true, Quick: true,
		OwnerCredentials: func(context.Context) (bool, string) { t.Error("the owner was requested"); return true, "" }})
	if l := lines["isolation-put"]; l.Status != doctor.OK {
		t.Errorf("%+v", l)
	}
}
