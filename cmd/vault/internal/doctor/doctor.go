// Package doctor examines a store the way its user has it: with the user's own identity,
// in the user's own bucket, under names that nobody else has. It finds out what the store
// honours (package probe), whether its cloud keeps tenants apart, and whether the keys
// open what they seal.
//
//	p := &doctor.Patient{Store: store, Tenant: "acme", Collection: "credentials", Isolated: true}
//	sum := doctor.Examine(ctx, p, func(l doctor.Line) { fmt.Println(l.Status, l.Check, l.Message) })
//
// Isolation is proven by denials and by nothing else. A foreign prefix that answers is
// [Broken]; one that answers with any other error than a denial is [NotProven], and so is
// a denial where the same request under the own prefix was denied too. Reading is decided
// only on an object that a second tenant has just seen: a missing foreign key is denied
// even where every object may be read.
//
// All that is written has a random name and is removed again, also when the context ends.
package doctor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
)

// A Line is what one check found.
type Line struct {
	Check   string // a stable identifier, such as "isolation-put"
	Status  Status
	Message string
	Hint    string // what to do; may be empty, and hold {prog} for the name of the program
}

// A Status is how a check ended.
type Status string

// The statuses.
const (
	OK        Status = "ok"
	Info      Status = "info" // nothing was checked
	Skipped   Status = "skipped"
	NotProven Status = "not proven"
	Warning   Status = "warning"
	Fail      Status = "fail"
	Broken    Status = "broken" // tenants are not kept apart
)

// A Patient is what is examined. Nil fields leave their checks out.
type Patient struct {
	// Store holds the objects of Tenant in Collection. Nil: it could not be opened, and
	// Unopened says why, or else there is none yet.
	Store      *vault.Store
	Unopened   error
	Tenant     vault.Tenant
	Collection vault.Collection
	// Reopen opens another client of the same store, for races. Nil: one takes part in
	// them twice.
	Reopen func(context.Context) (*vault.Store, error)
	// Hands says why nothing may be written, such as a profile that is read-only; empty
	// means that it may.
	Hands string

	// Isolated says that the store has a cloud which keeps tenants apart.
	Isolated bool
	// Whole, if not nil, says that nobody asked for a tenant, so that the credentials may be those
	// of whoever owns the bucket: what they reach is then one line. It returns whether they are the
	// owner's, for whom it is a warning, and whose they are, for the message.
	Whole func(context.Context) (owner bool, whose string)
	// Other is the store as a second tenant sees it, Unintroduced why there is none though
	// one was asked for.
	Other        *vault.Store
	OtherTenant  vault.Tenant
	Unintroduced error
	// ForeignKey is the key of another tenant's object that exists, as whoever gave it
	// says. That it is denied proves nothing unless Other can read it.
	ForeignKey string

	// Cloud is the store's, also where Store is nil because the identity failed: it knows the
	// time, and how the bucket is set up.
	Cloud vault.Cloud
	// Directory checks the directory of a store that has no cloud.
	Directory func(context.Context) []Line
	// Name is the store's name, such as s3://bucket.
	Name string
	// Identity checks the token, the exchange and the tenant.
	Identity func(context.Context) []Line

	// Keys seal and open; KeysErr says why there are none though there should be.
	Keys    []envelope.KeySource
	KeysErr error
	VaultID string

	// Hint returns what to do about an error: what its cause says, or otherwise if that is
	// not empty, or what is usual for such an error. Nil: otherwise.
	Hint func(err error, otherwise string) string

	// Quick leaves out large objects and races.
	Quick bool
	// Large is how long a large object is: past the size at which the store goes over to
	// several requests. 0 means what package probe takes.
	Large int64
	// Now reports the time; nil means [time.Now].
	Now func() time.Time
}

// A Summary counts the lines by status. The one line that [Patient].Whole leads to counts as many
// checks as it stands for.
type Summary map[Status]int

// Examine runs all checks in order and reports each as it is found. When ctx ends it
// stops, and removes what it has written all the same; the last line says what is left.
// The caller closes the stores.
func Examine(ctx context.Context, p *Patient, report func(Line)) Summary {
	e := &exam{Patient: p, report: report, sum: make(Summary), run: "doctor-" + random(), causes: make(map[string]string)}
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

// An exam is one examination.
type exam struct {
	*Patient
	report func(Line)
	sum    Summary
	run    string // the start of every name in it
	own    party
	traces []*trace
	causes map[string]string // of requests that were refused: the subject of the first line about each
	broken *[]string         // the subjects of broken lines that become one; nil: they do not
}

// say reports a line. What is found after ctx ended is about that, and not reported.
func (e *exam) say(ctx context.Context, check string, f finding) {
	if ctx.Err() != nil {
		return
	}
	// A read without credentials has nothing to do with whose credentials these are.
	if f.status == Broken && e.broken != nil && check != unsignedCheck {
		*e.broken = append(*e.broken, strings.TrimPrefix(f.message, brokenPrefix))
		return
	}
	if f.err != nil {
		f = e.explained(f)
	}
	e.tell(Line{Check: check, Status: f.status, Message: f.message, Hint: f.hint})
}

// explained adds to a finding why the request was refused. A cause is told once, and referred to
// after that.
func (e *exam) explained(f finding) finding {
	why := reason(f.store, f.err)
	key := requestID.ReplaceAllString(why, "")
	var cause *vault.Cause
	if errors.As(causeOf(f.store, f.err), &cause) && cause.Reason != vault.ReasonUnknown {
		key = fmt.Sprint("reason ", cause.Reason)
	}
	if first, ok := e.causes[key]; ok {
		f.message += ": same cause as for " + quoted(first)
		return f
	}
	e.causes[key], _, _ = strings.Cut(f.message, ":")
	f.message += ": " + why
	f.hint = e.advice(f.store, f.err, f.hint)
	return f
}

// requestID is what differs between two messages about the same thing.
var requestID = regexp.MustCompile(`, request [^ )]*`)

func (e *exam) tell(l Line) {
	e.sum[l.Status]++
	e.report(l)
}

// A finding is a line without its check.
type finding struct {
	status  Status
	message string
	hint    string

	store *vault.Store // that refused the request of the check
	err   error        // why; nil where the check could be made
}

// because says that a check could not be made, since st refused a request.
func (f finding) because(st *vault.Store, err error) finding {
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

// identity passes on what is known of who we are.
func (e *exam) identity(ctx context.Context) {
	if e.Identity == nil {
		e.say(ctx, "identity", found(Skipped, "identity: this store uses none"))
		return
	}
	e.pass(ctx, e.Identity)
}

// bucket checks how the bucket is set up.
func (e *exam) bucket(ctx context.Context) {
	switch {
	case e.Cloud == nil && e.Directory != nil:
		e.pass(ctx, e.Directory)
		return
	case e.Cloud == nil:
		e.say(ctx, "bucket-settings", found(Skipped, "settings of the bucket: this store has none"))
		return
	}
	e.pass(ctx, func(ctx context.Context) []Line {
		lines := Bucket(ctx, e.Name, e.Cloud, e.Hint)
		for i, l := range lines {
			// "versioning" alone is what the store honours.
			if l.Check == "versioning" && strings.HasPrefix(l.Message, "versioning") {
				lines[i].Message = "bucket " + l.Message
			}
		}
		return lines
	})
}

func (e *exam) pass(ctx context.Context, lines func(context.Context) []Line) {
	if ctx.Err() != nil {
		return
	}
	for _, l := range lines(ctx) {
		e.say(ctx, l.Check, finding{status: l.Status, message: l.Message, hint: l.Hint})
	}
}

func (e *exam) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

// random is long enough to be nobody else's name.
func random() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}
