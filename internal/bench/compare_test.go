package bench

import (
	"context"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A work is an operation of one side, which several workers perform.
type work struct {
	side string // raw, vault, …; the vault is compared with the first
	do   func(ctx context.Context, worker int) error
}

// A load describes how the sides are measured.
type load struct {
	workers int   // number of concurrent workers
	each    int   // operations of each worker in a turn
	rounds  int   // turns of each side in an iteration
	bytes   int64 // bytes of an operation; 0 omits MB/s
	cold    bool  // no warm-up turn
}

// compare measures the sides in alternating turns, so other load on the machine affects all of
// them. Each side reports its durations, its requests, its new connections and the CPU time of this
// process, which runs no server. ratio is the median of the vault divided by the median of the
// first side.
func compare(b *testing.B, l load, sides ...work) {
	b.Helper()
	tallies := make([]tally, len(sides))
	for i, s := range sides {
		tallies[i].times = make([]time.Duration, 0, 1<<14)
		if l.cold {
			continue
		}
		// Warm up: open connections, and fill caches.
		if _, err := (load{workers: l.workers, each: 1}).turn(b.Context(), s); err != nil {
			b.Fatalf("%s: %v", s.side, err)
		}
	}
	turns := 0
	for b.Loop() {
		for range l.rounds {
			for i := range sides {
				i = (i + turns) % len(sides) // the sides take turns in being first
				got, err := l.turn(b.Context(), sides[i])
				if err != nil {
					b.Fatalf("%s: %v", sides[i].side, err)
				}
				tallies[i].add(got)
			}
			turns++
		}
	}
	b.ReportMetric(0, "ns/op") // the sum over all sides is meaningless
	for i, s := range sides {
		tallies[i].report(b, s.side, l)
		if s.side == "vault" {
			b.ReportMetric(float64(tallies[i].quantile(0.5))/float64(tallies[0].quantile(0.5)), "ratio")
		}
	}
}

// turn makes every worker perform its operations on one side.
func (l load) turn(ctx context.Context, w work) (tally, error) {
	var requests, conns atomic.Int64
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) {
			if !c.Reused {
				conns.Add(1)
			}
		},
		WroteRequest: func(httptrace.WroteRequestInfo) { requests.Add(1) },
	})
	times := make([]time.Duration, l.workers*l.each)
	errs := make([]error, l.workers)
	cpu := cpuTime()
	worker := func(i int) {
		for j := range l.each {
			start := time.Now()
			if errs[i] = w.do(ctx, i); errs[i] != nil {
				return
			}
			times[i*l.each+j] = time.Since(start)
		}
	}
	var others sync.WaitGroup
	for i := 1; i < l.workers; i++ {
		others.Go(func() { worker(i) })
	}
	worker(0) // in this goroutine, because growing the stack of a new one takes as long as sealing
	others.Wait()
	got := tally{times: times, cpu: cpuTime() - cpu, requests: requests.Load(), conns: conns.Load()}
	for _, err := range errs {
		if err != nil {
			return tally{}, err
		}
	}
	return got, nil
}

// A tally contains the measurements of one side.
type tally struct {
	times    []time.Duration // duration of each operation
	cpu      time.Duration   // CPU time of all operations
	requests int64
	conns    int64 // new connections
}

func (t *tally) add(o tally) {
	t.times = append(t.times, o.times...)
	t.cpu += o.cpu
	t.requests += o.requests
	t.conns += o.conns
}

func (t *tally) quantile(q float64) time.Duration {
	slices.Sort(t.times)
	return t.times[int(q*float64(len(t.times)-1)+0.5)]
}

// report reports the metrics with names from which benchstat derives their units.
func (t *tally) report(b *testing.B, side string, l load) {
	n := float64(len(t.times))
	b.ReportMetric(float64(t.quantile(0.5)), side+"-p50-ns")
	if n >= 100 { // with fewer, it would be the slowest one
		b.ReportMetric(float64(t.quantile(0.99)), side+"-p99-ns")
	}
	if t.cpu > 0 {
		b.ReportMetric(float64(t.cpu)/n, side+"-cpu-ns")
	}
	if l.bytes > 0 {
		b.ReportMetric(float64(l.bytes)/1e6/t.quantile(0.5).Seconds(), side+"-MB/s")
	}
	if t.requests > 0 {
		b.ReportMetric(float64(t.requests)/n, side+"-requests/op")
		b.ReportMetric(float64(t.conns)/n, side+"-conns/op")
	}
}
