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

func checkErrors(ctx context.Context, t *probeRun) error {
	never, gone, there := t.key("never"), t.key("gone"), t.key("there")
	v := newValue(100)
	for _, key := range []string{gone, there} {
		if err := t.createOrPut(ctx, t.Store, key, v.fill); err != nil {
			return t.wantSuccess(t.Store, err, "a create")
		}
	}
	if err := t.deleteKey(ctx, t.Store, gone); err != nil {
		return t.wantSuccess(t.Store, err, "a delete")
	}
	for _, key := range []string{never, gone} {
		for _, length := range []int64{-1, 1, 16 << 10} {
			r, err := t.openRange(ctx, t.Store, key, 0, length)
			if err == nil {
				r.Close()
			}
			if err := t.wantError(t.Store, err, vault.ErrNotFound, "a read of %d bytes of a missing object", length); err != nil {
				return err
			}
		}
	}
	if pages, err := t.list(ctx, t.Store, t.prefix+"nothing/", 1000); err != nil || len(pages) > 1 || len(pages[0]) > 0 {
		return firstError(t.wantSuccess(t.Store, err, "a list of an empty prefix"), violation("a list of an empty prefix returned objects"))
	}

	_, err := t.create(ctx, t.Store, there, v.fill)
	if t.kind(t.Store, err) == vault.ErrUnsupported {
		// A store that rejects every create need not report that the object exists.
	} else if t.Store.Create != nil {
		if err := t.wantError(t.Store, err, vault.ErrExist, "a create for an existing key"); err != nil {
			return err
		}
		if !errors.Is(err, vault.ErrExist) {
			return violation("a create for an existing key: the error of the Creator does not wrap %q: %w", vault.ErrExist, err)
		}
	} else {
		if err := t.wantError(t.Store, err, vault.ErrExist, "a write with IfNotExist for an existing key"); err != nil {
			return err
		}
		if code := gcerrors.Code(err); code != gcerrors.FailedPrecondition && !errors.Is(err, vault.ErrExist) {
			return violation("a write with IfNotExist for an existing key: the code is %v, want %v: %w", code, gcerrors.FailedPrecondition, err)
		}
	}
	if needSwap.met(t.Subject) {
		tag, err := t.tag(ctx, t.Store, there)
		if err == nil {
			err = t.put(ctx, t.Store, there, v.fillLonger)
		}
		if err != nil {
			return t.wantSuccess(t.Store, err, "an overwrite")
		}
		for _, key := range []string{there, gone} {
			_, err = t.swap(ctx, t.Store, key, tag, v.fill)
			if err := t.wantError(t.Store, err, vault.ErrConflict, "a swap with an old tag"); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillLonger writes a value that differs from the value that fill writes.
func (v value) fillLonger(w io.Writer) error { return value{v.seed + 1, v.size + 1}.fill(w) }

func checkDenied(ctx context.Context, t *probeRun) error {
	return t.checkRefused(ctx, t.Denied, "a client without permission", func(st *vault.Store, err error, what string) error {
		return t.wantError(st, err, vault.ErrPermission, "%s", what)
	})
}

func checkExpired(ctx context.Context, t *probeRun) error {
	return t.checkRefused(ctx, t.Expired, "a client with expired credentials", func(st *vault.Store, err error, what string) error {
		return t.wantError(st, err, vault.ErrUnauthenticated, "%s", what)
	})
}

func checkUnreachable(ctx context.Context, t *probeRun) error {
	return t.checkRefused(ctx, t.Unreachable, "a client that cannot reach the store", func(st *vault.Store, err error, what string) error {
		if err == nil {
			return violation("%s: no error was returned", what)
		}
		// gcerrors has no code for this. A vault treats an error without a code as unavailable.
		if kind := t.kind(st, err); kind != nil && kind != vault.ErrUnavailable {
			return violation("%s: want the error %q, got %q: %w", what, vault.ErrUnavailable, kind, err)
		}
		return nil
	})
}

// checkRefused makes every call with a client that the store must refuse. ok checks each error.
func (t *probeRun) checkRefused(ctx context.Context, open func(context.Context) (*vault.Store, error), client string, ok func(*vault.Store, error, string) error) error {
	key, v := t.key("there"), newValue(100)
	if err := t.createOrPut(ctx, t.Store, key, v.fill); err != nil {
		return t.wantSuccess(t.Store, err, "a create")
	}
	st, err := t.openClient(ctx, open)
	if err != nil {
		return err
	}
	absent := t.key("absent")
	for _, call := range []struct {
		what string
		do   func() error
	}{
		{"reads", func() error { return closed(t.openRange(ctx, st, key, 0, -1)) }},
		{"reads a part", func() error { return closed(t.openRange(ctx, st, key, 0, 16<<10)) }},
		{"writes", func() error { return t.put(ctx, st, absent, v.fill) }},
		{"overwrites", func() error { return t.put(ctx, st, key, v.fillLonger) }},
		{"creates", func() error { return t.createOrPut(ctx, st, absent, v.fill) }},
		{"creates an existing key", func() error { return t.createOrPut(ctx, st, key, v.fill) }},
		{"deletes", func() error { return t.deleteKey(ctx, st, key) }},
		{"lists", func() error { _, err := t.list(ctx, st, t.prefix, 1000); return err }},
		{"swaps", func() error {
			if st.Swap == nil || t.Store.Tag == nil {
				return errUnsupportedCall
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
				return errUnsupportedCall
			}
			_, err := t.versions(ctx, st, key)
			return err
		}},
		{"reads a version", func() error {
			if st.History == nil || t.Store.History == nil {
				return errUnsupportedCall
			}
			all, err := t.versions(ctx, t.Store, key)
			if err != nil || len(all) == 0 {
				return fmt.Errorf("the history contains no version to read: %w", err)
			}
			r, _, err := st.History.OpenVersion(ctx, key, all[0].ID, 0, -1)
			t.recordError(err)
			if err == nil {
				r.Close()
			}
			return err
		}},
	} {
		err := call.do()
		if err == errUnsupportedCall {
			continue
		}
		if err := ok(st, err, client+" "+call.what); err != nil {
			return err
		}
	}
	if err := t.wantObject(ctx, t.Store, key, &v, "after "+client+" tried to change the object"); err != nil {
		return err
	}
	return t.wantObject(ctx, t.Store, absent, nil, "after "+client+" tried to create the object")
}

// errUnsupportedCall means that the store does not support the call.
var errUnsupportedCall = errors.New("not supported by the store")

func closed(r io.Closer, err error) error {
	if err == nil {
		r.Close()
	}
	return err
}

// checkNoSecrets provokes as many errors as possible. Then it looks for secrets in the errors of
// this probe and of all probes before it.
func checkNoSecrets(ctx context.Context, t *probeRun) error {
	canary := "sk-canary-" + random() + random()
	secret := func(w io.Writer) error { _, err := io.WriteString(w, strings.Repeat(canary, 50)); return err }
	key, absent := t.key("there"), t.key("absent")
	if err := t.createOrPut(ctx, t.Store, key, secret); err != nil {
		return t.wantSuccess(t.Store, err, "a create")
	}
	stores := []*vault.Store{t.Store}
	for _, open := range []func(context.Context) (*vault.Store, error){t.Denied, t.Expired, t.Unreachable} {
		if open == nil {
			continue
		}
		st, err := t.openClient(ctx, open)
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
		t.deleteKey(ctx, st, absent)
		closed(t.openRange(ctx, st, absent, 0, -1))
		closed(t.openRange(ctx, st, key, 1<<20, 10))
		t.list(ctx, st, absent, 1000)
		if st.Swap != nil {
			t.swap(ctx, st, key, "no-such-version", secret)
			t.swap(ctx, st, absent, "no-such-version", secret)
		}
		if st.History != nil {
			r, _, err := st.History.OpenVersion(ctx, key, "no-such-version", 0, -1)
			t.recordError(err)
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
				return violation("the name of the store contains secret %d", i)
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

// leaks returns an error if err, or an error that it wraps, contains a secret. The returned error
// does not contain the secret.
func leaks(err error, secrets []string) error {
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err)} {
		for i, secret := range secrets {
			if secret != "" && strings.Contains(text, secret) {
				what := fmt.Sprintf("secret %d of the store", i)
				if i == 0 {
					what = "the value"
				}
				return violation("an error (%T) contains %s: %s", err, what, strings.ReplaceAll(text, secret, "[secret]"))
			}
		}
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		if next := wrapper.Unwrap(); next != nil {
			return leaks(next, secrets)
		}
	case interface{ Unwrap() []error }:
		for _, next := range wrapper.Unwrap() {
			if next != nil {
				if err := leaks(next, secrets); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
