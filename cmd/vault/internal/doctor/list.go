package doctor

import (
	"context"
	"strings"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
)

// A listForm is a form of a list request. A policy is evaluated with the prefix and the delimiter
// of a request, not with the objects, so it may allow one form and deny another.
type listForm struct {
	below     string // the rest of the prefix, after the tenant's prefix: empty, or ends in a slash
	delimiter string
}

// listForms returns the forms of requests that list a tenant's objects.
func (e *checker) listForms() (all []listForm) {
	collection := string(e.Collection) + "/"
	for _, delimiter := range delimiters {
		for _, below := range []string{"", collection, collection + e.run + "/"} {
			all = append(all, listForm{below, delimiter})
		}
	}
	return all
}

var delimiters = []string{"", "/"}

// listable reports for each form whether the tenant can list its own objects.
func (e *checker) listable(ctx context.Context, p *tenantAccess) map[listForm]bool {
	allowed := make(map[listForm]bool)
	for _, s := range e.listForms() {
		_, err := listAs(ctx, p.store, tenantPrefix(p.tenant)+s.below, s.delimiter)
		allowed[s] = err == nil
	}
	return allowed
}

// unlisted lists another tenant's objects in every form, and returns the worst finding.
func (e *checker) unlisted(ctx context.Context, from *tenantAccess, to vault.Tenant, what, otherwise string) finding {
	var w worstFinding
	for _, s := range e.listForms() {
		w.add(from.denied(ctx, tenantPrefix(to)+s.below, s.delimiter, from.lists[s], what, otherwise))
	}
	return w.finding
}

// roots lists the prefixes that contain all tenants.
func (e *checker) roots(ctx context.Context) {
	for _, r := range []struct{ check, prefix, what string }{
		{"isolation-root", "", "the whole bucket"},
		{"isolation-tenants", tenantsPrefix, tenantsPrefix + ", the prefix of all tenants,"},
	} {
		var w worstFinding
		for _, delimiter := range delimiters {
			mine := false
			for s, allowed := range e.access.lists {
				mine = mine || allowed && s.delimiter == delimiter
			}
			w.add(e.access.denied(ctx, r.prefix, delimiter, mine, "list of "+strings.TrimSuffix(r.what, ","), r.what+" was listed"))
		}
		e.add(ctx, r.check, w.finding)
	}
}

// denied sends one list request that must be denied. proof reports whether the finding proves
// something.
func (p *tenantAccess) denied(ctx context.Context, prefix, delimiter string, mine bool, what, otherwise string) (f finding, proof bool) {
	_, err := listAs(ctx, p.store, prefix, delimiter)
	otherwise += ", with the prefix " + quoted(prefix)
	if delimiter != "" {
		otherwise += " and the delimiter " + quoted(delimiter)
	}
	return outside(p.store, err, mine, what, otherwise), mine || probe.Kind(p.store, err) != vault.ErrPermission
}

func quoted(s string) string { return `"` + s + `"` }

// A worstFinding is the worst of several findings about one check. A denial that proves nothing
// counts only if there is no other finding.
type worstFinding struct {
	finding
	weight int
}

func (w *worstFinding) add(f finding, proof bool) {
	weight := 1
	switch {
	case f.status == Broken:
		weight = 4
	case f.status == NotProven && proof:
		weight = 3
	case proof:
		weight = 2
	}
	if weight > w.weight {
		w.finding, w.weight = f, weight
	}
}
