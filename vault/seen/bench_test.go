package seen_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/seen"
)

// BenchmarkGet measures a get of 1 KiB from a store in memory: without a log, with a log of few names,
// with the largest possible file, and with a state that must be recorded.
func BenchmarkGet(b *testing.B) {
	for _, bc := range []struct {
		name   string
		log    bool
		full   bool
		change bool
	}{{"without", false, false, false}, {"seen", true, false, false}, {"seen/full", true, true, false}, {"seen/change", true, false, true}} {
		b.Run(bc.name, func(b *testing.B) {
			ctx := b.Context()
			store, err := memfs.Open(ctx, memfs.Config{Versions: -1})
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			log, err := seen.Open(seen.Config{Dir: b.TempDir(), Store: "0123456789abcdef", Warn: func(err error) { b.Error(err) }})
			if err != nil {
				b.Fatal(err)
			}
			o := &vault.Options{}
			if bc.log {
				o.Seen = log
			}
			v, err := vault.New(store, "0xabc", keys, o)
			if err != nil {
				b.Fatal(err)
			}
			info, err := v.Put(ctx, "a", strings.NewReader(strings.Repeat("x", 1<<10)), nil)
			if err != nil {
				b.Fatal(err)
			}
			if bc.full {
				fill(b, log, refOf("a"))
			}
			state := vault.SeenState{Revision: info.Revision, Tag: info.Tag}
			for b.Loop() {
				if bc.change { // as if the state were the first
					b.StopTimer()
					older := state
					older.Revision, older.Time = 1, time.Now()
					log.Record(ctx, refOf("a"), log.Last(ctx, refOf("a")), older)
					b.StartTimer()
				}
				if _, _, err := v.ReadAll(ctx, "a", nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLog measures what a get adds: Last, and Record if the state has changed.
func BenchmarkLog(b *testing.B) {
	for _, full := range []bool{false, true} {
		log, err := seen.Open(seen.Config{Dir: b.TempDir(), Store: "0123456789abcdef", Warn: func(err error) { b.Error(err) }})
		if err != nil {
			b.Fatal(err)
		}
		ref, state, suffix := refOf("a"), vault.SeenState{Revision: 1, Tag: strings.Repeat("a", 64)}, ""
		log.Record(b.Context(), ref, vault.SeenState{}, state)
		if full {
			fill(b, log, ref)
			suffix = "/full"
		}
		b.Run("last"+suffix, func(b *testing.B) {
			for b.Loop() {
				log.Last(b.Context(), ref)
			}
		})
		b.Run("record"+suffix, func(b *testing.B) {
			for b.Loop() {
				next := state
				next.Revision++
				log.Record(b.Context(), ref, state, next)
				state = next
			}
		})
	}
}

// fill fills the file that contains the state of ref with as many lines as it may have.
func fill(b *testing.B, log *seen.Log, ref envelope.Ref) {
	first := ref.Context()[0]
	var last vault.SeenState
	for i, n := 0, 0; n < 500; i++ {
		other := refOf(fmt.Sprint("other-", i%50_000))
		if other.Context()[0] != first {
			continue
		}
		n++
		last = log.Last(b.Context(), other)
		next := vault.SeenState{Revision: last.Revision + 1, Tag: strings.Repeat("a", 64), Time: time.Unix(int64(n), 0)}
		log.Record(b.Context(), other, last, next)
	}
}
