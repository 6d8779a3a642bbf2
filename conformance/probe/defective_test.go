package probe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// errGone is a false error of a defective store.
var errGone = fmt.Errorf("no such key: %w", vault.ErrNotFound)

func filled(fill func(io.Writer) error) ([]byte, error) {
	var b bytes.Buffer
	err := fill(&b)
	return b.Bytes(), err
}

func putAll(ctx context.Context, s *vault.Store, key string, value []byte) error {
	return s.Bucket.WriteAll(ctx, key, value, &blob.WriterOptions{ContentType: "application/octet-stream"})
}

// defectiveStores lists stores with one defect each. The probes of the clauses in broken must
// detect the defect. The probes of the clauses listed in passing must pass.
var defectiveStores = []struct {
	name    string
	breaks  func(*vault.Store) *vault.Store
	broken  []string
	passing []string
}{
	{
		name: "create reads the key, then writes",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Create = creator(func(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
					if _, err := readAll(ctx, s.Bucket, key); err == nil {
						return "", vault.ErrExist
					}
					value, err := filled(fill)
					if err == nil {
						err = ctx.Err()
					}
					if err != nil {
						return "", err
					}
					return "", putAll(ctx, s, key, value)
				})
				c.History, c.Purge = nil, nil
			})
		},
		broken: []string{"create-detects", "create-atomic"}, passing: []string{"create", "create-after-delete", "all-or-nothing"},
	},
	{
		name: "create of the portable bucket reads the key, then writes",
		breaks: func(s *vault.Store) *vault.Store {
			s = withDouble(s, func(d *double) {
				d.write = func(ctx context.Context, key string, o *driver.WriterOptions) (driver.Writer, error) {
					if _, err := readAll(ctx, d.Bucket, key); err == nil && o.IfNotExist {
						return nil, vault.ErrExist
					}
					return newWriter(ctx, d.Bucket, key, false)
				}
			})
			s.Create = nil
			return s
		},
		broken: []string{"create-detects"}, passing: []string{"read-after-write"},
	},
	{
		name: "create overwrites",
		breaks: func(s *vault.Store) *vault.Store {
			s = withDouble(s, func(d *double) {
				d.write = func(ctx context.Context, key string, _ *driver.WriterOptions) (driver.Writer, error) {
					return newWriter(ctx, d.Bucket, key, false)
				}
			})
			s.Create = nil
			return s
		},
		broken:  []string{"create", "create-large", "create-after-delete", "create-detects", "create-atomic", "names", "errors"},
		passing: []string{"read-after-write", "swap", "history"},
	},
	{
		name: "create overwrites with large objects",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Create = creator(func(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
					value, err := filled(fill)
					if err == nil && len(value) > 2<<20 {
						return "", putAll(ctx, s, key, value)
					}
					return s.Create.Create(ctx, key, func(w io.Writer) error { w.Write(value); return err })
				})
				c.History, c.Purge = nil, nil
			})
		},
		broken: []string{"create-large"}, passing: []string{"create", "create-atomic"},
	},
	{
		name: "create refuses a deleted key",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Create = creator(func(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
					for range s.History.Versions(ctx, key) {
						return "", vault.ErrExist
					}
					return s.Create.Create(ctx, key, fill)
				})
			})
		},
		broken: []string{"create-after-delete"}, passing: []string{"create", "create-detects"},
	},
	{
		name: "create briefly shows failed creates",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) { c.Create, c.History, c.Purge = &optimisticCreator{s: s}, nil, nil })
		},
		broken: []string{"create-atomic"}, passing: []string{"create-detects"},
	},
	{
		name: "create returns the id of another version",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Create = creator(func(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
					_, err := s.Create.Create(ctx, key, fill)
					return "0123456789abcdef", err
				})
			})
		},
		broken: []string{"create", "create-after-delete"}, passing: []string{"create-atomic"},
	},
	{
		name: "create returns conflict for an existing key",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Create = creator(func(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
					id, err := s.Create.Create(ctx, key, fill)
					if errors.Is(err, vault.ErrExist) {
						err = vault.ErrConflict
					}
					return id, err
				})
			})
		},
		broken: []string{"create", "errors"},
	},
	{
		name: "a cancelled write is published",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.write = func(ctx context.Context, key string, o *driver.WriterOptions) (driver.Writer, error) {
					return newWriter(context.WithoutCancel(ctx), d.Bucket, key, o.IfNotExist)
				}
			})
		},
		broken: []string{"all-or-nothing", "all-or-nothing-large"}, passing: []string{"sizes", "create"},
	},
	{
		name: "a failed create publishes a part of the value",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Create = creator(func(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
					var failed error
					id, err := s.Create.Create(ctx, key, func(w io.Writer) error { failed = fill(w); return nil })
					return id, errors.Join(failed, err)
				})
			})
		},
		broken: []string{"all-or-nothing", "all-or-nothing-large"}, passing: []string{"create"},
	},
	{
		name: "a create ignores its context",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Create = creator(func(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
					return s.Create.Create(context.WithoutCancel(ctx), key, fill)
				})
			})
		},
		broken: []string{"all-or-nothing"}, passing: []string{"create"},
	},
	{
		name: "a create recovers a panic of its source",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Create = creator(func(ctx context.Context, key string, fill func(io.Writer) error) (id string, err error) {
					defer func() {
						if recover() != nil {
							err = errors.New("something went wrong")
						}
					}()
					return s.Create.Create(ctx, key, fill)
				})
			})
		},
		broken: []string{"all-or-nothing"}, passing: []string{"create"},
	},
	{
		name: "a swap hides the error of its source",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Swap = swapper(func(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error) {
					failed := false
					next, err := s.Swap.Swap(ctx, key, tag, func(w io.Writer) error { err := fill(w); failed = err != nil; return err })
					if failed {
						err = errors.New("could not be written")
					}
					return next, err
				})
			})
		},
		broken: []string{"all-or-nothing"}, passing: []string{"swap"},
	},
	{
		name: "a range is ignored",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.read = func(ctx context.Context, key string, _, _ int64) (*blob.Reader, error) {
					return d.Bucket.NewReader(ctx, key, nil)
				}
			})
		},
		broken: []string{"ranges", "large"}, passing: []string{"sizes", "read-after-write"},
	},
	{
		name: "a range read reports the size of the range",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.read = func(ctx context.Context, key string, offset, length int64) (*blob.Reader, error) {
					d.size = func(a driver.ReaderAttributes) driver.ReaderAttributes {
						if length >= 0 {
							a.Size = min(length, a.Size-offset)
						}
						return a
					}
					return d.Bucket.NewRangeReader(ctx, key, offset, length, nil)
				}
			})
		},
		broken: []string{"ranges"}, passing: []string{"sizes"},
	},
	{
		name: "a range past the end returns not found",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.read = func(ctx context.Context, key string, offset, length int64) (*blob.Reader, error) {
					if offset >= 100_000 {
						return nil, errGone
					}
					return d.Bucket.NewRangeReader(ctx, key, offset, length, nil)
				}
			})
		},
		broken: []string{"ranges"}, passing: []string{"sizes"},
	},
	{
		name: "empty objects are not stored",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.read = func(ctx context.Context, key string, offset, length int64) (*blob.Reader, error) {
					r, err := d.Bucket.NewRangeReader(ctx, key, offset, length, nil)
					if err == nil && r.Size() == 0 {
						r.Close()
						return nil, errGone
					}
					return r, err
				}
			})
		},
		broken: []string{"sizes", "create"}, passing: []string{"ranges"},
	},
	{
		name: "the last part of an object is lost",
		breaks: func(s *vault.Store) *vault.Store {
			c := *s
			c.Put = putter(func(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
				w := new(lossyWriter)
				if err := fill(w); err != nil {
					return "", err
				}
				return "", s.Bucket.WriteAll(ctx, key, w.Bytes(), nil)
			})
			return &c
		},
		broken: []string{"large"}, passing: []string{"sizes"},
	},
	{
		name: "large objects are truncated",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.write = func(ctx context.Context, key string, o *driver.WriterOptions) (driver.Writer, error) {
					w, err := newWriter(ctx, d.Bucket, key, o.IfNotExist)
					return &cutWriter{w, 2 << 20}, err
				}
			})
		},
		broken: []string{"large"}, passing: []string{"sizes"},
	},
	{
		name: "keys are decoded",
		breaks: func(s *vault.Store) *vault.Store {
			decode := func(key string) string { key, _ = url.PathUnescape(key); return key }
			s = withDouble(s, func(d *double) {
				d.read = func(ctx context.Context, key string, offset, length int64) (*blob.Reader, error) {
					return d.Bucket.NewRangeReader(ctx, decode(key), offset, length, nil)
				}
				d.write = func(ctx context.Context, key string, o *driver.WriterOptions) (driver.Writer, error) {
					return newWriter(ctx, d.Bucket, decode(key), o.IfNotExist)
				}
				d.remove = func(ctx context.Context, key string) error { return d.Bucket.Delete(ctx, decode(key)) }
			})
			s.Create, s.Remover = nil, nil
			return s
		},
		broken: []string{"names"}, passing: []string{"create", "list"},
	},
	{
		name: "a list is sorted by directory",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.list = func(ctx context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
					page, err := listPage(ctx, d.Bucket, o)
					if err == nil {
						slices.SortFunc(page.Objects, func(a, b *driver.ListObject) int {
							return slices.Compare(strings.Split(a.Key, "/"), strings.Split(b.Key, "/"))
						})
					}
					return page, err
				}
			})
		},
		broken: []string{"names"}, passing: []string{"list-after-write"},
	},
	{
		name: "a list continues at a position, not at a key",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.list = func(ctx context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
					from, _ := strconv.Atoi(string(o.PageToken))
					page := new(driver.ListPage)
					for it := d.Bucket.List(&blob.ListOptions{Prefix: o.Prefix}); ; {
						in, err := it.Next(ctx)
						if err == io.EOF {
							break
						}
						if err != nil {
							return nil, err
						}
						page.Objects = append(page.Objects, &driver.ListObject{Key: in.Key, Size: in.Size, ModTime: in.ModTime})
					}
					page.Objects = page.Objects[min(from, len(page.Objects)):]
					if len(page.Objects) > o.PageSize {
						page.Objects = page.Objects[:o.PageSize]
						page.NextPageToken = strconv.AppendInt(nil, int64(from+o.PageSize), 10)
					}
					return page, nil
				}
			})
		},
		broken: []string{"list"}, passing: []string{"list-after-write", "names"},
	},
	{
		name: "a list ends after one page",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.list = func(ctx context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
					page, err := listPage(ctx, d.Bucket, o)
					if err == nil {
						page.NextPageToken = nil
					}
					return page, err
				}
			})
		},
		broken: []string{"list"}, passing: []string{"list-after-write", "names"},
	},
	{
		name: "a list omits new objects",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.list = func(ctx context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
					page, err := listPage(ctx, d.Bucket, o)
					if err == nil {
						page.Objects = slices.DeleteFunc(page.Objects, func(o *driver.ListObject) bool { return time.Since(o.ModTime) < 30*time.Millisecond })
					}
					return page, err
				}
			})
		},
		broken: []string{"list-after-write"}, passing: []string{"list", "read-after-write"},
	},
	{
		name: "a swap ignores its tag",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Swap = swapper(func(ctx context.Context, key, _ string, fill func(io.Writer) error) (string, error) {
					return s.Swap.Swap(ctx, key, tagOf(ctx, s, key), fill)
				})
			})
		},
		broken: []string{"swap", "swap-large"}, passing: []string{"create", "read-after-write"},
	},
	{
		name: "a swap reads the tag, then writes",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Swap = swapper(func(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error) {
					if tagOf(ctx, s, key) != tag {
						return "", vault.ErrConflict
					}
					value, err := filled(fill)
					if err == nil {
						err = ctx.Err()
					}
					if err == nil {
						err = putAll(ctx, s, key, value)
					}
					return tagOf(ctx, s, key), err
				})
			})
		},
		broken: []string{"swap-atomic"}, passing: []string{"swap", "swap-large", "all-or-nothing"},
	},
	{
		name: "a splice ignores the range",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Splice = splicer(func(ctx context.Context, key string, x vault.Splice) (string, error) {
					x.From = 0
					return s.Splice.Splice(ctx, key, x)
				})
			})
		},
		broken: []string{"splice", "splice-atomic"}, passing: []string{"swap"},
	},
	{
		name: "a splice omits the last byte",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Splice = splicer(func(ctx context.Context, key string, x vault.Splice) (string, error) {
					x.Size--
					return s.Splice.Splice(ctx, key, x)
				})
			})
		},
		broken: []string{"splice", "splice-atomic"}, passing: []string{"swap"},
	},
	{
		name: "a splice copies from any object",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Splice = splicer(func(ctx context.Context, key string, x vault.Splice) (string, error) {
					x.Tag = tagOf(ctx, s, key)
					return s.Splice.Splice(ctx, key, x)
				})
			})
		},
		broken: []string{"splice"}, passing: []string{"swap"},
	},
	{
		name: "a splice is not conditional",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Splice = splicer(func(ctx context.Context, key string, x vault.Splice) (string, error) {
					if ctx.Err() != nil {
						return "", ctx.Err()
					}
					if tagOf(ctx, s, key) != x.Tag {
						return "", vault.ErrConflict
					}
					x.Conditional = false
					time.Sleep(100 * time.Millisecond) // other calls compare their tags meanwhile
					x.Tag = tagOf(ctx, s, key)
					return s.Splice.Splice(ctx, key, x)
				})
			})
		},
		broken: []string{"splice-atomic"}, passing: []string{"splice"},
	},
	{
		name: "a splice ignores its context",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Splice = splicer(func(ctx context.Context, key string, x vault.Splice) (string, error) {
					return s.Splice.Splice(context.WithoutCancel(ctx), key, x)
				})
			})
		},
		broken: []string{"splice"}, passing: []string{"splice-atomic"},
	},
	{
		name: "a swap of a missing object creates it",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Swap = swapper(func(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error) {
					if _, err := readAll(ctx, s.Bucket, key); err != nil {
						return s.Create.Create(ctx, key, fill)
					}
					return s.Swap.Swap(ctx, key, tag, fill)
				})
			})
		},
		broken: []string{"swap", "errors"}, passing: []string{"swap-atomic"},
	},
	{
		name: "a swap returns no tag",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Swap = swapper(func(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error) {
					_, err := s.Swap.Swap(ctx, key, tag, fill)
					return "", err
				})
			})
		},
		broken: []string{"swap"}, passing: []string{"swap-atomic"},
	},
	{
		name: "a history omits the second newest version",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.History = historian{Historian: s.History, versions: func(_ string, all []vault.Version) []vault.Version {
					if len(all) > 2 {
						all = slices.Delete(all, 1, 2)
					}
					return all
				}}
			})
		},
		broken: []string{"history", "history-overwriters"}, passing: []string{"create"},
	},
	{
		name: "every version has the current value",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.History = historian{Historian: s.History, open: func(ctx context.Context, key, _ string, offset, length int64) (io.ReadCloser, error) {
					return s.Bucket.NewRangeReader(ctx, key, offset, length, nil)
				}}
			})
		},
		broken: []string{"history", "history-overwriters", "versions"}, passing: []string{"create"},
	},
	{
		name: "a history is listed in the wrong order",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.History = historian{Historian: s.History, versions: func(_ string, all []vault.Version) []vault.Version {
					slices.Reverse(all)
					return all
				}}
			})
		},
		broken: []string{"history"}, passing: []string{"create"},
	},
	{
		name: "a history has no delete markers",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.History = historian{Historian: s.History, versions: func(_ string, all []vault.Version) []vault.Version {
					return slices.DeleteFunc(all, func(v vault.Version) bool { return v.Deleted })
				}}
			})
		},
		broken: []string{"history"}, passing: []string{"create", "history-overwriters"},
	},
	{
		name: "a history uses the key as a prefix",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.History = historian{Historian: s.History, versions: func(key string, all []vault.Version) []vault.Version {
					for _, other := range keysBelow(context.Background(), s.Bucket, strings.TrimSuffix(key, ".enc")) {
						if other != key {
							all = append(all, vault.Version{ID: "0", Modified: time.Now()})
						}
					}
					return all
				}}
			})
		},
		broken: []string{"history"}, passing: []string{"create", "history-overwriters"},
	},
	{
		name: "the range of a version is ignored",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.History = historian{Historian: s.History, open: func(ctx context.Context, key, id string, _, _ int64) (io.ReadCloser, error) {
					r, _, err := s.History.OpenVersion(ctx, key, id, 0, -1)
					return r, err
				}}
			})
		},
		broken: []string{"versions"}, passing: []string{"history"},
	},
	{
		name: "an unknown version is read as empty",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.History = historian{Historian: s.History, open: func(ctx context.Context, key, id string, offset, length int64) (io.ReadCloser, error) {
					r, _, err := s.History.OpenVersion(ctx, key, id, offset, length)
					if errors.Is(err, vault.ErrNotFound) {
						return io.NopCloser(strings.NewReader("")), nil
					}
					return r, err
				}}
			})
		},
		broken: []string{"versions"}, passing: []string{"history"},
	},
	{
		name: "a delete of many keys omits the last one",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Remover = remover(func(ctx context.Context, keys []string) (map[string]error, error) {
					return s.Remover.Remove(ctx, keys[:max(1, min(999, len(keys)))])
				})
			})
		},
		broken: []string{"remove"}, passing: []string{"remove-tells-absent", "delete-tells-absent"},
	},
	{
		name: "a delete of many keys does not report missing ones",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Remover = remover(func(ctx context.Context, keys []string) (map[string]error, error) {
					_, err := s.Remover.Remove(ctx, keys)
					return nil, err
				})
			})
		},
		broken: []string{"remove-tells-absent"}, passing: []string{"remove"},
	},
	{
		name: "a delete of a missing object succeeds",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.remove = func(ctx context.Context, key string) error {
					d.Bucket.Delete(ctx, key)
					return nil
				}
			})
		},
		broken: []string{"delete-tells-absent"}, passing: []string{"read-after-write", "errors"},
	},
	{
		name: "a purge keeps delete markers",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Purge = purger{Purger: s.Purge, purge: func(l vault.Leftover) bool { return !l.Deleted }}
			})
		},
		broken: []string{"purge"}, passing: []string{"history"},
	},
	{
		name: "leftovers contain no delete markers",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Purge = purger{Purger: s.Purge, list: func(l vault.Leftover) bool { return !l.Deleted }}
			})
		},
		broken: []string{"purge"}, passing: []string{"history"},
	},
	{
		name: "a read of a missing object is denied",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.read = func(ctx context.Context, key string, offset, length int64) (*blob.Reader, error) {
					r, err := d.Bucket.NewRangeReader(ctx, key, offset, length, nil)
					if gcerrors.Code(err) == gcerrors.NotFound {
						err = vault.ErrPermission
					}
					return r, err
				}
			})
		},
		broken: []string{"errors", "read-after-write"}, passing: []string{"ranges"},
	},
	{
		name: "a missing object is reported by text only",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.read = func(ctx context.Context, key string, offset, length int64) (*blob.Reader, error) {
					r, err := d.Bucket.NewRangeReader(ctx, key, offset, length, nil)
					if err != nil {
						err = errors.New("404 not found")
					}
					return r, err
				}
			})
		},
		broken: []string{"errors"}, passing: []string{"ranges"},
	},
	{
		name: "a read panics",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.read = func(context.Context, string, int64, int64) (*blob.Reader, error) { panic("index out of range") }
			})
		},
		broken: []string{"sizes", "names"},
	},
	{
		name: "Close fails",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) { c.Close = func() error { return errors.New("busy") } })
		},
		broken: []string{"close"}, passing: []string{"create"},
	},
	{
		name: "errors contain the value",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) {
				c.Create = creator(func(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
					value, ferr := filled(fill)
					id, err := s.Create.Create(ctx, key, func(w io.Writer) error { w.Write(value); return ferr })
					if err != nil {
						err = fmt.Errorf("%w: writing %q", err, value)
					}
					return id, err
				})
			})
		},
		broken: []string{"no-secrets"}, passing: []string{"create"},
	},
	{
		name: "a wrapped error contains a credential",
		breaks: func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.read = func(ctx context.Context, key string, offset, length int64) (*blob.Reader, error) {
					r, err := d.Bucket.NewRangeReader(ctx, key, offset, length, nil)
					if err != nil {
						err = &quietError{errors.Join(err, errors.New("GET /x?signature=AKIASECRET"))}
					}
					return r, err
				}
			})
		},
		broken: []string{"no-secrets"}, passing: []string{"errors"},
	},
	{
		name: "the name of the store contains a credential",
		breaks: func(s *vault.Store) *vault.Store {
			return changed(s, func(c *vault.Store) { c.Name = "s3://key:AKIASECRET@bucket" })
		},
		broken: []string{"no-secrets"}, passing: []string{"errors"},
	},
}

// quietError does not show its cause in its text, but errors.Unwrap returns it.
type quietError struct{ err error }

func (q *quietError) Error() string { return "read refused" }

func (q *quietError) Unwrap() error { return q.err }

func tagOf(ctx context.Context, s *vault.Store, key string) string {
	r, err := s.Bucket.NewReader(ctx, key, nil)
	if err != nil {
		return ""
	}
	defer r.Close()
	return s.Tag(r)
}

type cutWriter struct {
	driver.Writer
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.left -= n
	_, err := w.Writer.Write(p[:n])
	return len(p), err
}

// An optimisticCreator writes first. If another writer was earlier, it restores the other value.
type optimisticCreator struct{ s *vault.Store }

var firstValues sync.Map // the first value of each key, shared by all clients

func (o *optimisticCreator) Create(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	value, err := filled(fill)
	if err != nil {
		return "", err
	}
	first, taken := firstValues.LoadOrStore(key, value)
	if err := putAll(ctx, o.s, key, value); err != nil || !taken {
		return "", err
	}
	time.Sleep(2 * time.Millisecond)
	if err := putAll(ctx, o.s, key, first.([]byte)); err != nil {
		return "", err
	}
	return "", vault.ErrExist
}

func TestWrongStores(t *testing.T) {
	if testing.Short() {
		t.Skip("-short skips this test: TestCorrectStore runs the same checks for the race detector")
	}
	for _, w := range defectiveStores {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel() // one probe retries a list for five seconds
			for _, clause := range w.broken {
				s := subject(t, w.breaks)
				s.Secrets = []string{"AKIASECRET"}
				r := run(t, s, clause)
				if r.Verdict != probe.NotSupported || !errors.Is(r.Err, probe.ErrViolated) {
					t.Errorf("%s: %s, %v; want %s", clause, r.Verdict, r.Err, probe.NotSupported)
				}
				t.Logf("%s: %v", clause, r.Err)
				if r.Err != nil && (strings.Contains(r.Err.Error(), "AKIASECRET") || strings.Contains(r.Err.Error(), "%!")) {
					t.Errorf("%s: the message contains a secret, or was not formatted: %v", clause, r.Err)
				}
			}
			for _, clause := range w.passing {
				s := subject(t, w.breaks)
				if r := run(t, s, clause); r.Verdict != probe.Supported {
					t.Errorf("%s: %s, %v; want %s", clause, r.Verdict, r.Err, probe.Supported)
				}
			}
		})
	}
}
