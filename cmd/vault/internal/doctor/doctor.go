// Package doctor checks a store with the user's identity, bucket and keys: which features the store
// supports (package probe), whether its cloud isolates tenants, and whether the keys can open the
// values that they seal. It uses names that no other object has.
//
//	p := &doctor.Options{Store: store, Tenant: "acme", Collection: "credentials", Isolated: true}
//	sum := doctor.Run(ctx, p, func(l doctor.Line) { fmt.Println(l.Status, l.Check, l.Message) })
//
// Only a denied request proves isolation. If a request to another tenant's prefix succeeds, the
// result is [Broken]. If it fails with any error other than a denial, or if the same request is
// also denied under the tenant's own prefix, the result is [NotProven]. Reads are tried on an
// object that a second tenant has just read, because a missing key is denied even if every object
// can be read.
//
// The doctor writes objects with random names and removes them, also when the context ends.
package doctor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/vault"
)

// A Line is the result of one check.
type Line struct {
	Check   string // a stable identifier, such as "isolation-put"
	Status  Status
	Message string
	Hint    string // what to do; may be empty. {prog} and {vault} stand for the program, {vault} with the flags that select the vault
}

// A Status is the outcome of a check.
type Status string

// The statuses.
const (
	OK        Status = "ok"
	Info      Status = "info" // a setting; nothing was checked
	Skipped   Status = "skipped"
	NotProven Status = "not proven"
	Warning   Status = "warning"
	Fail      Status = "fail"
	Broken    Status = "broken" // tenants are not isolated
)

// Options describes what the doctor checks. If a field is nil, its checks are skipped.
type Options struct {
	// Store contains the objects of Tenant in Collection. If it is nil, opening the store failed
	// with StoreErr, or StoreErr is nil and the store does not exist yet.
	Store      *vault.Store
	StoreErr   error
	Tenant     vault.Tenant
	Collection vault.Collection
	// Reopen opens another client of the same store for concurrent requests. If it is nil, one
	// client sends all requests.
	Reopen func(context.Context) (*vault.Store, error)
	// NoWrites is the reason why the doctor must not write, such as a read-only profile. If it
	// is empty, the doctor may write.
	NoWrites string

	// Isolated means that the cloud of the store isolates tenants.
	Isolated bool
	// OwnerCredentials is set if the user named no tenant, because then the credentials may
	// belong to the bucket's owner. In this case, all broken isolation checks are reported as
	// one result. OwnerCredentials reports whether the credentials belong to the owner, which
	// makes this result a warning. It also returns their name for the message.
	OwnerCredentials func(context.Context) (owner bool, whose string)
	// Other is the store, opened as a second tenant. OtherErr is the error if this failed.
	Other       *vault.Store
	OtherTenant vault.Tenant
	OtherErr    error
	// ForeignKey is the key of another tenant's object. The user states that it exists, so a
	// denial proves nothing unless Other can read the object.
	ForeignKey string

	// Cloud is the store's cloud. It may be set even if Store is nil because the identity
	// failed. It returns the time and the settings of the bucket.
	Cloud vault.Cloud
	// Directory checks the directory of a store that has no cloud.
	Directory func(context.Context) []Line
	// Name is the store's name, such as s3://bucket.
	Name string
	// Identity checks the token, the exchange and the tenant.
	Identity func(context.Context) []Line

	// Keys seal and open values. KeysErr is the error if the keys could not be opened.
	Keys    []envelope.KeySource
	KeysErr error
	VaultID string

	// Hint returns the hint for an error: the hint for its cause, or else otherwise if that is
	// not empty, or else the usual hint for such an error. If Hint is nil, the hint is
	// otherwise.
	Hint func(err error, otherwise string) string

	// Quick skips the checks with large objects and with concurrent writes.
	Quick bool
	// Large is the size of a large object. It must be larger than the size at which the store
	// splits a write into several requests. 0 means the default of package probe.
	Large int64
	// Now reports the time; nil means [time.Now].
	Now func() time.Time
}

// A Summary counts the results by status. The result for [Options].OwnerCredentials counts as many
// times as the checks that it replaces.
type Summary map[Status]int

// Run runs all checks in order and reports each result. When ctx ends, Run stops, but still removes
// the objects that it has written; the last result lists the objects that are left. The caller
// closes the stores.
func Run(ctx context.Context, p *Options, report func(Line)) Summary {
	e := &checker{Options: p, report: report, sum: make(Summary), run: "doctor-" + random(), reportedCauses: make(map[string]string)}
	defer e.cleanUp(ctx)
	e.clock(ctx)
	e.identity(ctx)
	if e.reach(ctx) {
		e.ownPrefix(ctx)
		e.isolation(ctx)
		e.contract(ctx)
	}
	e.bucket(ctx)
	e.keys(ctx)
	return e.sum
}

// A checker is one run of the doctor.
type checker struct {
	*Options
	report         func(Line)
	sum            Summary
	run            string       // the start of the names of all objects in this run
	access         tenantAccess // what the tenant may do under its own prefix
	leftovers      []*leftover
	reportedCauses map[string]string // for each cause of a refused request, the subject of the first result about it
	broken         *[]string         // collects the subjects of broken results that are reported as one; nil: they are not
}

// add reports a result, unless ctx has ended, because then the end of ctx may be its cause.
func (e *checker) add(ctx context.Context, check string, f finding) {
	if ctx.Err() != nil {
		return
	}
	// The result of a read without credentials does not depend on the owner of the credentials.
	if f.status == Broken && e.broken != nil && check != unsignedCheck {
		*e.broken = append(*e.broken, strings.TrimPrefix(f.message, brokenPrefix))
		return
	}
	if f.err != nil {
		f = e.explained(f)
	}
	e.publish(Line{Check: check, Status: f.status, Message: f.message, Hint: f.hint})
}

// explained adds the cause of a refused request to a finding. Each cause is described once; later
// findings refer to it.
func (e *checker) explained(f finding) finding {
	why := reason(f.store, f.err)
	key := requestID.ReplaceAllString(why, "")
	var cause *vault.Cause
	if errors.As(causeOf(f.store, f.err), &cause) && cause.Reason != vault.ReasonUnknown {
		key = fmt.Sprint("reason ", cause.Reason)
	}
	if first, ok := e.reportedCauses[key]; ok {
		f.message += ": same cause as for " + quoted(first)
		return f
	}
	e.reportedCauses[key], _, _ = strings.Cut(f.message, ":")
	f.message += ": " + why
	f.hint = e.advice(f.store, f.err, f.hint)
	return f
}

// requestID matches the part that differs between two messages with the same cause.
var requestID = text.NewRegexp(`, request [^ )]*`)

func (e *checker) publish(l Line) {
	e.sum[l.Status]++
	e.report(l)
}

// A finding is a line without its check.
type finding struct {
	status  Status
	message string
	hint    string

	store *vault.Store // the store that refused the request of the check
	err   error        // the refusal; nil if the check could be made
}

// refusedBy records that a check could not be made because st refused a request.
func (f finding) refusedBy(st *vault.Store, err error) finding {
	f.store, f.err = st, err
	return f
}

func found(s Status, format string, args ...any) finding {
	return finding{status: s, message: fmt.Sprintf(format, args...)}
}

func (f finding) hinted(hint string) finding {
	f.hint = hint
	return f
}

// identity reports the results about the identity.
func (e *checker) identity(ctx context.Context) {
	if e.Identity == nil {
		e.add(ctx, "identity", found(Skipped, "identity: this store uses none"))
		return
	}
	e.pass(ctx, e.Identity)
}

// bucket checks the settings of the bucket.
func (e *checker) bucket(ctx context.Context) {
	switch {
	case e.Cloud == nil && e.Directory != nil:
		e.pass(ctx, e.Directory)
		return
	case e.Cloud == nil:
		e.add(ctx, "bucket-settings", found(Skipped, "settings of the bucket: this store has none"))
		return
	}
	e.pass(ctx, func(ctx context.Context) []Line {
		lines := Bucket(ctx, e.Name, e.Cloud, e.Hint)
		for i, l := range lines {
			// "versioning" without "bucket" is the result for the feature of the store.
			if l.Check == "versioning" && strings.HasPrefix(l.Message, "versioning") {
				lines[i].Message = "bucket " + l.Message
			}
		}
		return lines
	})
}

func (e *checker) pass(ctx context.Context, lines func(context.Context) []Line) {
	if ctx.Err() != nil {
		return
	}
	for _, l := range lines(ctx) {
		e.add(ctx, l.Check, finding{status: l.Status, message: l.Message, hint: l.Hint})
	}
}

func (e *checker) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

// random returns a name that no other object has.
func random() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}
