package probe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

const large = 3 << 20 // large enough for a store in memory

// opener returns a function that opens clients of one store in memory.
func opener() func(context.Context) (*vault.Store, error) {
	memory := new(memfs.Memory)
	return func(ctx context.Context) (*vault.Store, error) { return memfs.Open(ctx, memfs.Config{Memory: memory}) }
}

func open(t *testing.T, f func(context.Context) (*vault.Store, error)) *vault.Store {
	t.Helper()
	s, err := f(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// subject returns a store in memory whose clients all have the same defect.
func subject(t *testing.T, breaks func(*vault.Store) *vault.Store) *probe.Subject {
	openMem := opener()
	reopen := func(ctx context.Context) (*vault.Store, error) {
		s, err := openMem(ctx)
		if err != nil {
			return nil, err
		}
		return breaks(s), nil
	}
	return &probe.Subject{Store: open(t, reopen), Reopen: reopen, Prefix: "p-", Large: large}
}

func run(t *testing.T, s *probe.Subject, clause string) probe.Result {
	t.Helper()
	i := slices.IndexFunc(probe.All(), func(p probe.Probe) bool { return p.Clause == clause })
	if i < 0 {
		t.Fatalf("there is no clause %q", clause)
	}
	return s.Run(t.Context(), probe.All()[i])
}

// TestCorrectStore: a correct store passes every applicable probe, even if five probes run
// concurrently, and the probes leave no objects.
func TestCorrectStore(t *testing.T) {
	s := subject(t, func(s *vault.Store) *vault.Store { return s })
	var wg sync.WaitGroup
	for chunk := range slices.Chunk(probe.All(), (len(probe.All())+4)/5) {
		wg.Go(func() {
			for _, p := range chunk {
				r := s.Run(t.Context(), p)
				want := probe.Supported
				switch p.Clause {
				case "errors-denied", "errors-expired", "errors-unreachable":
					want = probe.NotApplicable
				}
				if r.Verdict != want || r.Left != nil || (r.Err == nil) != (want == probe.Supported) || r.Clause != p.Clause {
					t.Errorf("%s: %s, %v, left: %v; want %s", p.Clause, r.Verdict, r.Err, r.Left, want)
				}
			}
		})
	}
	wg.Wait()
	for _, key := range keysBelow(t.Context(), s.Store.Bucket, "") {
		t.Errorf("left behind: %s", key)
	}
	for l, err := range s.Store.Purge.Leftovers(t.Context(), "") {
		t.Errorf("left in history: %v, %v", l, err)
	}
}

// TestBareStore: for a store that is only a bucket, the probes of other features are not
// applicable.
func TestBareStore(t *testing.T) {
	s := subject(t, func(s *vault.Store) *vault.Store {
		return &vault.Store{Bucket: s.Bucket, Name: s.Name, Close: s.Close}
	})
	s.Reopen, s.Large = nil, -1
	for _, p := range probe.All() {
		want := probe.Supported
		switch p.Clause {
		case "two-clients", "swap", "swap-atomic", "swap-large", "history", "history-overwriters", "versions", "remove", "remove-tells-absent",
			"purge", "errors-denied", "errors-expired", "errors-unreachable", "close", "large", "all-or-nothing-large", "create-large":
			want = probe.NotApplicable
		}
		if r := s.Run(t.Context(), p); r.Verdict != want || r.Left != nil {
			t.Errorf("%s: %s, %v, left: %v; want %s", p.Clause, r.Verdict, r.Err, r.Left, want)
		}
	}
}

// TestClauses: no clause may be removed, because tests list them. Each clause has a description,
// which the package comment repeats.
func TestClauses(t *testing.T) {
	source, err := os.ReadFile("probe.go")
	if err != nil {
		t.Fatal(err)
	}
	comment, _, _ := strings.Cut(string(source), "\npackage probe\n")
	if n := len(probe.All()); n < 31 {
		t.Errorf("%d clauses, there were 31", n)
	}
	seen := make(map[string]bool)
	for _, p := range probe.All() {
		if p.Doc == "" || p.Clause == "" || seen[p.Clause] {
			t.Errorf("clause %q: doc %q, seen before: %v", p.Clause, p.Doc, seen[p.Clause])
		}
		seen[p.Clause] = true
		if line := fmt.Sprintf("//\t%-21s %s\n", p.Clause, p.Doc); !strings.Contains(comment+"\n", line) {
			t.Errorf("the package comment lacks %s", line)
		}
	}
}

func keysBelow(ctx context.Context, b *blob.Bucket, prefix string) (keys []string) {
	for it := b.List(&blob.ListOptions{Prefix: prefix}); ; {
		o, err := it.Next(ctx)
		if err != nil {
			return keys
		}
		keys = append(keys, o.Key)
	}
}

// errGone is a false error of a defective store.
var errGone = fmt.Errorf("no such key: %w", vault.ErrNotFound)

func readAll(ctx context.Context, b *blob.Bucket, key string) ([]byte, error) {
	r, err := b.NewReader(ctx, key, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

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
		name: "create with the bucket reads the key, then writes",
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
		name: "create returns another version's id",
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
		name: "a create does not pass on the panic of its source",
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
		name: "a list is in the order of directories",
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
		name: "a list continues by number",
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
		name: "a list lags behind",
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
		name: "an overwriter's value is lost",
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

// TestStaleSecondClient: two-clients detects a second client with a stale cache, and
// read-after-write does not use that client.
func TestStaleSecondClient(t *testing.T) {
	openMem := opener()
	s := &probe.Subject{Store: open(t, openMem), Prefix: "p-", Reopen: func(ctx context.Context) (*vault.Store, error) {
		st, err := openMem(ctx)
		if err != nil {
			return nil, err
		}
		var cache sync.Map
		return withDouble(st, func(d *double) {
			d.read = func(ctx context.Context, key string, offset, length int64) (*blob.Reader, error) {
				if offset == 0 && length < 0 {
					if _, seen := cache.LoadOrStore(key, true); seen {
						return nil, errGone
					}
				}
				return d.Bucket.NewRangeReader(ctx, key, offset, length, nil)
			}
		}), nil
	}}
	for clause, want := range map[string]probe.Verdict{"two-clients": probe.NotSupported, "read-after-write": probe.Supported} {
		if r := run(t, s, clause); r.Verdict != want {
			t.Errorf("%s: %s, %v; want %s", clause, r.Verdict, r.Err, want)
		}
	}
}

// TestLeakingStore: the probe close reports a goroutine that outlives Close, and no other.
func TestLeakingStore(t *testing.T) {
	for _, leaks := range []bool{false, true} {
		stop := make(chan struct{})
		s := subject(t, func(s *vault.Store) *vault.Store {
			end := make(chan struct{})
			go func() {
				select {
				case <-end:
				case <-stop:
				}
			}()
			return changed(s, func(c *vault.Store) {
				c.Close = func() error {
					if !leaks {
						close(end)
					}
					return nil
				}
			})
		})
		want := probe.Supported
		if leaks {
			want = probe.NotSupported
		}
		r := run(t, s, "close")
		if r.Verdict != want {
			t.Errorf("leaks %v: %s, %v; want %s", leaks, r.Verdict, r.Err, want)
		}
		close(stop)
	}
}

// TestRefusingStores: the probes require the right error from a client that is denied, has
// expired credentials or cannot reach the store.
func TestRefusingStores(t *testing.T) {
	reset := errors.New("connection reset by peer")
	for _, tc := range []struct {
		clause  string
		err     error
		explain func(error) error
		want    probe.Verdict
	}{
		{"errors-denied", vault.ErrPermission, nil, probe.Supported},
		{"errors-denied", vault.ErrNotFound, nil, probe.NotSupported},
		{"errors-denied", vault.ErrUnauthenticated, nil, probe.NotSupported},
		{"errors-denied", errors.New("403"), nil, probe.NotSupported},
		{"errors-denied", vault.ErrUnavailable, nil, probe.NotProven},
		{"errors-expired", vault.ErrUnauthenticated, nil, probe.Supported},
		{"errors-expired", reset, func(err error) error {
			if errors.Is(err, reset) {
				return vault.ErrUnauthenticated
			}
			return nil
		}, probe.Supported},
		{"errors-expired", vault.ErrPermission, nil, probe.NotSupported},
		{"errors-expired", reset, nil, probe.NotSupported},
		{"errors-unreachable", reset, nil, probe.Supported},
		{"errors-unreachable", vault.ErrUnavailable, nil, probe.Supported},
		{"errors-unreachable", vault.ErrNotFound, nil, probe.NotSupported},
		{"errors-unreachable", vault.ErrExist, nil, probe.NotSupported},
	} {
		s := subject(t, func(s *vault.Store) *vault.Store { return s })
		refusing := func(ctx context.Context) (*vault.Store, error) {
			st, err := s.Reopen(ctx)
			if err != nil {
				return nil, err
			}
			st = intercept.Store(st, intercept.Hooks{Call: func(context.Context, intercept.Call, func() error) error { return tc.err }})
			st.Explain = tc.explain
			return st, nil
		}
		s.Denied, s.Expired, s.Unreachable = refusing, refusing, refusing
		if r := run(t, s, tc.clause); r.Verdict != tc.want {
			t.Errorf("%s of a client with the error %q: %s, %v; want %s", tc.clause, tc.err, r.Verdict, r.Err, tc.want)
		}
	}

	// A write that is refused but takes effect.
	s := subject(t, func(s *vault.Store) *vault.Store { return s })
	s.Denied = func(ctx context.Context) (*vault.Store, error) {
		st, err := s.Reopen(ctx)
		if err != nil {
			return nil, err
		}
		return intercept.Store(st, intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
			do()
			return vault.ErrPermission
		}}), nil
	}
	if r := run(t, s, "errors-denied"); r.Verdict != probe.NotSupported {
		t.Errorf("a denied client whose writes take effect: %s, %v", r.Verdict, r.Err)
	}
}

// TestUnreachableStore: a store that does not respond violates no clause.
func TestUnreachableStore(t *testing.T) {
	for _, failure := range []error{vault.ErrUnavailable, vault.ErrPermission, vault.ErrUnauthenticated, vault.ErrNoSpace, errors.New("connection reset by peer")} {
		s := subject(t, func(s *vault.Store) *vault.Store {
			return intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
				switch c.Op {
				case "get", "list", "versions", "leftovers":
					return do()
				}
				return failure
			}})
		})
		for _, p := range probe.All() {
			switch p.Clause {
			case "errors-denied", "errors-expired", "errors-unreachable", "two-clients", "no-secrets", "all-or-nothing", "all-or-nothing-large", "delete-tells-absent":
				continue
			}
			if r := s.Run(t.Context(), p); r.Verdict != probe.NotProven {
				t.Errorf("%s when every write fails with %q: %s, %v; want %s", p.Clause, failure, r.Verdict, r.Err, probe.NotProven)
			}
		}
	}
}

// TestLimits: a probe makes at most five concurrent requests, unless it tests concurrent writes,
// and uses only keys below the prefix.
func TestLimits(t *testing.T) {
	var current, most atomic.Int32
	s := subject(t, func(s *vault.Store) *vault.Store {
		return intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
			if c.Op != "purge" && !strings.HasPrefix(c.Key, "p-") {
				t.Errorf("%s of %q, which is not below the prefix", c.Op, c.Key)
			}
			if n := current.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer current.Add(-1)
			time.Sleep(10 * time.Microsecond)
			return do()
		}})
	})
	for _, p := range probe.All() {
		most.Store(0)
		s.Run(t.Context(), p)
		limit := int32(5)
		switch p.Clause {
		case "create-detects", "create-atomic", "swap-atomic":
			limit = 17 // sixteen writers and a reader
		}
		if n := most.Load(); n > limit {
			t.Errorf("%s: %d concurrent requests, want at most %d", p.Clause, n, limit)
		}
	}
}

// TestInterrupted: a probe deletes its objects even if its context ends.
func TestInterrupted(t *testing.T) {
	s := subject(t, func(s *vault.Store) *vault.Store { return s })
	ctx, cancel := context.WithCancel(t.Context())
	writes := 0
	s.Store = intercept.Store(s.Store, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if writes++; writes == 3 {
			cancel()
		}
		return do()
	}})
	i := slices.IndexFunc(probe.All(), func(p probe.Probe) bool { return p.Clause == "sizes" })
	r := s.Run(ctx, probe.All()[i])
	if r.Verdict != probe.NotProven || r.Left != nil {
		t.Errorf("an interrupted probe: %s, %v, left: %v; want %s", r.Verdict, r.Err, r.Left, probe.NotProven)
	}
	for _, key := range keysBelow(t.Context(), s.Store.Bucket, "") {
		t.Errorf("left behind: %s", key)
	}
}

func ExampleSubject_Run() {
	ctx := context.Background()
	memory := new(memfs.Memory)
	open := func(ctx context.Context) (*vault.Store, error) { return memfs.Open(ctx, memfs.Config{Memory: memory}) }
	store, err := open(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	s := &probe.Subject{Store: store, Reopen: open, Prefix: "bots/acme/probe-3f9a/", Large: -1}
	for _, p := range probe.All() {
		if r := s.Run(ctx, p); strings.HasPrefix(p.Clause, "create") {
			fmt.Println(r.Clause+":", r.Verdict)
		}
	}
	// Output:
	// create: supported
	// create-after-delete: supported
	// create-large: not applicable
	// create-detects: supported
	// create-atomic: supported
}

// TestHidesAbsent: with HidesAbsent, a denied read of a missing object counts as not found. A
// denied read of an existing object does not.
func TestHidesAbsent(t *testing.T) {
	denying := func(absent, existing bool) *probe.Subject {
		s := subject(t, func(s *vault.Store) *vault.Store {
			return withDouble(s, func(d *double) {
				d.read = func(ctx context.Context, key string, offset, length int64) (*blob.Reader, error) {
					r, err := d.Bucket.NewRangeReader(ctx, key, offset, length, nil)
					if absent && gcerrors.Code(err) == gcerrors.NotFound {
						return nil, vault.ErrPermission
					}
					if existing && err == nil {
						r.Close()
						return nil, vault.ErrPermission
					}
					return r, err
				}
			})
		})
		s.HidesAbsent = true
		return s
	}
	versions := denying(true, false)
	versions.Store = changed(versions.Store, func(s *vault.Store) {
		wrapped := s.History
		s.History = historian{Historian: wrapped, open: func(ctx context.Context, key, id string, offset, length int64) (io.ReadCloser, error) {
			r, _, err := wrapped.OpenVersion(ctx, key, id, offset, length)
			if errors.Is(err, vault.ErrNotFound) {
				return nil, vault.ErrPermission
			}
			return r, err
		}}
	})
	if r := run(t, versions, "versions"); r.Verdict != probe.Supported {
		t.Errorf("a missing version is denied: versions: %s, %v; want %s", r.Verdict, r.Err, probe.Supported)
	}
	versions.HidesAbsent = false
	if r := run(t, versions, "versions"); r.Verdict != probe.NotSupported {
		t.Errorf("a missing version is denied without HidesAbsent: versions: %s, %v; want %s", r.Verdict, r.Err, probe.NotSupported)
	}
	for _, clause := range []string{"errors", "read-after-write", "swap"} {
		if r := run(t, denying(true, false), clause); r.Verdict != probe.Supported {
			t.Errorf("a missing object is denied: %s: %s, %v; want %s", clause, r.Verdict, r.Err, probe.Supported)
		}
		if r := run(t, denying(false, true), clause); r.Verdict != probe.NotProven || !errors.Is(r.Err, vault.ErrPermission) {
			t.Errorf("an existing object is denied: %s: %s, %v; want %s", clause, r.Verdict, r.Err, probe.NotProven)
		}
	}
}

// TestKind: Explain may return an error that wraps a sentinel.
func TestKind(t *testing.T) {
	s := open(t, opener())
	failed := errors.New("AccessDenied")
	for _, tc := range []struct {
		err, explained, want error
	}{
		{nil, nil, nil},
		{failed, nil, nil},
		{failed, vault.ErrPermission, vault.ErrPermission},
		{failed, fmt.Errorf("hint: %w", vault.ErrPermission), vault.ErrPermission},
		{failed, vault.ErrBusy, vault.ErrUnavailable},
		{failed, vault.ErrInvalidName, vault.ErrInvalidName},
		{fmt.Errorf("x: %w", vault.ErrNotFound), vault.ErrPermission, vault.ErrNotFound},
	} {
		st := changed(s, func(s *vault.Store) { s.Explain = func(error) error { return tc.explained } })
		if got := probe.Kind(st, tc.err); got != tc.want {
			t.Errorf("Kind(%v, explained as %v) = %v, want %v", tc.err, tc.explained, got, tc.want)
		}
	}
}

// TestSwapQuotes: a store may compare tags without their quotes, as some S3 servers do. The text
// between the quotes identifies the object.
func TestSwapQuotes(t *testing.T) {
	s := subject(t, func(s *vault.Store) *vault.Store {
		return changed(s, func(c *vault.Store) {
			c.Swap = swapper(func(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error) {
				return s.Swap.Swap(ctx, key, strings.Trim(tag, `"`), fill)
			})
		})
	})
	if r := run(t, s, "swap"); r.Verdict != probe.Supported {
		t.Errorf("swap is %s: %v", r.Verdict, r.Err)
	}
}

// TestSwapBeginning: the probe detects a store that compares only the beginning of a tag.
func TestSwapBeginning(t *testing.T) {
	s := subject(t, func(s *vault.Store) *vault.Store {
		return changed(s, func(c *vault.Store) {
			c.Swap = swapper(func(ctx context.Context, key, tag string, fill func(io.Writer) error) (string, error) {
				current := tagOf(ctx, s, key)
				if len(tag) == len(current) && tag[:len(tag)-1] == current[:len(current)-1] {
					tag = current
				}
				return s.Swap.Swap(ctx, key, tag, fill)
			})
		})
	})
	if r := run(t, s, "swap"); r.Verdict != probe.NotSupported {
		t.Errorf("swap is %s: %v", r.Verdict, r.Err)
	}
}
