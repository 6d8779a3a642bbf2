package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/testcloud"
	ovaws "github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// A target is a bucket on a server, and who may use it.
type target struct {
	Endpoint, Bucket string
	Keys             testcloud.Keys
}

// A rawSide is the SDK alone.
type rawSide struct {
	target
	client  *s3.Client
	manager *transfermanager.Client
}

// newRaw returns the SDK with its defaults but for two things that the provider sets as
// well, so that what is compared is the vault and not these: checksums only where they
// are required, which every server takes, and a connection for each of 16 workers.
func newRaw(t target) *rawSide {
	client := testcloud.S3Client(t.Endpoint, t.Keys, func(o *s3.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
		o.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.MaxIdleConnsPerHost = 16 })
	})
	manager := transfermanager.New(client, func(o *transfermanager.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	})
	return &rawSide{t, client, manager}
}

// put stores what fits into memory.
func (s *rawSide) put(ctx context.Context, key string, value []byte) error {
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.Bucket, Key: &key, Body: bytes.NewReader(value)})
	return err
}

// upload stores what does not, in parts.
func (s *rawSide) upload(ctx context.Context, key string, size int64) error {
	_, err := s.manager.UploadObject(ctx, &transfermanager.UploadObjectInput{Bucket: &s.Bucket, Key: &key, Body: io.LimitReader(pattern{}, size)})
	return err
}

func (s *rawSide) get(ctx context.Context, key string, size int64) error {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.Bucket, Key: &key})
	if err != nil {
		return err
	}
	return errors.Join(drain(out.Body, size), out.Body.Close())
}

func (s *rawSide) list(ctx context.Context, prefix string, want int) error {
	n := 0
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.Bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		n += len(page.Contents)
	}
	return count(n, want)
}

// A vaultSide is a vault over the provider, with a key that costs no request.
type vaultSide struct{ *vault.Vault }

func newVaultSide(ctx context.Context, t target) (vaultSide, func() error, error) {
	store, err := ovaws.Open(ctx, ovaws.Config{
		Bucket: t.Bucket, Endpoint: t.Endpoint,
		Static: credentials.NewStaticCredentialsProvider(t.Keys.AccessKeyID, t.Keys.SecretKey, ""),
	})
	if err != nil {
		return vaultSide{}, nil, err
	}
	v, err := vault.New(store, tenant, []envelope.Source{kek.InsecureFixed()}, nil)
	if err != nil {
		return vaultSide{}, nil, errors.Join(err, store.Close())
	}
	return vaultSide{v}, store.Close, nil
}

const (
	tenant  = "acme"
	objects = "bots/" + tenant + "/credentials/" // where its objects are
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
	for _, err := range s.List(ctx, prefix) {
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
		return fmt.Errorf("%d bytes came of %d", w.n, want)
	}
	return nil
}

func count(n, want int) error {
	if n != want {
		return fmt.Errorf("%d objects are listed of %d", n, want)
	}
	return nil
}

// childEnv tells the test binary that it is to do one thing with the SDK alone, so that
// its memory can be watched.
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
	ctx, raw := context.Background(), newRaw(t.Target)
	switch t.Op {
	case "put":
		return raw.upload(ctx, t.Key, t.Size)
	case "get":
		return raw.get(ctx, t.Key, t.Size)
	}
	return fmt.Errorf("there is no %s", cmp.Or(t.Op, "operation"))
}
