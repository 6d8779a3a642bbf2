package vault

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/objectvault/objectvault/internal/requestid"
)

// An Operation describes one call of a method of a [Vault], when it has ended. It never contains a value.
// A call that another method makes is a part of that one.
type Operation struct {
	// Op is put, get, open, stat, list, history, delete, rollback, undelete, teardown, copy, prune, rewrap,
	// rotate, recipients, purge, compare, accept, convert or shred, or sync for [Vault.Deliver].
	Op         string
	Tenant     Tenant
	Collection Collection
	Store      string // [Store].Name
	Name       Name   // empty for list and teardown
	Start      time.Time
	Duration   time.Duration // of a get: until the value was read or the Reader was closed
	// Info describes the object that was stored or read, as far as it is known. Of a delete, only its Name
	// is known.
	Info  Info
	Names int // that a list yielded, or a teardown removed
	// Requests is the number of calls of the stores, and Retries that of the calls that were repeated. A
	// provider may send several requests for one call, such as the parts of a large object, and repeat them.
	Requests, Retries int
	// RequestIDs are the ids that the services returned for the first 10,000 requests, which identify them
	// in the logs of the services.
	RequestIDs []string
	// RequestsWithoutID is how many further requests the services may have received: those without a
	// response, those whose response had no id, and those after the first 10,000 ids.
	RequestsWithoutID int
	Err               error // nil if the operation succeeded
}

const maxRequestIDs = 10_000

// An operation is an [Operation] in progress. Its methods accept nil, for an operation that is not
// observed or is part of another one.
type operation struct {
	v     *Vault
	ctx   context.Context
	span  trace.Span // nil: there is no tracer
	mu    sync.Mutex
	o     Operation
	ended bool
}

type operationKey struct{}

// operationOf returns the operation to which requests with ctx belong, or nil.
func operationOf(ctx context.Context) *operation {
	op, _ := ctx.Value(operationKey{}).(*operation)
	return op
}

func (v *Vault) isObserved() bool { return v != nil && (v.observe != nil || v.telemetry != nil) }

// operate starts an operation. Its requests must use the context that it returns.
func (v *Vault) operate(ctx context.Context, op string, name Name) (context.Context, *operation) {
	if !v.isObserved() || operationOf(ctx) != nil {
		return ctx, nil
	}
	o := &operation{v: v, o: Operation{Op: op, Tenant: v.tenant, Collection: v.collection, Store: v.name, Name: name, Start: v.revisions.now()}}
	ctx = context.WithValue(ctx, operationKey{}, o)
	ctx, o.span = v.telemetry.startOperation(ctx, &o.o)
	if v.observe != nil {
		ctx = requestid.With(ctx, o.addID)
	}
	o.ctx = ctx
	return ctx, o
}

// addID is called for each request, with "" if its id is unknown.
func (o *operation) addID(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if id == "" || len(o.o.RequestIDs) == maxRequestIDs {
		o.o.RequestsWithoutID++
		return
	}
	o.o.RequestIDs = append(o.o.RequestIDs, id)
}

// count counts a request.
func (o *operation) count(attempt int) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.o.Requests++; attempt > 1 {
		o.o.Retries++
	}
}

// yielded counts names.
func (o *operation) yielded(n int) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.o.Names += n
}

// end ends the operation, once.
func (o *operation) end(info Info, err error) {
	if o == nil {
		return
	}
	o.mu.Lock()
	done := o.ended
	o.ended = true
	result := o.o
	o.mu.Unlock()
	if done {
		return
	}
	result.Info, result.Err = info, err
	result.Duration = o.v.revisions.now().Sub(result.Start)
	if result.Info.Name == "" {
		result.Info.Name = result.Name
	}
	o.v.telemetry.endOperation(o.ctx, o.span, &result)
	if o.v.observe != nil {
		o.v.observe(o.ctx, result)
	}
}

// finish ends the operation with the results of a method. It must be deferred directly, because it also
// ends the operation of a method that panics.
func (o *operation) finish(info *Info, err *error) {
	if o == nil {
		return
	}
	if v := recover(); v != nil {
		o.end(Info{}, errPanicked)
		panic(v)
	}
	o.end(*info, *err)
}

var errPanicked = errors.New("the operation panicked")

// endRead ends the operation of a read. The end of the value is no error.
func (o *operation) endRead(info Info, err error) {
	if err == io.EOF {
		err = nil
	}
	o.end(info, err)
}

// operateEach observes an iteration as one operation.
func operateEach[T any](v *Vault, ctx context.Context, op string, name Name, seq func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, o := v.operate(ctx, op, name)
		var failure error
		defer o.finish(new(Info), &failure)
		for item, err := range seq(ctx) {
			if failure = err; err == nil {
				o.yielded(1)
			}
			if !yield(item, err) {
				return
			}
		}
	}
}
