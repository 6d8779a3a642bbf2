package aws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/objectvault/objectvault/vault"
)

// read reads a value completely.
func read(ctx context.Context, v *vault.Vault, name vault.Name, o *vault.GetOptions) ([]byte, error) {
	r, err := v.Get(ctx, name, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (c cell) opens(want string) error {
	got, err := read(c.ctx, c.vault, c.called, nil)
	if err == nil && string(got) != want {
		err = errors.New("another value")
	}
	return err
}

func (c cell) isGone() error {
	if _, err := c.vault.Stat(c.ctx, c.called); !errors.Is(err, vault.ErrNotFound) {
		return fmt.Errorf("stat of the removed object: %v", err)
	}
	return nil
}

func vaultPut(c cell) (all calls) {
	for _, size := range []int{100, 100_000} { // for larger values, see TestDeniedPut
		value := strings.Repeat("v", size)
		_, err := c.vault.Put(c.ctx, c.called, strings.NewReader(value), nil)
		all.add(fmt.Sprint("put of ", size), err)
		all.check(c.own, "read back", c.opens(value))
	}
	return all
}

func vaultCreate(c cell) (all calls) {
	name := c.called
	if c.own {
		name += "-created"
	}
	_, err := c.vault.Put(c.ctx, name, strings.NewReader("created"), &vault.PutOptions{Create: true})
	all.add("create", err)
	c.called = name
	all.check(c.own, "read back", c.opens("created"))
	return all
}

func vaultGet(c cell) (all calls) {
	all.add("get", c.opens(ownValue))
	return all
}

func vaultRange(c cell) (all calls) {
	got, err := read(c.ctx, c.vault, c.called, &vault.GetOptions{Range: &vault.Range{Offset: 5, Length: 3}})
	if err == nil && string(got) != ownValue[5:8] {
		err = errors.New("another value")
	}
	all.add("range", err)
	return all
}

func vaultStat(c cell) (all calls) {
	info, err := c.vault.Stat(c.ctx, c.called)
	if err == nil && info.Size != int64(len(ownValue)) {
		err = errors.New("another length")
	}
	all.add("stat", err)
	return all
}

func vaultList(c cell) (all calls) {
	for _, prefix := range []string{"", string(c.called)} {
		found := false
		var err error
		for e, lerr := range c.vault.List(c.ctx, &vault.ListOptions{Prefix: prefix}) {
			found, err = found || e.Name == c.called, lerr
		}
		all.add("list", err)
		if c.own && !found {
			all.add("list", errors.New("the actor's own object is missing"))
		}
	}
	return all
}

func vaultHistory(c cell) (all calls) {
	n := 0
	var err error
	for _, herr := range c.vault.History(c.ctx, c.called) {
		n, err = n+1, herr
	}
	if err == nil && n == 0 {
		err = errors.New("none")
	}
	all.add("history", err)
	_, err = read(c.ctx, c.vault, c.called, &vault.GetOptions{Version: "@1"})
	all.add("get of a version", err)
	_, err = c.vault.Rollback(c.ctx, c.called, "@1")
	all.add("rollback", err)
	return all
}

func vaultMultipart(c cell) (all calls) {
	const size = 10 << 20
	for _, o := range []*vault.PutOptions{nil, {Create: true}} {
		if c.own && o != nil {
			continue // the object exists
		}
		_, err := c.vault.Put(c.ctx, c.called, noise(1, size), o)
		all.add("multipart put", err)
	}
	if c.own {
		got, err := read(c.ctx, c.vault, c.called, nil)
		want, _ := io.ReadAll(noise(1, size))
		if err == nil && !bytes.Equal(got, want) {
			err = errors.New("another value")
		}
		all.add("read back", err)
	}
	return all
}

func vaultDelete(c cell) (all calls) {
	all.add("delete", c.vault.Delete(c.ctx, c.called, nil))
	all.check(c.own, "is deleted", c.isGone())
	return all
}

func vaultTeardown(c cell) (all calls) {
	for _, o := range []*vault.TeardownOptions{nil, {AllCollections: !c.own}} {
		_, err := c.vault.Teardown(c.ctx, o)
		all.add("teardown", err)
	}
	all.check(c.own, "is deleted", c.isGone())
	return all
}
