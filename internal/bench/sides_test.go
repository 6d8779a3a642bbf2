package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/vault"
)

// A target is a bucket on a server, with credentials.
type target struct {
	Cloud            string // aws or tencent
	Endpoint, Bucket string
	KeyID, Key       string
}

// An sdk is the SDK of a cloud, used without a vault.
type sdk interface {
	put(ctx context.Context, key string, value []byte) error  // a value that fits into memory
	upload(ctx context.Context, key string, size int64) error // a multipart upload
	get(ctx context.Context, key string, size int64) error    // in one request
	list(ctx context.Context, prefix string, want int) error
}

func newSDK(t target) (sdk, error) {
	if t.Cloud == "tencent" {
		return newCOS(t)
	}
	return newS3(t), nil
}

// A vaultSide is a vault with the provider, and with a key that needs no request.
type vaultSide struct{ *vault.Vault }

func newVaultSide(ctx context.Context, t target) (vaultSide, func() error, error) {
	open := openS3
	if t.Cloud == "tencent" {
		open = openCOS
	}
	store, err := open(ctx, t)
	if err != nil {
		return vaultSide{}, nil, err
	}
	v, err := vault.New(store, tenant, []envelope.KeySource{kek.InsecureFixed()}, nil)
	if err != nil {
		return vaultSide{}, nil, errors.Join(err, store.Close())
	}
	return vaultSide{v}, store.Close, nil
}

const (
	tenant  = "acme"
	objects = "bots/" + tenant + "/credentials/" // the prefix of its objects
)

func (s vaultSide) put(ctx context.Context, name vault.Name, value io.Reader) error {
	_, err := s.Put(ctx, name, value, nil)
	return err
}

func (s vaultSide) get(ctx context.Context, name vault.Name, size int64) error {
	r, err := s.Get(ctx, name, nil)
	if err != nil {
		return err
	}
	return errors.Join(drain(r, size), r.Close())
}

func (s vaultSide) list(ctx context.Context, prefix string, want int) error {
	n := 0
	for _, err := range s.List(ctx, &vault.ListOptions{Prefix: prefix}) {
		if err != nil {
			return err
		}
		n++
	}
	return count(n, want)
}

func drain(r io.Reader, want int64) error {
	var w discard
	if _, err := io.CopyBuffer(&w, struct{ io.Reader }{r}, make([]byte, min(want+1, 32<<10))); err != nil {
		return err
	}
	if w.n != want {
		return fmt.Errorf("got %d bytes of %d", w.n, want)
	}
	return nil
}

func count(n, want int) error {
	if n != want {
		return fmt.Errorf("the list has %d objects of %d", n, want)
	}
	return nil
}

// childEnv is the variable that makes the test binary perform one operation with the SDK, so its
// memory can be measured.
const childEnv = "OBJECTVAULT_BENCH_CHILD"

type childTask struct {
	Target  target
	Op, Key string
	Size    int64
}

func (t childTask) env() (string, error) {
	text, err := json.Marshal(t)
	return childEnv + "=" + string(text), err
}

func runChild() error {
	var t childTask
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &t); err != nil {
		return err
	}
	ctx := context.Background()
	raw, err := newSDK(t.Target)
	if err != nil {
		return err
	}
	switch t.Op {
	case "put":
		return raw.upload(ctx, t.Key, t.Size)
	case "get":
		return raw.get(ctx, t.Key, t.Size)
	}
	return fmt.Errorf("there is no %s", cmp.Or(t.Op, "operation"))
}
