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

// A truncation ends the body of a response early.
type truncation struct {
	name string
	// limit returns how many bytes of response n are delivered, counted from 0. A negative
	// limit means all bytes.
	limit func(n int) int64
	err   error // the error at the end of a truncated body
	// onFirst, if not nil, is called when the first response is truncated.
	onFirst func(ctx context.Context, p space) error

	fails        bool // the read must fail
	readableByID bool // a read of the version by its ID must succeed nevertheless
	maxRequests  int  // limits the requests for a body; 0 means no limit
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

var truncations = []truncation{
	{name: "once, before the first byte", limit: once(0), err: errLost},
	{name: "once, in the header", limit: once(50), err: errLost},
	{name: "once, midway", limit: once(70_000), err: errLost},
	{name: "once, with a clean end", limit: once(70_000), err: io.EOF},
	{name: "once, before the last byte", limit: once(cutSize), err: io.ErrUnexpectedEOF},
	{name: "always, with progress", limit: func(int) int64 { return 24_000 }, err: errLost},
	{name: "five times without progress, then no more", limit: func(n int) int64 {
		switch {
		case n == 0:
			return 1000
		case n < 5:
			return 0
		}
		return -1
	}, err: errLost},
	{name: "always, without progress", limit: func(n int) int64 { return max(0, 1000-int64(n)*1000) }, err: errLost, fails: true, maxRequests: 6},
	{name: "always, with a clean end", limit: func(n int) int64 { return max(0, 1000-int64(n)*1000) }, err: io.EOF, fails: true, maxRequests: 6},
	{name: "once, while the object is replaced", limit: once(70_000), err: errLost, fails: true, readableByID: true,
		onFirst: func(ctx context.Context, p space) error {
			_, err := p.put(ctx, p.vault(), target, p.value(cutSize), nil)
			return err
		}},
	{name: "once, while the object is deleted", limit: once(70_000), err: errLost, fails: true, readableByID: true,
		onFirst: func(ctx context.Context, p space) error { return p.delete(ctx, p.vault(), target) }},
}

// checkTruncatedBodies truncates the responses to a get. The vault must resume the read at the
// byte where it stopped, in the same version of the object. It must give up after five
// responses without progress. It must never return bytes that are not part of the value.
func checkTruncatedBodies(ctx context.Context, f *fixture) error {
	var all failures
	var g errgroup.Group
	g.SetLimit(8)
	for _, c := range truncations {
		for _, read := range []struct {
			name    string
			options vault.GetOptions
			version bool
		}{
			{name: "get"},
			{name: "get a version", options: vault.GetOptions{Version: "@1"}, version: true},
		} {
			if read.version && f.store.History == nil {
				continue
			}
			g.Go(func() error {
				fails := c.fails && !(c.readableByID && read.version)
				all.add(f.newSpace().truncated(ctx, c, &read.options, fails), "%s, truncated %s", read.name, c.name)
				return nil
			})
		}
	}
	all.add(f.newSpace().truncatedHeads(ctx), "short reads")
	g.Wait()
	return all.err()
}

func (p space) truncated(ctx context.Context, c truncation, o *vault.GetOptions, fails bool) error {
	value := p.value(cutSize)
	if _, err := p.put(ctx, p.vault(), target, value, nil); err != nil {
		return err
	}
	var responses int
	var offset, wrongOffset int64
	var firstErr error
	v := p.hooked(intercept.Hooks{Body: func(call intercept.Call, r io.Reader) io.Reader {
		n := responses
		responses++
		if call.Offset != offset {
			wrongOffset = call.Offset
		}
		limit := c.limit(n)
		if limit < 0 {
			limit = 1 << 40
		}
		return &truncatedBody{r: r, remaining: limit, err: c.err, read: &offset, onTruncate: sync.OnceFunc(func() {
			if n == 0 && c.onFirst != nil {
				firstErr = c.onFirst(ctx, p)
			}
		})}
	}})
	got, err := p.get(ctx, v, target, o)
	switch {
	case firstErr != nil:
		return firstErr
	case wrongOffset != 0:
		return fmt.Errorf("a request resumed at byte %d, but the previous response did not stop there", wrongOffset)
	case c.maxRequests > 0 && responses > c.maxRequests:
		return fmt.Errorf("%d requests were made, want at most %d", responses, c.maxRequests)
	case !bytes.HasPrefix(value, got):
		return fmt.Errorf("get returned %s, which is not the start of the value", describe(got))
	case fails && err == nil:
		return errors.New("get returned no error")
	case fails && (errors.Is(err, envelope.ErrDecrypt) || errors.Is(err, envelope.ErrFormat)):
		return fmt.Errorf("a lost connection was reported as a damaged object: %w", err)
	case fails && !c.readableByID && !errors.Is(err, vault.ErrUnavailable):
		return fmt.Errorf("want the error %q, got: %w", vault.ErrUnavailable, err)
	case fails:
		return nil
	case err != nil:
		return err
	case !bytes.Equal(got, value):
		return fmt.Errorf("want %s, got %s", describe(value), describe(got))
	}
	return nil
}

// A truncatedBody returns remaining bytes of r, and then an error.
type truncatedBody struct {
	r          io.Reader
	remaining  int64
	err        error
	read       *int64
	onTruncate func()
}

func (b *truncatedBody) Read(p []byte) (int, error) {
	if b.remaining == 0 {
		b.onTruncate()
		return 0, b.err
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.remaining)])
	b.remaining -= int64(n)
	*b.read += int64(n)
	return n, err
}

// truncatedHeads truncates every response to a range read and to a stat after 6000 bytes. The
// vault must resume the reads and succeed.
func (p space) truncatedHeads(ctx context.Context) error {
	value := p.value(cutSize)
	if _, err := p.put(ctx, p.vault(), target, value, nil); err != nil {
		return err
	}
	var ignored int64
	v := p.hooked(intercept.Hooks{Body: func(c intercept.Call, r io.Reader) io.Reader {
		return &truncatedBody{r: r, remaining: 6000, err: errLost, read: &ignored, onTruncate: func() {}}
	}})
	got, err := p.get(ctx, v, target, &vault.GetOptions{Range: &vault.Range{Offset: 100_000, Length: 100}})
	if err != nil || !bytes.Equal(got, value[100_000:100_100]) {
		return fmt.Errorf("a range read with truncated responses returned %s, error %v", describe(got), err)
	}
	if info, err := v.Stat(ctx, target); p.recordError(err) != nil || info.Size != cutSize {
		return fmt.Errorf("a stat with truncated responses returned size %d, error %v", info.Size, err)
	}
	return nil
}
