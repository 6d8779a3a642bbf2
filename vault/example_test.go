package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// open returns a vault in memory.
func open() *vault.Vault {
	store, err := memfs.Open(context.Background(), memfs.Config{})
	if err != nil {
		panic(err)
	}
	v, err := vault.New(store, "0xabc", []envelope.KeySource{kek.InsecureFixed()}, nil)
	if err != nil {
		panic(err)
	}
	return v
}

func ExampleNew() {
	ctx := context.Background()
	store, err := memfs.Open(ctx, memfs.Config{}) // Dir: "/srv/vault" stores it on disk
	if err != nil {
		panic(err)
	}
	defer store.Close()
	// A real key is a file: kek.OpenFile, or kek.CreateFile the first time.
	keys := []envelope.KeySource{kek.InsecureFixed()}
	v, err := vault.New(store, "0xABC", keys, &vault.Options{
		Collection: "notes",
		Scope:      vault.Scope{ReadOnly: true},
	})
	fmt.Println(v.Tenant(), v.Collection(), err)
	// Output: 0xabc notes <nil>
}

func ExampleVault_Put() {
	ctx, v := context.Background(), open()
	info, err := v.Put(ctx, "openai", strings.NewReader("sk-demo"), &vault.PutOptions{Create: true})
	fmt.Println(info.Name, info.Size, err)
	_, err = v.Put(ctx, "openai", strings.NewReader("sk-other"), &vault.PutOptions{Create: true})
	fmt.Println(err)
	// Replace the value only if it has not changed since it was read.
	_, err = v.Put(ctx, "openai", strings.NewReader("sk-new"), &vault.PutOptions{IfRevision: info.Revision})
	fmt.Println(err)
	_, err = v.Put(ctx, "openai", strings.NewReader("sk-late"), &vault.PutOptions{IfRevision: info.Revision})
	fmt.Println(errors.Is(err, vault.ErrConflict))
	// Output:
	// openai 7 <nil>
	// put openai: exists already
	// <nil>
	// true
}

// A Content can be read again, so that Put can send a value of any length a second time.
func ExampleContent() {
	ctx, v := context.Background(), open()
	const text = "a value that a program can produce again"
	value := &vault.Content{Size: int64(len(text)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}
	info, err := v.Put(ctx, "notes", value, nil)
	fmt.Println(info.Size, err)
	// Output: 40 <nil>
}

func ExampleVault_ReadAll() {
	ctx, v := context.Background(), open()
	if _, err := v.Put(ctx, "openai", strings.NewReader("sk-demo"), nil); err != nil {
		panic(err)
	}
	value, info, err := v.ReadAll(ctx, "openai", &vault.ReadAllOptions{Limit: 64 << 10})
	fmt.Println(string(value), info.Size, err)
	// Output: sk-demo 7 <nil>
}

// A Deferred store is opened at the first request, and again after a failure.
func ExampleDeferred() {
	ctx, attempts := context.Background(), 0
	store := vault.Deferred("mem://", func(ctx context.Context) (*vault.Store, error) {
		if attempts++; attempts == 1 {
			return nil, fmt.Errorf("%w: no route to host", vault.ErrUnavailable)
		}
		return memfs.Open(ctx, memfs.Config{})
	})
	defer store.Close()
	v, err := vault.New(store, "0xabc", []envelope.KeySource{kek.InsecureFixed()}, nil)
	if err != nil {
		panic(err)
	}
	_, err = v.Put(ctx, "openai", strings.NewReader("sk-demo"), nil)
	fmt.Println(err)
	_, err = v.Put(ctx, "openai", strings.NewReader("sk-demo"), nil)
	fmt.Println(err)
	// Output:
	// put openai: unavailable: no route to host
	// <nil>
}

// A Cause reports the kind of failure and its reason.
func ExampleCause() {
	ctx := context.Background()
	store, err := memfs.Open(ctx, memfs.Config{})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	// A provider sets Explain. This one simulates a cloud that rejects an expired token.
	store.Explain = func(error) error {
		return &vault.Cause{Sentinel: vault.ErrUnauthenticated, Service: "aws", Reason: vault.TokenExpired, Message: "S3 GetObject: 400 ExpiredToken"}
	}
	refused := intercept.Store(store, intercept.Hooks{Call: func(context.Context, intercept.Call, func() error) error { return errors.New("400") }})
	v, err := vault.New(refused, "0xabc", []envelope.KeySource{kek.InsecureFixed()}, nil)
	if err != nil {
		panic(err)
	}
	_, err = v.Get(ctx, "openai", nil)
	var cause *vault.Cause
	if errors.As(err, &cause) && cause.Reason == vault.TokenExpired {
		fmt.Println("get a new token")
	}
	fmt.Println(errors.Is(err, vault.ErrUnauthenticated))
	fmt.Println(err)
	// Output:
	// get a new token
	// true
	// get openai: not authenticated: S3 GetObject: 400 ExpiredToken
}

func ExampleVault_Get() {
	ctx, v := context.Background(), open()
	v.Put(ctx, "openai", strings.NewReader("sk-demo"), nil)
	r, err := v.Get(ctx, "openai", nil)
	if err != nil {
		panic(err)
	}
	defer r.Close()
	value, err := io.ReadAll(r) // verified to the end, or an error
	fmt.Printf("%s %v\n", value, err)
	_, err = v.Get(ctx, "anthropic", nil)
	fmt.Println(err)
	// Output:
	// sk-demo <nil>
	// get anthropic: not found
}

func ExampleVault_Get_range() {
	ctx, v := context.Background(), open()
	v.Put(ctx, "log", strings.NewReader("first line\nlast line"), nil)
	r, err := v.Get(ctx, "log", &vault.GetOptions{Range: &vault.Range{Offset: -9, Length: -1}})
	if err != nil {
		panic(err)
	}
	defer r.Close()
	io.Copy(os.Stdout, r)
	// Output: last line
}

func ExampleVault_Stat() {
	ctx, v := context.Background(), open()
	v.Put(ctx, "openai", strings.NewReader("sk-demo"), &vault.PutOptions{Labels: map[string]string{"team": "red"}})
	info, err := v.Stat(ctx, "openai")
	fmt.Println(info.Size, info.Labels, info.Expired, err)
	// Output: 7 map[team:red] false <nil>
}

func ExampleVault_List() {
	ctx, v := context.Background(), open()
	for _, name := range []vault.Name{"openai", "acme/b", "acme/a"} {
		v.Put(ctx, name, strings.NewReader("sk-demo"), nil)
	}
	for entry, err := range v.List(ctx, &vault.ListOptions{Prefix: "acme/"}) {
		fmt.Println(entry.Name, entry.SealedSize, err)
	}
	// Output:
	// acme/a 196 <nil>
	// acme/b 196 <nil>
}

func ExampleVault_Delete() {
	ctx, v := context.Background(), open()
	v.Put(ctx, "openai", strings.NewReader("sk-demo"), nil)
	fmt.Println(v.Delete(ctx, "openai", nil))
	fmt.Println(v.Delete(ctx, "openai", nil))
	// Output:
	// <nil>
	// delete openai: not found
}

func ExampleVault_History() {
	ctx, v := context.Background(), open()
	v.Put(ctx, "openai", strings.NewReader("sk-1"), nil)
	v.Put(ctx, "openai", strings.NewReader("sk-two"), nil)
	v.Delete(ctx, "openai", nil)
	for entry, err := range v.History(ctx, "openai") {
		fmt.Println(entry.Size, entry.Current, entry.Deleted, err)
	}
	// Output:
	// 0 true true <nil>
	// 6 false false <nil>
	// 4 false false <nil>
}

func ExampleVault_Rollback() {
	ctx, v := context.Background(), open()
	v.Put(ctx, "openai", strings.NewReader("sk-good"), nil)
	v.Put(ctx, "openai", strings.NewReader("sk-broken"), nil)
	info, err := v.Rollback(ctx, "openai", "@2") // the entry after the current one
	fmt.Println(info.Size, err)
	// Output: 7 <nil>
}

func ExampleVault_Undelete() {
	ctx, v := context.Background(), open()
	v.Put(ctx, "openai", strings.NewReader("sk-demo"), nil)
	v.Delete(ctx, "openai", nil)
	info, err := v.Undelete(ctx, "openai")
	fmt.Println(info.Name, err)
	// Output: openai <nil>
}

func ExampleVault_Teardown() {
	ctx, v := context.Background(), open()
	v.Put(ctx, "openai", strings.NewReader("sk-1"), nil)
	v.Put(ctx, "openai", strings.NewReader("sk-2"), nil)
	v.Put(ctx, "anthropic", strings.NewReader("sk-3"), nil)
	result, err := v.Teardown(ctx, nil)
	fmt.Println(result.Deleted, "deleted,", result.LeftInHistory, "left in history,", err)
	result, err = v.Teardown(ctx, &vault.TeardownOptions{Purge: true})
	fmt.Println(result.Purged, "purged,", result.LeftInHistory, "left in history,", err)
	// Output:
	// 2 deleted, 3 left in history, <nil>
	// 3 purged, 0 left in history, <nil>
}

// Another key source is added to an object, and the first one is removed. The value is not encrypted
// again.
func ExampleVault_Rewrap() {
	ctx := context.Background()
	store, err := memfs.Open(ctx, memfs.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	before, after := kek.NewLocal(kek.RandomRoot()).Named("old"), kek.NewLocal(kek.RandomRoot()).Named("new")
	v, err := vault.New(store, "0xabc", []envelope.KeySource{before}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := v.Put(ctx, "openrouter", strings.NewReader("sk-demo"), nil); err != nil {
		fmt.Println(err)
		return
	}
	r, err := v.Rewrap(ctx, "openrouter", &vault.RewrapOptions{
		Add:    []envelope.KeySource{after},
		Remove: []envelope.KeySource{before},
	})
	fmt.Println(r.Changed, r.Added, r.Removed, err)
	_, err = v.Get(ctx, "openrouter", nil)
	fmt.Println(errors.Is(err, envelope.ErrUnknownKey))
	// Output:
	// true [new] [old] <nil>
	// true
}

func ExampleCopy() {
	ctx, src := context.Background(), open()
	src.Put(ctx, "openai", strings.NewReader("sk-demo"), nil)
	src.Put(ctx, "anthropic", strings.NewReader("sk-ant-demo"), nil)
	// The copy of a vault has another store, and the same tenant, collection, vault id and keys.
	dst := open()
	for c, err := range vault.Copy(ctx, dst, src, &vault.CopyOptions{Mode: vault.CopyNewer}) {
		if err != nil {
			fmt.Println(err) // a list failed
			return
		}
		fmt.Println(c.Status, c.Name, c.Err)
	}
	value, _, err := dst.ReadAll(ctx, "openai", nil)
	fmt.Println(string(value), err)
	// Output:
	// copied anthropic <nil>
	// copied openai <nil>
	// sk-demo <nil>
}

// memory returns a store in memory.
func memory(name string) *vault.Store {
	store, err := memfs.Open(context.Background(), memfs.Config{})
	if err != nil {
		panic(err)
	}
	store.Name = name
	return store
}

func ExampleMirror() {
	ctx := context.Background()
	away := false // the first store cannot be reached
	first := intercept.Store(memory("s3://first"), intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
		if away {
			return vault.ErrUnavailable
		}
		return do()
	}})
	keys := []envelope.KeySource{kek.InsecureFixed()}
	// With a Spool, this machine remembers what the mirror misses.
	mirror, err := vault.New(memory("cos://second"), "0xabc", keys, nil)
	if err != nil {
		panic(err)
	}
	v, err := vault.New(first, "0xabc", keys, &vault.Options{Mirror: &vault.Mirror{
		Vaults: []*vault.Vault{mirror},
		Behind: func(b vault.Behind) { fmt.Println(b.Store, "does not have", b.Name) },
	}})
	if err != nil {
		panic(err)
	}
	v.Put(ctx, "openai", strings.NewReader("sk-demo"), nil) // in both stores

	away = true
	value, info, err := v.ReadAll(ctx, "openai", nil)
	fmt.Println(string(value), "from", info.Mirror, err)
	// Output: sk-demo from cos://second <nil>
}

func ExampleVault_Repair() {
	ctx := context.Background()
	keys := []envelope.KeySource{kek.InsecureFixed()}
	mirror, err := vault.New(memory("cos://second"), "0xabc", keys, nil)
	if err != nil {
		panic(err)
	}
	first := memory("s3://first")
	alone, err := vault.New(first, "0xabc", keys, nil) // another program, which does not know the mirror
	if err != nil {
		panic(err)
	}
	alone.Put(ctx, "openai", strings.NewReader("sk-demo"), nil)
	v, err := vault.New(first, "0xabc", keys, &vault.Options{Mirror: &vault.Mirror{Vaults: []*vault.Vault{mirror}}})
	if err != nil {
		panic(err)
	}
	show := func() {
		states, err := v.Compare(ctx, "openai")
		for _, s := range states {
			fmt.Println(s.Store, s.Status)
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	show()
	for r, err := range v.Repair(ctx, nil) {
		if err != nil {
			fmt.Println(r.Store, err) // the mirror cannot be reached
			continue
		}
		fmt.Println(r.Name, r.Status, r.Err)
	}
	show()
	// Output:
	// s3://first newest
	// cos://second missing
	// openai copied <nil>
	// s3://first newest
	// cos://second newest
}

// An Object is an io.ReadSeeker, so that a web server can answer requests for parts of it.
func ExampleVault_Open() {
	ctx, v := context.Background(), open()
	v.Put(ctx, "report", strings.NewReader("first page\nsecond page\n"), nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o, err := v.Open(r.Context(), "report", nil)
		if err != nil {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		defer o.Close()
		http.ServeContent(w, r, "report.txt", o.Info().Modified, o)
	}))
	defer server.Close()
	request, _ := http.NewRequest("GET", server.URL, nil)
	request.Header.Set("Range", "bytes=11-21")
	response, err := server.Client().Do(request)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	part, err := io.ReadAll(response.Body)
	fmt.Printf("%s %q %v\n", response.Status, part, err)
	// Output: 206 Partial Content "second page" <nil>
}

func ExampleReader_Download() {
	ctx, v := context.Background(), open()
	v.Put(ctx, "backup", strings.NewReader("a large value"), nil)
	r, err := v.Get(ctx, "backup", nil)
	if err != nil {
		panic(err)
	}
	defer r.Close()
	file, err := os.CreateTemp("", "backup")
	if err != nil {
		panic(err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	n, err := r.Download(file) // several requests at a time for a large object
	fmt.Println(n, err)
	// Output: 13 <nil>
}

// A program that keeps a value reads it again only if it has changed.
func ExampleGetOptions_ifNoneTag() {
	ctx, v := context.Background(), open()
	info, _ := v.Put(ctx, "openai", strings.NewReader("sk-demo"), nil)
	_, err := v.Get(ctx, "openai", &vault.GetOptions{IfNoneTag: info.Tag})
	fmt.Println(errors.Is(err, vault.ErrUnchanged))
	// Output: true
}
