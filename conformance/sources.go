package conformance

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/objectvault/objectvault/vault"
)

// errSource is the error of a failing source.
var errSource = errors.New("the source of this value failed on purpose")

// A source is the reader of a value that calls atEnd after the last byte.
type source struct {
	io.Reader
	atEnd func() (int, error)
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		return s.atEnd()
	}
	return n, err
}

// checkSources puts values whose source fails, panics or cancels the context. The previous
// value must stay, and the error must wrap the error of the source.
func checkSources(ctx context.Context, f *fixture) error {
	sizes := []int{0, 1000, 1<<20 + 70_000} // the last value is streamed
	if f.Large >= 0 {
		sizes = append(sizes, int(min(cmp.Or(f.Large, 10<<20), 10<<20))) // more than one part of a multipart upload
	}
	for _, size := range sizes {
		for _, mode := range []string{"put", "overwrite", "create", "swap"} {
			if mode == "swap" && f.store.Swap == nil || mode == "create" && f.deviates("create") {
				continue
			}
			if err := f.newSpace().brokenSources(ctx, mode, size); err != nil {
				return fmt.Errorf("%s of %d bytes, then %w", mode, size, err)
			}
		}
	}
	return nil
}

func (p space) brokenSources(ctx context.Context, mode string, size int) error {
	const name = "broken"
	value := p.value(size)
	var old []byte
	o := &vault.PutOptions{Create: mode == "create"}
	if mode == "overwrite" || mode == "swap" {
		old = p.value(10)
		info, err := p.put(ctx, p.vault(), name, old, nil)
		if err != nil {
			return err
		}
		if mode == "swap" {
			o.IfRevision = info.Revision
		}
	}
	for _, c := range []struct {
		what  string
		atEnd func(cancel func()) (int, error)
		want  error // nil: a panic
	}{
		{"an error", func(func()) (int, error) { return 0, errSource }, errSource},
		{"a cancelled context", func(cancel func()) (int, error) { cancel(); return 0, io.EOF }, context.Canceled},
		{"a panic", func(func()) (int, error) { panic(errSource) }, nil},
	} {
		wctx, cancel := context.WithCancel(ctx)
		err, panicked := func() (err error, panicked bool) {
			defer func() {
				if r := recover(); r != nil {
					if r != errSource {
						panic(r)
					}
					panicked = true
				}
			}()
			_, err = p.vault().Put(wctx, name, &source{bytes.NewReader(value), func() (int, error) { return c.atEnd(cancel) }}, o)
			return p.recordError(err), false
		}()
		cancel()
		switch {
		case c.want == nil && !panicked:
			return fmt.Errorf("%s: put did not panic, and returned: %v", c.what, err)
		case c.want != nil && err == nil:
			return fmt.Errorf("%s: put returned no error", c.what)
		case c.want != nil && !errors.Is(err, c.want):
			return fmt.Errorf("%s: put returned: %w", c.what, err)
		case c.want == errSource && errors.Is(err, vault.ErrUnavailable):
			return fmt.Errorf("%s: put reported a failure of the store: %w", c.what, err)
		case errors.Is(err, vault.ErrUnsure):
			return fmt.Errorf("%s: put reported an unknown outcome: %w", c.what, err)
		}
		if err := p.wantValue(ctx, name, old); err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
	}
	return nil
}
