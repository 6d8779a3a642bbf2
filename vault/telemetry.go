package vault

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Telemetry sends traces and metrics to OpenTelemetry. Both providers are optional.
//
// A span has the name of an operation, such as "vault.put", or of a request, such as "vault.request get".
// The spans of requests are children of those of operations. Their attributes are:
//   - "vault.tenant", "vault.collection", "vault.store", "vault.name" and "vault.revision" of an operation
//   - "vault.key", "vault.attempt" and "vault.bytes" of a request
//   - "vault.status": "ok", or the text of a sentinel
//
// The metrics are:
//   - "vault.operation.duration", in seconds, by "vault.op" and "vault.status"
//   - "vault.request.duration", in seconds, by "vault.op" and "vault.status"
//   - "vault.request.retries", by "vault.op"
//   - "vault.request.bytes", the sealed bytes that were sent or received, by "vault.op"
//
// No attribute contains a value, a cryptographic key or the text of an error. Names, tenants and the keys of
// objects in the bucket are attributes of spans, and not of metrics.
type Telemetry struct {
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

// scopeName identifies this package to OpenTelemetry.
const scopeName = "github.com/objectvault/objectvault/vault"

// A telemetry has the instruments of a Vault. Its methods accept nil, which does nothing.
type telemetry struct {
	tracer                trace.Tracer // nil: no traces
	operations, durations metric.Float64Histogram
	retries, bytes        metric.Int64Counter
}

// newTelemetry returns nil if t is nil.
func newTelemetry(t *Telemetry) (*telemetry, error) {
	if t == nil || t.TracerProvider == nil && t.MeterProvider == nil {
		return nil, nil
	}
	i := &telemetry{}
	if t.TracerProvider != nil {
		i.tracer = t.TracerProvider.Tracer(scopeName)
	}
	if t.MeterProvider == nil {
		return i, nil
	}
	m := t.MeterProvider.Meter(scopeName)
	var err error
	histogram := func(name, text string) metric.Float64Histogram {
		h, herr := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(text))
		if herr != nil {
			err = fmt.Errorf("%w: OpenTelemetry rejects the instrument %s: %w", ErrConfig, name, herr)
		}
		return h
	}
	counter := func(name, unit, text string) metric.Int64Counter {
		c, cerr := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(text))
		if cerr != nil {
			err = fmt.Errorf("%w: OpenTelemetry rejects the instrument %s: %w", ErrConfig, name, cerr)
		}
		return c
	}
	i.operations = histogram("vault.operation.duration", "Duration of operations of a vault.")
	i.durations = histogram("vault.request.duration", "Duration of requests to a store.")
	i.retries = counter("vault.request.retries", "{request}", "Requests to a store that were repeated.")
	i.bytes = counter("vault.request.bytes", "By", "Sealed bytes that were sent or received.")
	return i, err
}

func (t *telemetry) startOperation(ctx context.Context, o *Operation) (context.Context, trace.Span) {
	if t == nil || t.tracer == nil {
		return ctx, nil
	}
	all := []attribute.KeyValue{
		attribute.String("vault.tenant", string(o.Tenant)), attribute.String("vault.collection", string(o.Collection)),
		attribute.String("vault.store", o.Store),
	}
	if o.Name != "" {
		all = append(all, attribute.String("vault.name", string(o.Name)))
	}
	return t.tracer.Start(ctx, "vault."+o.Op, trace.WithAttributes(all...))
}

func (t *telemetry) endOperation(ctx context.Context, span trace.Span, o *Operation) {
	if t == nil {
		return
	}
	result := attribute.String("vault.status", status(o.Err))
	if span != nil {
		if o.Info.Revision != 0 {
			span.SetAttributes(attribute.Int64("vault.revision", o.Info.Revision))
		}
		end(span, result, o.Err)
	}
	if t.operations != nil {
		t.operations.Record(ctx, o.Duration.Seconds(), metric.WithAttributes(attribute.String("vault.op", o.Op), result))
	}
}

// end ends a span. It records the kind of an error, and not its text, which may contain a URL.
func end(span trace.Span, result attribute.KeyValue, err error) {
	span.SetAttributes(result)
	if err != nil {
		span.SetStatus(codes.Error, result.Value.AsString())
	}
	span.End()
}

func (t *telemetry) startRequest(ctx context.Context, r request) (context.Context, trace.Span) {
	if t == nil || t.tracer == nil {
		return ctx, nil
	}
	return t.tracer.Start(ctx, "vault.request "+r.op, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("vault.key", r.key), attribute.Int("vault.attempt", max(1, r.attempt))))
}

func (t *telemetry) endRequest(ctx context.Context, span trace.Span, e *Event) {
	if t == nil {
		return
	}
	result := attribute.String("vault.status", status(e.Err))
	if span != nil {
		span.SetAttributes(attribute.Int64("vault.bytes", e.Bytes))
		end(span, result, e.Err)
	}
	if t.durations == nil {
		return
	}
	op := attribute.String("vault.op", e.Op)
	t.durations.Record(ctx, e.Duration.Seconds(), metric.WithAttributes(op, result))
	if e.Bytes > 0 {
		t.bytes.Add(ctx, e.Bytes, metric.WithAttributes(op))
	}
	if e.Attempt > 1 {
		t.retries.Add(ctx, 1, metric.WithAttributes(op))
	}
}
