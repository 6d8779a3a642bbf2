package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/objectvault/objectvault/vault"
	"gocloud.dev/gcerrors"
)

func checkErrors(ctx context.Context, t *trial) error {
	never, gone, there := t.key("never"), t.key("gone"), t.key("there")
	v := newValue(100)
	for _, key := range []string{gone, there} {
		if err := t.make(ctx, t.Store, key, v.fill); err != nil {
			return t.works(t.Store, err, "a create")
		}
	}
	if err := t.drop(ctx, t.Store, gone); err != nil {
		return t.works(t.Store, err, "a delete")
	}
	for _, key := range []string{never, gone} {
		for _, length := range []int64{-1, 1, 16 << 10} {
			r, err := t.open(ctx, t.Store, key, 0, length)
			if err == nil {
				r.Close()
			}
			if err := t.fails(t.Store, err, vault.ErrNotFound, "reading %d bytes of what is absent", length); err != nil {
				return err
			}
		}
	}
	if pages, err := t.list(ctx, t.Store, t.prefix+"nothing/", 1000); err != nil || len(pages) > 1 || len(pages[0]) > 0 {
		return errOr(t.works(t.Store, err, "a listing of nothing"), broken("a listing of nothing gives something"))
	}

	_, err := t.create(ctx, t.Store, there, v.fill)
	if t.kind(t.Store, err) == vault.ErrUnsupported {
		// What refuses every create need not tell why it refuses this one.
	} else if t.Store.Create != nil {
		if err := t.fails(t.Store, err, vault.ErrExist, "a create on a taken key"); err != nil {
			return err
		}
		if !errors.Is(err, vault.ErrExist) {
			return broken("a create on a taken key: the error of a Creator does not wrap %q: %w", vault.ErrExist, err)
		}
	} else {
		if err := t.fails(t.Store, err, vault.ErrExist, "a write with IfNotExist on a taken key"); err != nil {
			return err
		}
		if code := gcerrors.Code(err); code != gcerrors.FailedPrecondition && !errors.Is(err, vault.ErrExist) {
			return broken("a write with IfNotExist on a taken key: the code is %v, want %v: %w", code, gcerrors.FailedPrecondition, err)
		}
	}
	if needSwap.met(t.Subject) {
		tag, err := t.tag(ctx, t.Store, there)
		if err == nil {
			err = t.put(ctx, t.Store, there, v.fillLonger)
		}
		if err != nil {
			return t.works(t.Store, err, "an overwrite")
		}
		for _, key := range []string{there, gone} {
			_, err = t.swap(ctx, t.Store, key, tag, v.fill)
			if err := t.fails(t.Store, err, vault.ErrConflict, "a swap of a stale tag"); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillLonger writes another value than fill.
func (v value) fillLonger(w io.Writer) error { return value{v.seed + 1, v.size + 1}.fill(w) }

func checkDenied(ctx context.Context, t *trial) error {
	return t.refuses(ctx, t.Denied, "a client without rights", func(st *vault.Store, err error, what string) error {
		return t.fails(st, err, vault.ErrPermission, "%s", what)
	})
}

func checkExpired(ctx context.Context, t *trial) error {
	return t.refuses(ctx, t.Expired, "a client with expired credentials", func(st *vault.Store, err error, what string) error {
		return t.fails(st, err, vault.ErrUnauthenticated, "%s", what)
	})
}

func checkUnreachable(ctx context.Context, t *trial) error {
	return t.refuses(ctx, t.Unreachable, "a client that does not reach the store", func(st *vault.Store, err error, what string) error {
		if err == nil {
			return broken("%s: answered nil", what)
		}
		// gcerrors has no code for it, and a vault takes what has none for unavailable.
		if kind := t.kind(st, err); kind != nil && kind != vault.ErrUnavailable {
			return broken("%s: want %q, the answer says %q: %w", what, vault.ErrUnavailable, kind, err)
		}
		return nil
	})
}

// refuses does everything with a client that the store refuses. ok judges each error.
func (t *trial) refuses(ctx context.Context, open func(context.Context) (*vault.Store, error), who string, ok func(*vault.Store, error, string) error) error {
	key, v := t.key("there"), newValue(100)
	if err := t.make(ctx, t.Store, key, v.fill); err != nil {
		return t.works(t.Store, err, "a create")
	}
	st, err := t.client(ctx, open)
	if err != nil {
		return err
	}
	absent := t.key("absent")
	for _, call := range []struct {
		what string
		do   func() error
	}{
		{"reads", func() error { return closed(t.open(ctx, st, key, 0, -1)) }},
		{"reads a part", func() error { return closed(t.open(ctx, st, key, 0, 16<<10)) }},
		{"writes", func() error { return t.put(ctx, st, absent, v.fill) }},
		{"overwrites", func() error { return t.put(ctx, st, key, v.fillLonger) }},
		{"creates", func() error { return t.make(ctx, st, absent, v.fill) }},
		{"creates on a taken key", func() error { return t.make(ctx, st, key, v.fill) }},
		{"deletes", func() error { return t.drop(ctx, st, key) }},
		{"lists", func() error { _, err := t.list(ctx, st, t.prefix, 1000); return err }},
		{"swaps", func() error {
			if st.Swap == nil || t.Store.Tag == nil {
				return errNone
			}
			tag, err := t.tag(ctx, t.Store, key)
			if err != nil {
				return err
			}
			_, err = t.swap(ctx, st, key, tag, v.fillLonger)
			return err
		}},
		{"reads the history", func() error {
			if st.History == nil {
				return errNone
			}
			_, err := t.versions(ctx, st, key)
			return err
		}},
		{"opens a version", func() error {
			if st.History == nil || t.Store.History == nil {
				return errNone
			}
			all, err := t.versions(ctx, t.Store, key)
			if err != nil || len(all) == 0 {
				return fmt.Errorf("there is no version to open: %w", err)
			}
			r, _, err := st.History.OpenVersion(ctx, key, all[0].ID, 0, -1)
			t.saw(err)
			if err == nil {
				r.Close()
			}
			return err
		}},
	} {
		err := call.do()
		if err == errNone {
			continue
		}
		if err := ok(st, err, who+" "+call.what); err != nil {
			return err
		}
	}
	if err := t.holds(ctx, t.Store, key, &v, "after "+who+" tried to change it"); err != nil {
		return err
	}
	return t.holds(ctx, t.Store, absent, nil, "after "+who+" tried to make it")
}

// errNone means that the store has no such call.
var errNone = errors.New("not offered")

func closed(r io.Closer, err error) error {
	if err == nil {
		r.Close()
	}
	return err
}

// checkNoSecrets provokes every error that it can, and then looks at what the store
// said to this probe and to all before it.
func checkNoSecrets(ctx context.Context, t *trial) error {
	canary := "sk-canary-" + random() + random()
	secret := func(w io.Writer) error { _, err := io.WriteString(w, strings.Repeat(canary, 50)); return err }
	key, absent := t.key("there"), t.key("absent")
	if err := t.make(ctx, t.Store, key, secret); err != nil {
		return t.works(t.Store, err, "a create")
	}
	stores := []*vault.Store{t.Store}
	for _, open := range []func(context.Context) (*vault.Store, error){t.Denied, t.Expired, t.Unreachable} {
		if open == nil {
			continue
		}
		st, err := t.client(ctx, open)
		if err != nil {
			return err
		}
		stores = append(stores, st)
	}
	for _, st := range stores {
		t.create(ctx, st, key, secret)
		t.put(ctx, st, absent, func(w io.Writer) error { secret(w); return errSource })
		t.create(ctx, st, absent, func(w io.Writer) error { secret(w); return errSource })
		ended, cancel := context.WithCancel(ctx)
		t.put(ended, st, absent, func(w io.Writer) error { defer cancel(); return secret(w) })
		cancel()
		t.drop(ctx, st, absent)
		closed(t.open(ctx, st, absent, 0, -1))
		closed(t.open(ctx, st, key, 1<<20, 10))
		t.list(ctx, st, absent, 1000)
		if st.Swap != nil {
			t.swap(ctx, st, key, "never-was", secret)
			t.swap(ctx, st, absent, "never-was", secret)
		}
		if st.History != nil {
			r, _, err := st.History.OpenVersion(ctx, key, "never-was", 0, -1)
			t.saw(err)
			if err == nil {
				r.Close()
			}
			t.versions(ctx, st, absent)
		}
	}
	t.Subject.mu.Lock()
	errs := t.Subject.errs
	t.Subject.mu.Unlock()
	for _, st := range stores {
		for i, secret := range append([]string{canary}, t.Secrets...) {
			if secret != "" && strings.Contains(st.Name, secret) {
				return broken("the name of the store holds secret %d", i)
			}
		}
	}
	for _, err := range errs {
		if err := leaks(err, append([]string{canary}, t.Secrets...)); err != nil {
			return err
		}
	}
	return nil
}

// leaks reports whether err, or any error behind it, shows a secret, without showing it.
func leaks(err error, secrets []string) error {
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err)} {
		for i, secret := range secrets {
			if secret != "" && strings.Contains(text, secret) {
				what := fmt.Sprintf("secret %d of the store", i)
				if i == 0 {
					what = "the value"
				}
				return broken("an error (%T) holds %s: %s", err, what, strings.ReplaceAll(text, secret, "[secret]"))
			}
		}
	}
	switch behind := err.(type) {
	case interface{ Unwrap() error }:
		if next := behind.Unwrap(); next != nil {
			return leaks(next, secrets)
		}
	case interface{ Unwrap() []error }:
		for _, next := range behind.Unwrap() {
			if next != nil {
				if err := leaks(next, secrets); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
