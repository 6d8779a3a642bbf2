package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/internal/requestid"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// operations are the operations of a Vault.
type operations struct {
	mu  sync.Mutex
	all []vault.Operation
}

func (o *operations) observe(_ context.Context, op vault.Operation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, op)
}

// take returns the operations since the last take, each with its name, the number of names and requests,
// and the result.
func (o *operations) take() (list []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, op := range o.all {
		result := "ok"
		for _, err := range []error{vault.ErrNotFound, vault.ErrExist, vault.ErrConflict} {
			if errors.Is(op.Err, err) {
				result = err.Error()
			}
		}
		list = append(list, fmt.Sprintf("%s %s %d/%d %s", op.Op, op.Name, op.Names, op.Requests, result))
	}
	o.all = nil
	return list
}

// Each call is one operation, which knows the object and counts its requests. A call that a method makes
// is a part of it.
func TestOperations(t *testing.T) {
	var ops operations
	v := newVault(t, newStore(t), &vault.Options{ObserveOperation: ops.observe})
	ctx := t.Context()
	check := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, ops.take()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	info := put(t, v, "a", "one", nil)
	if got := ops.all[0]; got.Info.Revision != info.Revision || got.Info.Tag != info.Tag || got.Tenant != v.Tenant() || got.Duration <= 0 || got.Store == "" {
		t.Errorf("%+v", got)
	}
	check("put", "put a 0/1 ok")
	v.Put(ctx, "a", strings.NewReader("x"), &vault.PutOptions{Create: true})
	check("create", "put a 0/1 "+vault.ErrExist.Error())
	r, err := v.Get(ctx, "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	check("get, not read")
	io.ReadAll(r)
	r.Close()
	check("get, read", "get a 0/1 ok")
	if r, err = v.Get(ctx, "a", nil); err != nil {
		t.Fatal(err)
	}
	r.Close()
	r.Close()
	check("get, closed", "get a 0/1 ok")
	v.ReadAll(ctx, "none", nil)
	check("get", "get none 0/1 "+vault.ErrNotFound.Error())
	o, err := v.Open(ctx, "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	o.ReadAt(make([]byte, 2), 1)
	o.Close()
	check("open", "open a 0/1 ok")
	v.Stat(ctx, "a")
	check("stat", "stat a 0/1 ok")
	put(t, v, "b", "two", nil)
	ops.take()
	for e, err := range v.List(ctx, nil) {
		if err != nil || e.Name == "" {
			t.Error(e, err)
		}
	}
	check("list", "list  2/1 ok")
	v.Delete(ctx, "a", nil)
	check("delete", "delete a 0/1 ok")
	if _, err := v.Undelete(ctx, "a"); err != nil {
		t.Error(err)
	}
	if got := ops.take(); len(got) != 1 || !strings.HasPrefix(got[0], "undelete a 0/") {
		t.Errorf("undelete: %q", got)
	}
	for range v.History(ctx, "a") {
		break
	}
	if got := ops.take(); len(got) != 1 || !strings.HasPrefix(got[0], "history a 1/") {
		t.Errorf("history: %q", got)
	}
	v.Teardown(ctx, nil)
	if got := ops.take(); len(got) != 1 || !strings.HasPrefix(got[0], "teardown  2/") {
		t.Errorf("teardown: %q", got)
	}
}

// A panic of the reader is no success, and neither is an open object whose reads fail.
func TestOperationFails(t *testing.T) {
	var ops operations
	store := newStore(t)
	v := newVault(t, store, &vault.Options{ObserveOperation: ops.observe})
	func() {
		defer func() {
			if got := recover(); got != "broken" {
				t.Errorf("recovered %v", got)
			}
		}()
		v.Put(t.Context(), "a", panicking{}, nil)
	}()
	if len(ops.all) != 1 || ops.all[0].Err == nil {
		t.Errorf("a put that panics: %+v", ops.all)
	}
	ops.take()
	value := strings.Repeat("x", 1<<20)
	put(t, v, "b", value, nil)
	o, err := v.Open(t.Context(), "b", nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, v, "b", value+"y", nil)
	ops.take()
	if _, err := o.ReadAt(make([]byte, 10), 500_000); err == nil {
		t.Error("a replaced object was read")
	}
	o.Close()
	if len(ops.all) != 1 || ops.all[0].Op != "open" || ops.all[0].Err == nil {
		t.Errorf("an open object that was replaced: %+v", ops.all)
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("broken") }

// A copy is an operation of the destination, or else of the source, with or without versions.
func TestCopyIsObserved(t *testing.T) {
	for _, versions := range []bool{false, true} {
		for _, side := range []string{"source", "destination"} {
			var ops operations
			options := func(of string) *vault.Options {
				if of == side {
					return &vault.Options{ObserveOperation: ops.observe}
				}
				return nil
			}
			src, dst := newVault(t, newStore(t), options("source")), newVault(t, newStore(t), options("destination"))
			put(t, src, "a", "one", nil)
			ops.take()
			for c, err := range vault.Copy(t.Context(), dst, src, &vault.CopyOptions{Versions: versions}) {
				if err != nil || c.Err != nil {
					t.Errorf("copy: %v, %v", err, c.Err)
				}
			}
			n := 0
			for _, op := range ops.all {
				if op.Op == "copy" && op.Name == "a" && op.Err == nil && op.Requests > 0 {
					n++
				}
			}
			if n != 1 {
				t.Errorf("versions %v, observed %s: %+v", versions, side, ops.all)
			}
			ops.take()
			if side == "destination" {
				dst.Recipients(t.Context(), "a", nil)
				dst.PurgeVersions(t.Context(), "a", nil)
				vault.Prune(t.Context(), dst, newVault(t, newStore(t), nil), "a")
				if got := ops.take(); len(got) != 3 || !strings.HasPrefix(got[0], "recipients a") || !strings.HasPrefix(got[1], "purge a") || !strings.HasPrefix(got[2], "prune a") {
					t.Errorf("%q", got)
				}
			}
		}
	}
}

// The retries of a request are counted.
func TestOperationRetries(t *testing.T) {
	var ops operations
	n := 0
	store := intercept.Store(newStore(t), intercept.Hooks{})
	base := store.Bucket
	store.Put = putter(func(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
		if n++; n < 3 {
			return "", &vault.Cause{Sentinel: vault.ErrUnavailable, Effect: vault.NotApplied}
		}
		w := new(strings.Builder)
		if err := fill(w); err != nil {
			return "", err
		}
		return "", base.WriteAll(ctx, key, []byte(w.String()), nil)
	})
	v := newVault(t, store, &vault.Options{ObserveOperation: ops.observe})
	put(t, v, "a", "value", nil)
	if got := ops.all; len(got) != 1 || got[0].Requests != 3 || got[0].Retries != 2 {
		t.Errorf("%+v", got)
	}
}

// An operation has the ids of its first requests, and counts all others that a service may have received.
func TestOperationRequestIDs(t *testing.T) {
	var ops operations
	const sent, lost = 10_005, 3
	n := 0
	transport := requestid.Transport{Header: "X-Request-Id", Base: roundTripper(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		if n++; n > lost {
			w.Header().Set("X-Request-Id", fmt.Sprint("id", n))
		}
		return w.Result(), nil
	})}
	store := intercept.Store(newStore(t), intercept.Hooks{Call: func(ctx context.Context, _ intercept.Call, do func() error) error {
		for n < sent {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
			if _, err := transport.RoundTrip(r); err != nil {
				return err
			}
		}
		return do()
	}})
	v := newVault(t, store, &vault.Options{ObserveOperation: ops.observe})
	v.Stat(t.Context(), "a")
	if got := ops.all; len(got) != 1 || len(got[0].RequestIDs) != 10_000 || got[0].RequestsWithoutID != sent-10_000 || got[0].RequestIDs[0] != fmt.Sprint("id", lost+1) {
		t.Errorf("%d operations, the first one with %d ids and %d requests without", len(got), len(got[0].RequestIDs), got[0].RequestsWithoutID)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Spans and metrics have the documented names and attributes, and nothing of the value or of the text of
// an error.
func TestTelemetry(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	reader := sdkmetric.NewManualReader()
	v := newVault(t, newStore(t), &vault.Options{Telemetry: &vault.Telemetry{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	}})
	put(t, v, "a", "sk-secret", nil)
	get(t, v, "a", nil)
	v.Stat(t.Context(), "none")
	ended := spans.Ended()
	find := func(name string, n int) sdktrace.ReadOnlySpan {
		t.Helper()
		for _, s := range ended {
			if s.Name() == name {
				if n--; n < 0 {
					return s
				}
			}
		}
		t.Fatalf("there is no span %s", name)
		return nil
	}
	for _, op := range []string{"put", "get"} {
		operation, request := find("vault."+op, 0), find("vault.request "+op, 0)
		if request.Parent().SpanID() != operation.SpanContext().SpanID() {
			t.Errorf("the span of the request is no child of the one of %s", op)
		}
		for _, want := range []attribute.KeyValue{attribute.String("vault.name", "a"), attribute.String("vault.tenant", string(v.Tenant())), attribute.String("vault.status", "ok")} {
			if !slices.Contains(operation.Attributes(), want) {
				t.Errorf("%s: %v is not in %v", op, want, operation.Attributes())
			}
		}
	}
	if s := find("vault.stat", 0); s.Status().Code != codes.Error || s.Status().Description != vault.ErrNotFound.Error() {
		t.Errorf("%+v", s.Status())
	}
	var m metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]uint64)
	for _, scope := range m.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					op, _ := p.Attributes.Value("vault.op")
					result, _ := p.Attributes.Value("vault.status")
					counts[m.Name+" "+op.AsString()+" "+result.AsString()] += p.Count
				}
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					op, _ := p.Attributes.Value("vault.op")
					if p.Value <= 0 {
						t.Errorf("%s is %d", m.Name, p.Value)
					}
					counts[m.Name+" "+op.AsString()]++
				}
			}
		}
	}
	want := map[string]uint64{
		"vault.operation.duration put ok": 1, "vault.operation.duration get ok": 1, "vault.operation.duration stat not found": 1,
		"vault.request.duration put ok": 1, "vault.request.duration get ok": 1, "vault.request.duration get not found": 1,
		"vault.request.bytes put": 1, "vault.request.bytes get": 1,
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	if text := fmt.Sprintf("%+v %+v", ended, m); strings.Contains(text, "sk-secret") {
		t.Error("the value is in a span or a metric")
	}
}

// A program sends the spans of its vault to an exporter, here one in memory.
func ExampleTelemetry() {
	ctx := context.Background()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	store, err := memfs.Open(ctx, memfs.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	v, err := vault.New(store, "0xabc", []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{
		Telemetry: &vault.Telemetry{TracerProvider: provider},
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := v.Put(ctx, "openrouter", strings.NewReader("sk-or-1"), nil); err != nil {
		log.Fatal(err)
	}
	for _, span := range exporter.GetSpans() {
		fmt.Println(span.Name)
	}
	// Output:
	// vault.request put
	// vault.put
}
