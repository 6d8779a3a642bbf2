package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"net/url"
	"path/filepath"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/vault"
)

// This file opens the places of access logs.

// openSource opens a place with logs: a URL, a file, a directory, or standard input.
func (a *auditing) openSource(ctx context.Context, place string) (logSource, error) {
	switch {
	case place == "-":
		return streamedLog{"standard input", bufio.NewReaderSize(interruptible(ctx, a.in), clientStart), nil}, nil
	case !isURL(place):
		// A pipe, such as <(command), can be opened only once. A directory cannot be opened.
		r, size, err := a.openFile(ctx, place)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && size < 0:
			return streamedLog{place, bufio.NewReaderSize(r, clientStart), r}, nil
		case err == nil:
			r.Close()
		}
		return localLogs{a.session, filepath.ToSlash(place)}, nil
	}
	storeURL, prefix, err := splitLogURL(place)
	if err != nil {
		return nil, err
	}
	s := a.ofStore(storeURL)
	set, err := s.settings()
	if err != nil {
		return nil, err
	}
	set.Tenant = config.Value{} // selects records, and may be any tenant; the logs are the operator's
	plan, err := s.plan(ctx, set)
	if err != nil {
		return nil, err
	}
	if _, err := plan.tenant(ctx); err != nil { // checks the token
		return nil, err
	}
	store, err := plan.open(ctx)
	if err != nil {
		return nil, err
	}
	return bucketLogs{store, prefix}, nil
}

// splitLogURL separates the URL of a bucket from the prefix of the logs.
func splitLogURL(place string) (storeURL, prefix string, err error) {
	u, err := url.Parse(place)
	if err != nil {
		return "", "", usagef("--from has an invalid URL") // the error would quote the URL
	}
	if u.Scheme == "file" || u.Scheme == "mem" {
		return place, "", nil
	}
	prefix, u.Path, u.RawPath = strings.TrimPrefix(u.Path, "/"), "", ""
	return u.String(), prefix, nil
}

// A bucketLogs is the logs in a bucket whose keys start with a prefix.
type bucketLogs struct {
	store  *vault.Store
	prefix string
}

func (b bucketLogs) close() error { return b.store.Close() }

func (b bucketLogs) logs(ctx context.Context, in dateRange) iter.Seq2[logFile, error] {
	return func(yield func(logFile, error) bool) { b.list(ctx, b.prefix, in, yield) }
}

// list yields the logs below a prefix. It reports whether to continue. All names are listed: a list that started
// behind the logs of other days could omit one whose name has another form.
func (b bucketLogs) list(ctx context.Context, prefix string, in dateRange, yield func(logFile, error) bool) bool {
	list := b.store.Bucket.List(&blob.ListOptions{Prefix: prefix, Delimiter: "/"})
	for {
		o, err := list.Next(ctx)
		switch {
		case err == io.EOF:
			return true
		case err != nil:
			yield(logFile{}, b.explain(err))
			return false
		case o.IsDir:
			if in.hasFolder(o.Key) && !b.list(ctx, o.Key, in, yield) {
				return false
			}
		case in.hasLog(o.Key):
			if !yield(b.log(o.Key), nil) {
				return false
			}
		}
	}
}

func (b bucketLogs) log(key string) logFile {
	return logFile{name: b.store.Name + "/" + key, open: func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		r, err := b.store.Bucket.NewRangeReader(ctx, key, offset, -1, nil)
		if err != nil {
			return nil, b.explain(err)
		}
		return r, nil
	}}
}

// explain adds the sentinel of an error of the store.
func (b bucketLogs) explain(err error) error {
	if b.store.Explain != nil {
		if sentinel := b.store.Explain(err); sentinel != nil {
			if errors.Is(sentinel, err) {
				return sentinel
			}
			return tagged{err, sentinel}
		}
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return tagged{err, vault.ErrNotFound}
	case gcerrors.PermissionDenied:
		return tagged{err, vault.ErrPermission}
	}
	return err
}
