package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// A cloud is one bucket that several tenants share.
type cloud struct {
	memory *memfs.Memory
	owner  *vault.Store // has every permission
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{memory: new(memfs.Memory)}
	c.owner = c.open(t)
	// Existing names.
	for _, key := range used {
		if err := c.owner.Bucket.WriteAll(t.Context(), key, []byte("value of "+key), nil); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

var used = []string{
	"bots/acme/credentials/doctor.enc", "bots/acme/credentials/openai.enc", "bots/acmex/credentials/openai.enc",
	"bots/other/credentials/openai.enc", "other-program",
}

func (c *cloud) open(t *testing.T) *vault.Store {
	t.Helper()
	s, err := memfs.Open(t.Context(), memfs.Config{Memory: c.memory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A rule reports whether a call is denied.
type rule func(c intercept.Call) bool

var errDenied = fmt.Errorf("the policy: %w", vault.ErrPermission)

// as returns the bucket as a client sees it whose calls the rule denies. If the client may not list the
// whole bucket, the cloud does not reveal that an object is missing either.
func (c *cloud) as(t *testing.T, denied rule) *vault.Store {
	st := intercept.Store(c.open(t), intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op != "purge" && denied(c) {
			return errDenied
		}
		err := do()
		if op("get", "attributes")(c) && gcerrors.Code(err) == gcerrors.NotFound && denied(intercept.Call{Op: "list"}) {
			return errDenied
		}
		return err
	}})
	st.Purge = bouncer{st.Purge, denied}
	return st
}

// own allows all calls below the tenant's prefix, and denies all others. Like the generated policies,
// it does not allow the tenant to delete versions.
func own(tenant string) rule {
	return func(c intercept.Call) bool {
		return c.Op == "purge" || !strings.HasPrefix(c.Key, "bots/"+tenant+"/")
	}
}

// unless returns the rule with an exception for some calls.
func (r rule) unless(allowed func(c intercept.Call) bool) rule {
	return func(c intercept.Call) bool { return r(c) && !allowed(c) }
}

// purging lets a tenant delete its versions, so that none has to remain.
func purging(tenant string) func(intercept.Call) bool {
	return func(c intercept.Call) bool { return c.Op == "purge" && strings.HasPrefix(c.Key, "bots/"+tenant+"/") }
}

func everything(intercept.Call) bool { return false }

func op(ops ...string) func(intercept.Call) bool {
	return func(c intercept.Call) bool { return slices.Contains(ops, c.Op) }
}

// examine runs doctor and returns the results by check.
func examine(t *testing.T, ctx context.Context, p *doctor.Options) map[string]doctor.Line {
	t.Helper()
	p.Collection = vault.DefaultCollection
	if p.Large == 0 {
		p.Large = 3 << 20
	}
	if p.Tenant == "" {
		p.Tenant = "acme"
	}
	lines := make(map[string]doctor.Line)
	want := make(doctor.Summary)
	sum := doctor.Run(ctx, p, func(l doctor.Line) {
		if _, twice := lines[l.Check]; twice {
			t.Errorf("two results of %s", l.Check)
		}
		lines[l.Check] = l
		want[l.Status]++
		t.Logf("%-18s %-22s %s | %s", l.Status, l.Check, l.Message, l.Hint)
		for _, text := range []string{l.Message, l.Hint} {
			for _, bad := range []string{"%!", "{ID:", "operation error", "StatusCode:"} {
				if strings.Contains(text, bad) {
					t.Errorf("%s was not formatted for a user: %s", l.Check, text)
				}
			}
		}
		if l.Status == doctor.Broken != strings.Contains(l.Message, "ISOLATION BROKEN") {
			t.Errorf("%s is %q: %s", l.Check, l.Status, l.Message)
		}
	})
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Errorf("the summary (-want +got):\n%s", diff)
	}
	return lines
}

// check compares the statuses of some checks.
func check(t *testing.T, lines map[string]doctor.Line, want map[string]doctor.Status) {
	t.Helper()
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got := lines[id].Status; got != want[id] {
			t.Errorf("%s is %q, want %q: %s", id, got, want[id], lines[id].Message)
		}
	}
}

// untouched checks that the bucket has the same content as before, including old versions.
func (c *cloud) untouched(t *testing.T, versions bool) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var keys []string
	page, _, err := c.owner.Bucket.ListPage(ctx, blob.FirstPageToken, 1000, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range page {
		keys = append(keys, o.Key)
	}
	if diff := cmp.Diff(used, keys); diff != "" {
		t.Errorf("the bucket (-before +after):\n%s", diff)
	}
	for _, key := range used {
		got, err := c.owner.Bucket.ReadAll(ctx, key)
		if err != nil || string(got) != "value of "+key {
			t.Errorf("%s contains %q, %v", key, got, err)
		}
	}
	if !versions {
		return
	}
	for l, err := range c.owner.Purge.Leftovers(ctx, "") {
		t.Errorf("left in history: %v, %v", l, err)
	}
}

// isolated contains the checks that must be ok without a second tenant.
var isolated = []string{
	"isolation-put", "isolation-list", "isolation-versions", "isolation-delete", "isolation-longer-put", "isolation-longer-list",
	"isolation-root", "isolation-tenants",
}

// crossed contains the checks with a second tenant.
var crossed = []string{
	"isolation-get", "isolation-get-version", "isolation-overwrite", "isolation-add", "isolation-remove", "isolation-names", "isolation-intact",
	"isolation-reverse-get", "isolation-reverse-get-version", "isolation-reverse-overwrite", "isolation-reverse-add", "isolation-reverse-remove",
	"isolation-reverse-names", "isolation-reverse-intact",
}

// purged contains the checks with a second tenant that need the permission to purge.
var purged = []string{"isolation-remove-version", "isolation-reverse-remove-version"}

func all(s doctor.Status, ids ...string) map[string]doctor.Status {
	m := make(map[string]doctor.Status)
	for _, id := range ids {
		m[id] = s
	}
	return m
}

// TestIsolated: if the cloud isolates tenants, every check passes, with and without a second tenant,
// and no object remains.
func TestIsolated(t *testing.T) {
	c := newCloud(t)
	p := &doctor.Options{Store: c.as(t, own("acme").unless(purging("acme"))), Isolated: true}
	lines := examine(t, t.Context(), p)
	check(t, lines, all(doctor.OK, isolated...))
	check(t, lines, all(doctor.OK, "bucket", "own-put", "own-get", "own-list", "own-delete", "cleanup",
		"read-after-write", "ranges", "all-or-nothing", "create", "create-after-delete", "create-detects", "create-large",
		"swap", "swap-atomic", "swap-large", "history", "versions", "all-or-nothing-large"))
	check(t, lines, map[string]doctor.Status{
		"isolation-get": doctor.NotProven, "keys": doctor.Warning,
		"clock": doctor.Skipped, "identity": doctor.Skipped, "bucket-settings": doctor.Skipped,
	})
	if hint := lines["isolation-get"].Hint; !strings.Contains(hint, "--other") || !strings.Contains(hint, "--foreign-key") {
		t.Errorf("the hint of isolation-get is %q", hint)
	}
	c.untouched(t, true)

	p.Other, p.OtherTenant, p.Quick = c.as(t, own("other").unless(purging("other"))), "other", true
	lines = examine(t, t.Context(), p)
	check(t, lines, all(doctor.OK, slices.Concat(crossed, purged, isolated)...))
	check(t, lines, all(doctor.OK, "cleanup", "create", "swap", "history"))
	check(t, lines, all(doctor.Skipped, "create-large", "create-detects", "swap-atomic", "swap-large", "all-or-nothing-large"))
	c.untouched(t, true)
}

// TestNotIsolated: if every call is allowed, every check reports it, and doctor removes the objects
// that it wrote outside the prefix.
func TestNotIsolated(t *testing.T) {
	c := newCloud(t)
	p := &doctor.Options{Store: c.as(t, everything), Isolated: true, Quick: true}
	lines := examine(t, t.Context(), p)
	check(t, lines, all(doctor.Broken, isolated...))
	check(t, lines, all(doctor.Broken, "isolation-get")) // doctor gets the object that it could put there
	check(t, lines, all(doctor.OK, "cleanup"))
	c.untouched(t, true)

	p.Other, p.OtherTenant = c.as(t, everything), "other"
	lines = examine(t, t.Context(), p)
	check(t, lines, all(doctor.Broken, slices.Concat(crossed, purged, isolated)...))
	check(t, lines, all(doctor.OK, "cleanup"))
	c.untouched(t, true)
}

// TestReadsAll: if a role has GetObject for all tenants and a correct list permission, doctor detects
// it with a second tenant or with an existing key. Otherwise the result is never ok.
func TestReadsAll(t *testing.T) {
	hole := own("acme").unless(purging("acme")).unless(func(c intercept.Call) bool { return c.Op == "get" })
	for _, tc := range []struct {
		name string
		with func(t *testing.T, c *cloud, p *doctor.Options)
		want doctor.Status
	}{
		{"alone", func(*testing.T, *cloud, *doctor.Options) {}, doctor.NotProven},
		{"with a second tenant", func(t *testing.T, c *cloud, p *doctor.Options) {
			p.Other, p.OtherTenant = c.as(t, own("other").unless(purging("other"))), "other"
		}, doctor.Broken},
		{"with a key", func(_ *testing.T, _ *cloud, p *doctor.Options) {
			p.ForeignKey = "bots/other/credentials/openai.enc"
		}, doctor.Broken},
		{"with a key that does not exist", func(_ *testing.T, _ *cloud, p *doctor.Options) {
			p.ForeignKey = "bots/other/credentials/none.enc"
		}, doctor.NotProven},
		{"with a key of the same tenant", func(_ *testing.T, _ *cloud, p *doctor.Options) {
			p.ForeignKey = "bots/acme/credentials/openai.enc"
		}, doctor.NotProven},
		{"with the same tenant", func(t *testing.T, c *cloud, p *doctor.Options) {
			p.Other, p.OtherTenant = c.as(t, own("acme")), "acme"
		}, doctor.NotProven},
		{"with a second tenant that cannot be used", func(_ *testing.T, _ *cloud, p *doctor.Options) {
			p.OtherErr = vault.ErrUnauthenticated
		}, doctor.NotProven},
		{"with a second tenant that may not put", func(t *testing.T, c *cloud, p *doctor.Options) {
			p.Other, p.OtherTenant = c.as(t, func(intercept.Call) bool { return true }), "other"
		}, doctor.NotProven},
		{"with a key and a second tenant that cannot be used", func(_ *testing.T, _ *cloud, p *doctor.Options) {
			p.OtherErr, p.ForeignKey = vault.ErrUnauthenticated, "bots/other/credentials/openai.enc"
		}, doctor.Broken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCloud(t)
			p := &doctor.Options{Store: c.as(t, hole), Isolated: true, Quick: true}
			tc.with(t, c, p)
			lines := examine(t, t.Context(), p)
			check(t, lines, all(doctor.OK, isolated...))
			check(t, lines, all(tc.want, "isolation-get"))
			c.untouched(t, true)
		})
	}
}

// TestAnswersLie: if the response is a denial but the object was changed, the check of the owner's
// objects detects it.
func TestAnswersLie(t *testing.T) {
	for _, done := range []string{"theirs.enc", "added.enc"} {
		c := newCloud(t)
		liar := intercept.Store(c.open(t), intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			switch denied := own("acme").unless(purging("acme"))(c); {
			case denied && c.Op == "put" && strings.HasSuffix(c.Key, done):
				do()
				return vault.ErrPermission
			case denied:
				return vault.ErrPermission
			}
			return do()
		}})
		liar.Purge = bouncer{c.owner.Purge, own("acme").unless(purging("acme"))}
		p := &doctor.Options{Store: liar, Isolated: true, Quick: true, Other: c.as(t, own("other").unless(purging("other"))), OtherTenant: "other"}
		lines := examine(t, t.Context(), p)
		check(t, lines, map[string]doctor.Status{
			"isolation-overwrite": doctor.OK, "isolation-add": doctor.OK, "isolation-intact": doctor.Broken, "isolation-reverse-intact": doctor.OK,
		})
		c.untouched(t, true)
	}
}

// TestForeignKeyDenied: a read of a missing object is denied as well. So a denial proves isolation only
// if the second tenant can see that the key exists.
func TestForeignKeyDenied(t *testing.T) {
	for _, tc := range []struct {
		name   string
		key    string
		second bool
		want   doctor.Status
	}{
		{"exists", "bots/other/credentials/openai.enc", false, doctor.NotProven},
		{"missing", "bots/other/credentials/none.enc", false, doctor.NotProven},
		{"exists for the second tenant", "bots/other/credentials/openai.enc", true, doctor.OK},
		{"missing for the second tenant", "bots/other/credentials/none.enc", true, doctor.NotProven},
		{"of a third tenant", "bots/acmex/credentials/openai.enc", true, doctor.NotProven},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCloud(t)
			p := &doctor.Options{Store: c.as(t, own("acme").unless(purging("acme"))), Isolated: true, Quick: true, ForeignKey: tc.key}
			if tc.second {
				// The second tenant puts nothing, so only the key decides.
				p.Other, p.OtherTenant = c.as(t, func(c intercept.Call) bool { return own("other")(c) || c.Op == "put" }), "other"
			}
			l := examine(t, t.Context(), p)["isolation-get"]
			if l.Status != tc.want {
				t.Errorf("%q, want %q: %s", l.Status, tc.want, l.Message)
			}
			if !tc.second && !strings.Contains(l.Message, "the object may not exist") {
				t.Errorf("the message does not explain what a denial proves: %s", l.Message)
			}
		})
	}
}

// TestListHoles: policies can depend on the prefix and the delimiter of a list, so a list of another
// tenant's prefix may be denied in one form and allowed in another. One allowed form breaks isolation.
func TestListHoles(t *testing.T) {
	lists := func(c intercept.Call) bool { return c.Op == "list" }
	for _, tc := range []struct {
		name   string
		allow  func(c intercept.Call) bool
		deny   func(c intercept.Call) bool
		broken []string
	}{
		{name: "one collection of all tenants", allow: func(c intercept.Call) bool {
			return lists(c) && strings.HasPrefix(c.Key, "bots/") && strings.Contains(c.Key, "/credentials/")
		}, deny: func(c intercept.Call) bool {
			return lists(c) && !strings.Contains(c.Key, "/credentials/")
		}, broken: []string{"isolation-list", "isolation-longer-list", "isolation-names"}},
		{name: "home folders", allow: func(c intercept.Call) bool {
			return lists(c) && c.Delimiter == "/" && (c.Key == "" || c.Key == "bots/")
		}, broken: []string{"isolation-root", "isolation-tenants"}},
		{name: "as directories", allow: func(c intercept.Call) bool {
			return lists(c) && c.Delimiter == "/" && strings.Count(c.Key, "/") > 1
		}, broken: []string{"isolation-list", "isolation-longer-list", "isolation-names"}},
		{name: "deep down", allow: func(c intercept.Call) bool {
			return lists(c) && strings.Count(c.Key, "/") == 4
		}, broken: []string{"isolation-list", "isolation-longer-list", "isolation-names"}},
		{name: "only its own collection", deny: func(c intercept.Call) bool {
			return lists(c) && !strings.HasPrefix(c.Key, "bots/acme/credentials/")
		}},
		{name: "no delimiter", deny: func(c intercept.Call) bool { return lists(c) && c.Delimiter != "" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCloud(t)
			denied := own("acme").unless(purging("acme"))
			p := &doctor.Options{
				Store: c.as(t, func(c intercept.Call) bool {
					return (denied(c) || tc.deny != nil && tc.deny(c)) && (tc.allow == nil || !tc.allow(c))
				}),
				Isolated: true, Quick: true, Other: c.as(t, own("other").unless(purging("other"))), OtherTenant: "other",
			}
			lines := examine(t, t.Context(), p)
			want := all(doctor.OK, slices.Concat(crossed, purged, isolated)...)
			for _, id := range tc.broken {
				want[id] = doctor.Broken
			}
			check(t, lines, want)
			c.untouched(t, true)
		})
	}
}

// TestVersionIDs: access to a version by its ID requires other permissions than access to the object.
func TestVersionIDs(t *testing.T) {
	for _, tc := range []struct {
		name string
		rule rule // of the first tenant
		want map[string]doctor.Status
	}{
		{"readable", own("acme").unless(purging("acme")).unless(op("open-version")), map[string]doctor.Status{
			"isolation-get": doctor.OK, "isolation-get-version": doctor.Broken, "isolation-remove-version": doctor.OK,
			"isolation-reverse-get-version": doctor.OK,
		}},
		{"removable", own("acme").unless(op("purge")), map[string]doctor.Status{
			"isolation-remove": doctor.OK, "isolation-remove-version": doctor.Broken, "isolation-get-version": doctor.OK,
			"isolation-reverse-remove-version": doctor.OK,
		}},
		{"not removable under its own prefix either", own("acme"), map[string]doctor.Status{
			"isolation-remove-version": doctor.NotProven, "isolation-get-version": doctor.OK, "isolation-remove": doctor.OK,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCloud(t)
			p := &doctor.Options{
				Store: c.as(t, tc.rule), Isolated: true, Quick: true,
				Other: c.as(t, own("other").unless(purging("other"))), OtherTenant: "other",
			}
			check(t, examine(t, t.Context(), p), tc.want)
			c.untouched(t, false)
		})
	}

	// Without a history there are no version IDs. A tenant that cannot list its own prefix proves
	// nothing.
	c := newCloud(t)
	p := &doctor.Options{
		Store: c.as(t, own("acme").unless(purging("acme"))), Isolated: true, Quick: true, OtherTenant: "other",
		Other: c.as(t, func(c intercept.Call) bool { return own("other")(c) || c.Op == "versions" }),
	}
	check(t, examine(t, t.Context(), p), all(doctor.NotProven, "isolation-get-version", "isolation-remove-version"))
	p.Other = c.as(t, own("other").unless(purging("other")))
	p.Other.History, p.Other.Purge = nil, nil
	if l, ok := examine(t, t.Context(), p)["isolation-get-version"]; ok {
		t.Errorf("%+v", l)
	}
}

// TestNobodyDeletes: if a tenant cannot delete its own object, a remaining object does not break
// isolation.
func TestNobodyDeletes(t *testing.T) {
	c := newCloud(t)
	as := func(tenant string) *vault.Store {
		return c.as(t, func(c intercept.Call) bool { return own(tenant)(c) || c.Op == "remove" })
	}
	p := &doctor.Options{Store: as("acme"), Isolated: true, Quick: true, Other: as("other"), OtherTenant: "other"}
	check(t, examine(t, t.Context(), p), map[string]doctor.Status{
		"own-delete": doctor.Fail, "isolation-remove": doctor.NotProven, "isolation-intact": doctor.OK,
		"isolation-reverse-remove": doctor.NotProven, "isolation-reverse-intact": doctor.OK, "cleanup": doctor.Warning,
	})
}

// TestOneHole: each permission that is too broad is reported by its own check, and by no other.
func TestOneHole(t *testing.T) {
	for _, tc := range []struct {
		line  string
		allow func(c intercept.Call) bool
	}{
		{"isolation-list", func(c intercept.Call) bool { return c.Op == "list" && strings.HasPrefix(c.Key, "bots/doctor-") }},
		{"isolation-versions", func(c intercept.Call) bool { return c.Op == "versions" }},
		{"isolation-root", func(c intercept.Call) bool { return c.Op == "list" && c.Key == "" }},
		{"isolation-tenants", func(c intercept.Call) bool { return c.Op == "list" && c.Key == "bots/" }},
		{"isolation-longer-put", func(c intercept.Call) bool {
			return slices.Contains([]string{"put", "remove"}, c.Op) && strings.HasPrefix(c.Key, "bots/acmex/")
		}},
		{"isolation-longer-list", func(c intercept.Call) bool { return c.Op == "list" && strings.HasPrefix(c.Key, "bots/acmex/") }},
	} {
		t.Run(tc.line, func(t *testing.T) {
			c := newCloud(t)
			p := &doctor.Options{Store: c.as(t, own("acme").unless(purging("acme")).unless(tc.allow)), Isolated: true, Quick: true}
			lines := examine(t, t.Context(), p)
			want := all(doctor.OK, isolated...)
			want[tc.line] = doctor.Broken
			check(t, lines, want)
			c.untouched(t, false)
		})
	}
}

// TestOtherAnswers: a response that is neither a denial nor a success proves nothing. Neither does a
// denial if the same request is denied under the tenant's own prefix.
func TestOtherAnswers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		store func(t *testing.T, c *cloud) *vault.Store
		want  map[string]doctor.Status
	}{
		{"unavailable outside", func(t *testing.T, c *cloud) *vault.Store {
			return intercept.Store(c.open(t), intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
				if own("acme")(c) {
					return errors.New("503 from a proxy")
				}
				return do()
			}})
		}, all(doctor.NotProven, isolated...)},
		{"expired outside", func(t *testing.T, c *cloud) *vault.Store {
			return intercept.Store(c.open(t), intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
				if own("acme")(c) {
					return vault.ErrUnauthenticated
				}
				return do()
			}})
		}, all(doctor.NotProven, isolated...)},
		{"all is denied", func(t *testing.T, c *cloud) *vault.Store {
			return c.as(t, func(intercept.Call) bool { return true })
		}, all(doctor.NotProven, append([]string{"isolation-get", "contract", "own-get", "own-list", "own-delete"}, isolated...)...)},
		{"puts are denied", func(t *testing.T, c *cloud) *vault.Store {
			denied := own("acme")
			return c.as(t, func(c intercept.Call) bool { return denied(c) || op("put", "create")(c) })
		}, map[string]doctor.Status{
			"own-put": doctor.Fail, "isolation-put": doctor.NotProven, "isolation-longer-put": doctor.NotProven,
			"isolation-delete": doctor.NotProven, "isolation-root": doctor.OK, "isolation-list": doctor.OK, "contract": doctor.NotProven,
		}},
		{"lists are denied", func(t *testing.T, c *cloud) *vault.Store {
			denied := own("acme")
			return c.as(t, func(c intercept.Call) bool { return denied(c) || c.Op == "list" })
		}, map[string]doctor.Status{
			"bucket": doctor.Fail, "own-put": doctor.OK, "own-list": doctor.Fail, "isolation-put": doctor.OK,
			"isolation-list": doctor.NotProven, "isolation-root": doctor.NotProven,
		}},
		{"reads are denied", func(t *testing.T, c *cloud) *vault.Store {
			denied := own("acme")
			return c.as(t, func(c intercept.Call) bool { return denied(c) || c.Op == "get" })
		}, map[string]doctor.Status{"own-get": doctor.Fail, "isolation-put": doctor.OK, "create": doctor.NotProven}},
		{"no remover", func(t *testing.T, c *cloud) *vault.Store {
			s := c.as(t, own("acme").unless(purging("acme")))
			s.Remover = nil
			return s
		}, map[string]doctor.Status{"own-delete": doctor.OK, "isolation-delete": doctor.NotProven, "isolation-put": doctor.OK}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCloud(t)
			p := &doctor.Options{Store: tc.store(t, c), Isolated: true, Quick: true}
			check(t, examine(t, t.Context(), p), tc.want)
			c.untouched(t, false)
		})
	}
}

// TestUnreached: a check that cannot run is not proven, and the result contains the reason.
func TestUnreached(t *testing.T) {
	c := newCloud(t)
	answer := func(err error) *vault.Store {
		return intercept.Store(c.open(t), intercept.Hooks{Call: func(context.Context, intercept.Call, func() error) error { return err }})
	}
	for _, tc := range []struct {
		name string
		p    doctor.Options
		want string
	}{
		{"not opened", doctor.Options{StoreErr: errors.New("no route")}, "the store cannot be opened: no route"},
		{"not authenticated", doctor.Options{Store: answer(vault.ErrUnauthenticated)}, "mem:// refuses these credentials: blob (code=Unknown): not authenticated"},
		{"no answer", doctor.Options{Store: answer(errors.New("no route"))}, "mem:// cannot be reached: blob (code=Unknown): no route"},
		{"no bucket", doctor.Options{Store: answer(vault.ErrUnavailable)}, "mem:// cannot be reached: blob (code=Unknown): unavailable"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.p.Isolated = true
			tc.p.Name, tc.p.Cloud = "s3://bucket", settled
			lines := examine(t, t.Context(), &tc.p)
			check(t, lines, map[string]doctor.Status{
				"bucket": doctor.Fail, "own": doctor.NotProven, "isolation": doctor.NotProven, "contract": doctor.NotProven,
				"lifecycle": doctor.OK, "keys": doctor.Warning,
			})
			if got := lines["bucket"].Message; !strings.Contains(got, tc.want) {
				t.Errorf("message %q, want %q", got, tc.want)
			}
		})
	}
}

// TestNoStoreYet: a store that does not exist yet is not a failure.
func TestNoStoreYet(t *testing.T) {
	check(t, examine(t, t.Context(), &doctor.Options{}), map[string]doctor.Status{
		"bucket": doctor.Warning, "own": doctor.Skipped, "isolation": doctor.Skipped, "contract": doctor.Skipped,
	})
}

// TestHint: the reason in a provider's cause determines the hint.
func TestHint(t *testing.T) {
	c := newCloud(t)
	s := c.as(t, func(intercept.Call) bool { return true })
	s.Explain = func(error) error { return &vault.Cause{Sentinel: vault.ErrPermission, Reason: vault.AccessDenied} }
	hint := func(err error, otherwise string) string {
		var cause *vault.Cause
		if errors.As(err, &cause) && cause.Reason == vault.AccessDenied {
			return "ask {prog}"
		}
		return otherwise
	}
	lines := examine(t, t.Context(), &doctor.Options{Store: s, Quick: true, Hint: hint})
	if got := lines["bucket"].Hint; got != "ask {prog}" {
		t.Errorf("hint %q", got)
	}
}

// TestInFewWords: a response is described as the provider explains it, and the reason of a probe in
// terms that a user knows.
func TestInFewWords(t *testing.T) {
	explain := func(err error) error {
		if a, ok := errors.AsType[*answer](err); ok && a.code == "AccessDenied" {
			return &vault.Cause{Sentinel: vault.ErrPermission, Message: "S3 PutObject: 403 AccessDenied, request tx1"}
		}
		return nil
	}
	refusing := func(code string) func(t *testing.T, s *vault.Store) *vault.Store {
		return func(t *testing.T, s *vault.Store) *vault.Store {
			return intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
				if c.Op == "put" {
					return &answer{code}
				}
				return do()
			}})
		}
	}
	for _, tc := range []struct {
		name, check, want string
		store             func(t *testing.T, s *vault.Store) *vault.Store
	}{
		{"a sentinel before the answer", "swap", "or always fail (a swap was refused: conflict)", func(_ *testing.T, s *vault.Store) *vault.Store {
			s.Swap = conflicted{}
			return s
		}},
		{"an answer that is explained", "own-put", "put under your prefix: permission denied: S3 PutObject: 403 AccessDenied, request tx1", refusing("AccessDenied")},
		{"a history", "history", `.past.enc" has 1 version, want 5)`, func(_ *testing.T, s *vault.Store) *vault.Store {
			s.History = forgetful{s.History}
			return s
		}},
		{"a probe's words before the answer", "read-after-write", `want the error "not found", got "permission denied": permission denied: S3 PutObject: 403 AccessDenied, request tx1`, func(_ *testing.T, s *vault.Store) *vault.Store {
			return intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
				if strings.Contains(c.Key, "read-after-write") {
					return &answer{"AccessDenied"}
				}
				return do()
			}})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := tc.store(t, newCloud(t).open(t))
			s.Explain = explain
			got := examine(t, t.Context(), &doctor.Options{Store: s, Quick: true})[tc.check].Message
			if !strings.HasSuffix(got, tc.want) || strings.Contains(got, "blob (") {
				t.Errorf("%q, want …%q", got, tc.want)
			}
		})
	}
}

// TestBucketVersioning: the setting of the bucket is reported separately from the behaviour of the
// store.
func TestBucketVersioning(t *testing.T) {
	p := &doctor.Options{StoreErr: errors.New("none"), Name: "s3://bucket", Cloud: settled}
	lines := examine(t, t.Context(), p)
	if got := []string{lines["versioning"].Message, lines["lifecycle"].Message}; !slices.Equal(got, []string{"bucket versioning is enabled", "a lifecycle rule removes parts of unfinished uploads"}) {
		t.Errorf("%q", got)
	}
}

// TestHistoryStays: if versions may not be deleted, the result contains their number.
func TestHistoryStays(t *testing.T) {
	c := newCloud(t)
	p := &doctor.Options{Store: c.as(t, own("acme")), Isolated: true, Quick: true}
	lines := examine(t, t.Context(), p)
	check(t, lines, all(doctor.OK, isolated...))
	check(t, lines, map[string]doctor.Status{"cleanup": doctor.Warning, "create": doctor.OK, "history": doctor.OK})
	c.untouched(t, false)
	n := 0
	for _, err := range c.owner.Purge.Leftovers(t.Context(), "bots/acme/credentials/doctor-") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	want := fmt.Sprintf("%d old versions are left in the history under bots/acme/credentials/doctor-", n)
	if got := lines["cleanup"].Message; n == 0 || !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q…", got, want)
	}
}

// TestNotRemoved: objects that cannot be removed are named.
func TestNotRemoved(t *testing.T) {
	c := newCloud(t)
	denied := own("acme").unless(func(c intercept.Call) bool { return c.Op == "put" })
	p := &doctor.Options{Store: c.as(t, denied), Isolated: true, Quick: true}
	lines := examine(t, t.Context(), p)
	check(t, lines, map[string]doctor.Status{"isolation-put": doctor.Broken, "isolation-delete": doctor.OK, "cleanup": doctor.Warning})
	if got := lines["cleanup"].Message; !strings.Contains(got, "bots/doctor-") || !strings.Contains(got, "bots/acmex/credentials/doctor-") {
		t.Errorf("the remaining objects are not named: %q", got)
	}
}

// TestInterrupted: after the context ends at any request, no object remains, and no later check has a
// result.
func TestInterrupted(t *testing.T) {
	for _, n := range []int{1, 3, 5, 7, 9, 12, 15, 18, 22, 30, 60, 100, 150} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			c := newCloud(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var mu sync.Mutex
			calls := 0
			end := func(s *vault.Store) *vault.Store {
				return intercept.Store(s, intercept.Hooks{Call: func(ctx context.Context, c intercept.Call, do func() error) error {
					mu.Lock()
					if calls++; calls == n {
						cancel()
					}
					mu.Unlock()
					err := do() // the response arrives too late
					if ctx.Err() != nil {
						return ctx.Err()
					}
					return err
				}})
			}
			p := &doctor.Options{
				Store: end(c.as(t, own("acme").unless(purging("acme")))), Isolated: true,
				Other: end(c.as(t, own("other").unless(purging("other")))), OtherTenant: "other",
			}
			lines := examine(t, ctx, p)
			for id, l := range lines {
				if l.Status != doctor.OK && l.Status != doctor.Skipped && id != "cleanup" {
					t.Errorf("%s is %q: %s", id, l.Status, l.Message)
				}
			}
			if _, ok := lines["keys"]; ok {
				t.Error("doctor ran all checks")
			}
			c.untouched(t, true)
		})
	}
}

// TestHands: with a read-only profile, doctor writes nothing.
func TestHands(t *testing.T) {
	c := newCloud(t)
	s := intercept.Store(c.as(t, own("acme")), intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if !op("get", "list", "versions")(c) {
			t.Errorf("%s %s", c.Op, c.Key)
		}
		return do()
	}})
	p := &doctor.Options{Store: s, Isolated: true, NoWrites: "this profile is read-only", Other: c.as(t, own("other")), OtherTenant: "other"}
	lines := examine(t, t.Context(), p)
	check(t, lines, map[string]doctor.Status{
		"bucket": doctor.OK, "own": doctor.Skipped, "contract": doctor.Skipped, "isolation-put": doctor.Skipped,
		"isolation-delete": doctor.Skipped, "isolation-list": doctor.OK, "isolation-root": doctor.OK, "isolation-get": doctor.NotProven,
	})
	if _, ok := lines["cleanup"]; ok {
		t.Error("doctor had objects to remove")
	}
}

// TestContract: a missing feature of a store is reported with its consequence.
func TestContract(t *testing.T) {
	if testing.Short() {
		t.Skip("one check after the other")
	}
	for _, tc := range []struct {
		name  string
		store func(s *vault.Store) *vault.Store
		want  map[string]doctor.Status
	}{
		{"ignores create-only", func(s *vault.Store) *vault.Store {
			s.Create = overwriter{s, nil}
			return s
		}, map[string]doctor.Status{"create": doctor.Fail, "create-detects": doctor.Skipped, "create-large": doctor.Skipped, "swap": doctor.OK}},
		{"ignores create-only of large objects", func(s *vault.Store) *vault.Store {
			s.Create = overwriter{s, s.Create}
			return s
		}, map[string]doctor.Status{"create": doctor.OK, "create-detects": doctor.OK, "create-large": doctor.Warning}},
		{"refuses to create", func(s *vault.Store) *vault.Store {
			s.Create, s.Swap, s.Tag = decliner{}, nil, nil
			return s
		}, map[string]doctor.Status{"create": doctor.Warning, "create-detects": doctor.Skipped, "create-large": doctor.Skipped, "swap": doctor.Skipped,
			"read-after-write": doctor.OK, "all-or-nothing": doctor.OK, "history": doctor.OK,
		}},
		{"refuses to swap", func(s *vault.Store) *vault.Store {
			s.Swap = refuser{}
			return s
		}, map[string]doctor.Status{
			"swap": doctor.Warning, "swap-atomic": doctor.Skipped, "swap-large": doctor.Skipped, "create": doctor.OK,
			"read-after-write": doctor.OK, "history": doctor.OK, "all-or-nothing": doctor.OK,
		}},
		{"no history", func(s *vault.Store) *vault.Store {
			s.History, s.Purge = nil, nil
			return s
		}, map[string]doctor.Status{"history": doctor.Skipped, "versions": doctor.Skipped, "create": doctor.OK}},
		{"no swap", func(s *vault.Store) *vault.Store {
			s.Swap, s.Tag = nil, nil
			return s
		}, map[string]doctor.Status{"swap": doctor.Skipped, "swap-atomic": doctor.Skipped, "create": doctor.OK}},
		{"never versioned", func(s *vault.Store) *vault.Store {
			s.History = forgetful{s.History}
			return s
		}, map[string]doctor.Status{"history": doctor.Warning, "versions": doctor.Skipped}},
		{"creates through the bucket", func(s *vault.Store) *vault.Store {
			s.Create = nil
			return s
		}, map[string]doctor.Status{"create": doctor.OK, "create-large": doctor.OK}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCloud(t)
			lines := examine(t, t.Context(), &doctor.Options{Store: tc.store(c.open(t))})
			check(t, lines, tc.want)
			check(t, lines, all(doctor.Skipped, "isolation"))
			c.untouched(t, false)
		})
	}
	declining := newCloud(t).open(t)
	declining.Create = decliner{}
	if got := examine(t, t.Context(), &doctor.Options{Store: declining, Quick: true})["create"].Message; !strings.HasPrefix(got, "create-only: refused by this store: ") || strings.Contains(got, "overwrite") {
		t.Errorf("a create that is refused: %q", got)
	}
	if got, want := "isolation: mem:// does not isolate tenants", examine(t, t.Context(), &doctor.Options{Store: newCloud(t).owner, Quick: true})["isolation"].Message; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tc := range []struct {
		ahead time.Duration
		want  doctor.Status
		says  string
	}{
		{0, doctor.OK, "less than a minute"},
		{-59 * time.Second, doctor.OK, "less than a minute"},
		{time.Minute, doctor.Warning, "the local clock is 1m0s ahead of the clock of the cloud"},
		{-2 * time.Minute, doctor.Warning, "the local clock is 2m0s behind the clock of the cloud"},
		{5 * time.Minute, doctor.Warning, "tokens may seem expired"},
		{15 * time.Minute, doctor.Fail, "15m0s ahead of the clock of the cloud; the cloud refuses requests if"},
		{-24 * time.Hour, doctor.Fail, "24h0m0s behind"},
	} {
		t.Run(tc.ahead.String(), func(t *testing.T) {
			p := &doctor.Options{
				StoreErr: errors.New("none"), Now: func() time.Time { return now.Add(tc.ahead) },
				Cloud: &fakeCloud{now: now},
			}
			l := examine(t, t.Context(), p)["clock"]
			if l.Status != tc.want || !strings.Contains(l.Message, tc.says) || (l.Hint == "") != (tc.want == doctor.OK) {
				t.Errorf("%+v, want %q: …%s…", l, tc.want, tc.says)
			}
		})
	}
	p := &doctor.Options{StoreErr: errors.New("none"), Cloud: &fakeCloud{now: now, err: errors.New("no answer")}}
	check(t, examine(t, t.Context(), p), all(doctor.NotProven, "clock"))
}

func TestKeys(t *testing.T) {
	fixed := kek.InsecureFixed()
	for _, tc := range []struct {
		name string
		p    doctor.Options
		want doctor.Status
	}{
		{"one", doctor.Options{Keys: []envelope.KeySource{fixed}}, doctor.OK},
		{"none", doctor.Options{}, doctor.Warning},
		{"unusable", doctor.Options{KeysErr: errors.New("mode 0644")}, doctor.Fail},
		{"a source that does not open", doctor.Options{Keys: []envelope.KeySource{fixed, sealsOnly{fixed}}}, doctor.Fail},
		{"a source that does not seal", doctor.Options{Keys: []envelope.KeySource{opensOnly{fixed}}}, doctor.Fail},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.p.StoreErr = errors.New("none")
			check(t, examine(t, t.Context(), &tc.p), all(tc.want, "keys"))
		})
	}
}

// TestPrefix: a list of the tenant's prefix contains the objects of a vault.
func TestPrefix(t *testing.T) {
	c := newCloud(t)
	v, err := vault.New(c.owner, "acme", []envelope.KeySource{kek.InsecureFixed()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Put(t.Context(), "n", strings.NewReader("value"), nil); err != nil {
		t.Fatal(err)
	}
	lines := examine(t, t.Context(), &doctor.Options{Store: c.as(t, own("acme").unless(purging("acme"))), Isolated: true, Quick: true, ForeignKey: "bots/acme/credentials/n.enc"})
	if got := lines["isolation-get"].Message; !strings.Contains(got, "under your prefix") {
		t.Errorf("%q", got)
	}
	if err := v.Delete(t.Context(), "n", nil); err != nil {
		t.Errorf("the object of the vault is missing: %v", err)
	}
}

func ExampleRun() {
	ctx := context.Background()
	store, _ := memfs.Open(ctx, memfs.Config{})
	defer store.Close()
	p := &doctor.Options{Store: store, Tenant: "acme", Collection: "credentials", Keys: []envelope.KeySource{kek.InsecureFixed()}, Quick: true}
	sum := doctor.Run(ctx, p, func(l doctor.Line) {
		if strings.HasPrefix(l.Check, "own-") {
			fmt.Println(l.Status, l.Message)
		}
	})
	fmt.Println(sum[doctor.Fail], sum[doctor.Broken])
	// Output:
	// ok put under your prefix
	// ok get under your prefix
	// ok list under your prefix
	// ok delete under your prefix
	// 0 0
}

// A fakeCloud returns the results that a test sets.
type fakeCloud struct {
	now      time.Time
	err      error
	settings []vault.Setting
}

func (c *fakeCloud) ServerTime(context.Context) (time.Time, error) { return c.now, c.err }
func (c *fakeCloud) Caller(context.Context) (vault.Caller, error)  { return vault.Caller{}, c.err }
func (c *fakeCloud) Settings(context.Context) []vault.Setting      { return c.settings }

// settled is the cloud of a bucket with correct settings.
var settled = &fakeCloud{now: time.Now(), settings: []vault.Setting{
	{Name: "endpoint"},
	{Name: "versioning", Document: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"},
	{Name: "lifecycle", Document: "<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter><Prefix>bots/</Prefix></Filter>" +
		"<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"},
	{Name: "policy"},
}}
