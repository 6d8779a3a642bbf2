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

// A work is one operation of one side, done by one of several workers.
type work struct {
	side string // raw, vault, …: the first of them is what the vault is compared with
	do   func(ctx context.Context, worker int) error
}

// A load says how the sides are measured.
type load struct {
	workers int   // at once
	each    int   // operations of each worker before it is the other side's turn
	rounds  int   // turns of each side in an iteration
	bytes   int64 // of an operation; 0 where MB/s says nothing
	cold    bool  // without a first turn that does not count
}

// compare measures the sides turn and turn about, so that whatever else the machine does
// meets all of them. Each reports its times, its requests, its new connections and the
// CPU time of this process, in which no server runs; ratio is the vault's median over
// that of the first.
func compare(b *testing.B, l load, sides ...work) {
	b.Helper()
	tallies := make([]tally, len(sides))
	for i, s := range sides {
		tallies[i].times = make([]time.Duration, 0, 1<<14)
		if l.cold {
			continue
		}
		// Connections are made, caches filled.
		if _, err := (load{workers: l.workers, each: 1}).turn(b.Context(), s); err != nil {
			b.Fatalf("%s: %v", s.side, err)
		}
	}
	turns := 0
	for b.Loop() {
		for range l.rounds {
			for i := range sides {
				i = (i + turns) % len(sides) // no side is always first
				got, err := l.turn(b.Context(), sides[i])
				if err != nil {
					b.Fatalf("%s: %v", sides[i].side, err)
				}
				tallies[i].add(got)
			}
			turns++
		}
	}
	b.ReportMetric(0, "ns/op") // of all sides together: says nothing
	for i, s := range sides {
		tallies[i].report(b, s.side, l)
		if s.side == "vault" {
			b.ReportMetric(float64(tallies[i].quantile(0.5))/float64(tallies[0].quantile(0.5)), "ratio")
		}
	}
}

// turn has every worker do its operations on one side.
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
	worker(0) // a new goroutine's stack would grow first, which takes as long as sealing
	others.Wait()
	got := tally{times: times, cpu: cpuTime() - cpu, requests: requests.Load(), conns: conns.Load()}
	for _, err := range errs {
		if err != nil {
			return tally{}, err
		}
	}
	return got, nil
}

// A tally is what one side has shown so far.
type tally struct {
	times    []time.Duration // of each operation
	cpu      time.Duration   // of all of them
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

// report names the metrics so that benchstat knows their units.
func (t *tally) report(b *testing.B, side string, l load) {
	n := float64(len(t.times))
	b.ReportMetric(float64(t.quantile(0.5)), side+"-p50-ns")
	if n >= 100 { // else it is the slowest one
		b.ReportMetric(float64(t.quantile(0.99)), side+"-p99-ns")
	}
	if t.cpu > 0 {
		b.ReportMetric(float64(t.cpu)/n, side+"-cpu-ns")
	}
	if l.bytes > 0 {
		b.ReportMetric(float64(l.bytes)/1e6/t.quantile(0.5).Seconds(), side+"-MB/s")
	}
	b.ReportMetric(float64(t.requests)/n, side+"-requests/op")
	b.ReportMetric(float64(t.conns)/n, side+"-conns/op")
}
