package doctor

import (
	"context"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
)

const unsignedCheck = "isolation-unsigned"

// trials tries requests that no tenant needs: a read without credentials, and requests for other
// tenants' multipart uploads.
func (e *checker) trials(ctx context.Context) {
	if e.Cloud == nil {
		return
	}
	trier, ok := e.Cloud.(vault.CloudTrier)
	for _, t := range []struct {
		check, what string
		try         func(context.Context, vault.CloudTrier) finding
	}{
		{unsignedCheck, "get of an object without credentials", e.unsigned},
		{"isolation-uploads", "list of multipart uploads under another tenant's prefix", e.uploads},
		{"isolation-abort", "abort of a multipart upload under another tenant's prefix", e.abort},
	} {
		f := found(NotProven, "%s: not tried, because this store does not support the check", t.what)
		if ok && ctx.Err() == nil {
			f = t.try(ctx, trier)
		}
		e.add(ctx, t.check, f)
	}
	e.add(ctx, "isolation-policy", found(NotProven, "change of the bucket policy: not tried, because it would change the policy").
		hinted("check the policies of the role with {prog} policy check"))
}

// unsigned reads an object of the tenant without credentials.
func (e *checker) unsigned(ctx context.Context, trier vault.CloudTrier) finding {
	const what = "get of an object without credentials"
	switch {
	case e.NoWrites != "":
		return found(Skipped, "%s: %s", what, e.NoWrites)
	case !e.access.gets:
		return found(NotProven, "%s: not tried, because no object could be stored and read under your prefix", what)
	}
	key := e.access.prefix + "unsigned.enc"
	e.leftover(e.Store, e.access.prefix, key)
	if err := put(ctx, e.Store, key, random()); err != nil {
		return found(NotProven, "%s: not tried, because no object could be stored under your prefix: %s", what, described(e.Store, err))
	}
	err := trier.TryUnsigned(ctx, key)
	if probe.Kind(e.Store, err) == vault.ErrUnauthenticated { // how some servers deny it
		return found(OK, "%s: denied", what)
	}
	return outside(e.Store, err, true, what, "an object was read without credentials")
}

// uploads lists other tenants' multipart uploads, whose keys contain names. No tenant needs to list
// multipart uploads, so a denial alone proves isolation.
func (e *checker) uploads(ctx context.Context, trier vault.CloudTrier) finding {
	return outside(e.Store, trier.TryUploads(ctx, prefix(vault.Tenant(e.run), e.Collection)), true,
		"list of multipart uploads under another tenant's prefix", "multipart uploads under another tenant's prefix were listed")
}

// abort aborts an upload that does not exist. Some servers look for the upload before they check
// the permission, so a response other than a denial proves nothing.
func (e *checker) abort(ctx context.Context, trier vault.CloudTrier) finding {
	const what = "abort of a multipart upload under another tenant's prefix"
	if e.NoWrites != "" {
		return found(Skipped, "%s: %s", what, e.NoWrites)
	}
	mine := trier.TryAbort(ctx, e.access.prefix+"abort.enc") == nil
	err := trier.TryAbort(ctx, prefix(vault.Tenant(e.run), e.Collection)+e.run+"/abort.enc")
	if err == nil {
		return found(NotProven, "%s: not denied: the server reports that the upload does not exist, but some servers check this before the permission", what).
			hinted("use {prog} policy check to find out whether the role can abort uploads outside its prefix")
	}
	return outside(e.Store, err, mine, what, "")
}
