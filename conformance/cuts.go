package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
	"golang.org/x/sync/errgroup"
)

// A cut ends the body of an answer early.
type cut struct {
	name string
	// limit is how many bytes the n-th answer gives, counted from 0; below 0 means all.
	limit func(n int) int64
	with  error // what the body ends with
	// then is called when the first answer is cut.
	then func(ctx context.Context, p plot) error

	fails  bool // the read cannot come to its end
	pinned bool // except when it reads a version by its id
	asked  int  // how many requests for a body are made at most; 0: not counted
}

func once(limit int64) func(int) int64 {
	return func(n int) int64 {
		if n == 0 {
			return limit
		}
		return -1
	}
}

const cutSize = 200_000 // of the value

var cuts = []cut{
	{name: "once, at once", limit: once(0), with: errLost},
	{name: "once, in the header", limit: once(50), with: errLost},
	{name: "once, midway", limit: once(70_000), with: errLost},
	{name: "once, with a clean end", limit: once(70_000), with: io.EOF},
	{name: "once, before the last byte", limit: once(cutSize), with: io.ErrUnexpectedEOF},
	{name: "again and again, with progress", limit: func(int) int64 { return 24_000 }, with: errLost},
	{name: "five times without progress, then not", limit: func(n int) int64 {
		switch {
		case n == 0:
			return 1000
		case n < 5:
			return 0
		}
		return -1
	}, with: errLost},
	{name: "always, without progress", limit: func(n int) int64 { return max(0, 1000-int64(n)*1000) }, with: errLost, fails: true, asked: 6},
	{name: "always, with a clean end", limit: func(n int) int64 { return max(0, 1000-int64(n)*1000) }, with: io.EOF, fails: true, asked: 6},
	{name: "once, and replaced meanwhile", limit: once(70_000), with: errLost, fails: true, pinned: true,
		then: func(ctx context.Context, p plot) error {
			_, err := p.put(ctx, p.vault(), target, p.value(cutSize), nil)
			return err
		}},
	{name: "once, and deleted meanwhile", limit: once(70_000), with: errLost, fails: true, pinned: true,
		then: func(ctx context.Context, p plot) error { return p.delete(ctx, p.vault(), target) }},
}

// checkCutBodies cuts what a get answers. The reading goes on where it stopped, in the
// same object, at most five times without a byte; nothing else is ever taken for the value.
func checkCutBodies(ctx context.Context, f *field) error {
	var all failures
	var g errgroup.Group
	g.SetLimit(8)
	for _, c := range cuts {
		for _, what := range []struct {
			name    string
			o       vault.GetOptions
			version bool
		}{
			{name: "get"},
			{name: "get a version", o: vault.GetOptions{Version: "@1"}, version: true},
		} {
			if what.version && f.store.History == nil {
				continue
			}
			g.Go(func() error {
				fails := c.fails && !(c.pinned && what.version)
				all.add(f.plot().cut(ctx, c, &what.o, fails), "%s, cut %s", what.name, c.name)
				return nil
			})
		}
	}
	all.add(f.plot().cutHeads(ctx), "heads")
	g.Wait()
	return all.err()
}

func (p plot) cut(ctx context.Context, c cut, o *vault.GetOptions, fails bool) error {
	value := p.value(cutSize)
	if _, err := p.put(ctx, p.vault(), target, value, nil); err != nil {
		return err
	}
	var answers int
	var offset, strayed int64
	var then error
	v := p.hooked(intercept.Hooks{Body: func(call intercept.Call, r io.Reader) io.Reader {
		n := answers
		answers++
		if call.Offset != offset {
			strayed = call.Offset
		}
		limit := c.limit(n)
		if limit < 0 {
			limit = 1 << 40
		}
		return &cutBody{r: r, left: limit, with: c.with, read: &offset, then: sync.OnceFunc(func() {
			if n == 0 && c.then != nil {
				then = c.then(ctx, p)
			}
		})}
	}})
	got, err := p.get(ctx, v, target, o)
	switch {
	case then != nil:
		return then
	case strayed != 0:
		return fmt.Errorf("a request went on at %d, which is not where the one before stopped", strayed)
	case c.asked > 0 && answers > c.asked:
		return fmt.Errorf("%d requests were made, want at most %d", answers, c.asked)
	case !bytes.HasPrefix(value, got):
		return fmt.Errorf("%s was given out that is no part of the value", about(got))
	case fails && err == nil:
		return errors.New("the answer is nil")
	case fails && (errors.Is(err, envelope.ErrDecrypt) || errors.Is(err, envelope.ErrFormat)):
		return fmt.Errorf("the connection is taken for a damaged object: %w", err)
	case fails && !c.pinned && !errors.Is(err, vault.ErrUnavailable):
		return fmt.Errorf("want %q: %w", vault.ErrUnavailable, err)
	case fails:
		return nil
	case err != nil:
		return err
	case !bytes.Equal(got, value):
		return fmt.Errorf("want %s, there is %s", about(value), about(got))
	}
	return nil
}

// A cutBody gives left bytes of r, and then an error.
type cutBody struct {
	r    io.Reader
	left int64
	with error
	read *int64
	then func()
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		b.then()
		return 0, b.with
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	*b.read += int64(n)
	return n, err
}

// cutHeads cuts both bodies of a range, and that of a stat, every time.
func (p plot) cutHeads(ctx context.Context) error {
	value := p.value(cutSize)
	if _, err := p.put(ctx, p.vault(), target, value, nil); err != nil {
		return err
	}
	var ignored int64
	v := p.hooked(intercept.Hooks{Body: func(c intercept.Call, r io.Reader) io.Reader {
		return &cutBody{r: r, left: 6000, with: errLost, read: &ignored, then: func() {}}
	}})
	got, err := p.get(ctx, v, target, &vault.GetOptions{Range: &vault.Range{Offset: 100_000, Length: 100}})
	if err != nil || !bytes.Equal(got, value[100_000:100_100]) {
		return fmt.Errorf("a range whose bodies are all cut is %s, error %v", about(got), err)
	}
	if info, err := v.Stat(ctx, target); p.saw(err) != nil || info.Size != cutSize {
		return fmt.Errorf("a stat whose bodies are all cut says size %d, error %v", info.Size, err)
	}
	return nil
}
