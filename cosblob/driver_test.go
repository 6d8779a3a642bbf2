package cosblob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/blob/drivertest"

	"github.com/objectvault/objectvault/costest"
)

// TestDriver runs the driver tests of gocloud.dev, without and with a prefix.
func TestDriver(t *testing.T) {
	for _, prefix := range []string{"", "some/prefix/dir/"} {
		t.Run("prefix="+prefix, func(t *testing.T) { conform(t, prefix, nil) })
	}
}

// TestDriverUnsure runs the tests with every behaviour that the documentation of COS allows for
// objects.
// Undocumented behaviour of STS and policies does not matter here.
func TestDriverUnsure(t *testing.T) {
	if testing.Short() {
		t.Skip("the requests are those of TestDriver, which finds their data races")
	}
	names := []string{
		"put-condition", "multipart-etag", "metadata-limit", "sign-time", "key-length", "part-order",
		"copy-source-missing", "create-race", "suffix-range",
	}
	variants := 0
	for _, q := range costest.Questions() {
		if !slices.Contains(names, q.Name) {
			continue
		}
		for _, v := range q.Variants[1:] {
			variants++
			t.Run(q.Name+"="+v, func(t *testing.T) {
				t.Parallel()
				conform(t, "dir/", &costest.Options{Unsure: map[string]string{q.Name: v}})
			})
		}
	}
	if variants < len(names) {
		t.Errorf("only %d variants of %d questions: some questions do not exist", variants, len(names))
	}
}

func conform(t *testing.T, prefix string, o *costest.Options) {
	drivertest.RunConformanceTests(t, func(_ context.Context, t *testing.T) (drivertest.Harness, error) {
		s, err := costest.New(o)
		if err != nil {
			return nil, err
		}
		return &harness{s, prefix}, nil
	}, []drivertest.AsTest{asTest{}})
}

// A harness starts a new server for each test.
type harness struct {
	s      *costest.Server
	prefix string
}

func (h *harness) driver(name string) (driver.Bucket, error) {
	client, err := NewClient(name, h.s.Region(), Static(h.s.SecretID(), h.s.SecretKey(), ""), &ClientOptions{
		Endpoint: h.s.BucketURL(name), Transport: h.s.Client().Transport,
	})
	if err != nil {
		return nil, err
	}
	b, err := openBucket(client, name, nil)
	if err != nil {
		return nil, err
	}
	if h.prefix != "" {
		return driver.NewPrefixedBucket(b, h.prefix), nil
	}
	return b, nil
}

func (h *harness) MakeDriver(context.Context) (driver.Bucket, error) { return h.driver(h.s.Bucket()) }

func (h *harness) MakeDriverForNonexistentBucket(context.Context) (driver.Bucket, error) {
	return h.driver("absent-1250000000")
}

func (h *harness) HTTPClient() *http.Client         { return h.s.Client() }
func (h *harness) SupportsCopy() bool               { return true }
func (h *harness) SupportsNonSlashDelimiters() bool { return false } // COS supports one character only
func (h *harness) Close()                           { h.s.Close() }

// An asTest gets every type that the package comment lists, and sets its fields where possible.
type asTest struct{}

func (asTest) Name() string { return "types of the SDK" }

func missing[T any](as func(any) bool) error {
	if !as(new(T)) {
		return fmt.Errorf("no %T", *new(T))
	}
	return nil
}

func (asTest) BucketCheck(b *blob.Bucket) error { return missing[*cos.Client](b.As) }

func (asTest) ErrorCheck(b *blob.Bucket, err error) error {
	var e *cos.ErrorResponse
	if !b.ErrorAs(err, &e) || e.Code != "NoSuchKey" {
		return fmt.Errorf("%v is not a *cos.ErrorResponse with code NoSuchKey", err)
	}
	return nil
}

func (asTest) BeforeRead(as func(any) bool) error {
	return errors.Join(missing[*cos.ObjectGetOptions](as), missing[*VersionID](as))
}

func (asTest) BeforeWrite(as func(any) bool) error {
	var o *cos.ObjectPutOptions
	if !as(&o) {
		return errors.New("no *cos.ObjectPutOptions")
	}
	o.XCosStorageClass = "STANDARD_IA"
	return missing[*Written](as)
}

func (asTest) BeforeCopy(as func(any) bool) error   { return missing[*cos.ObjectCopyOptions](as) }
func (asTest) BeforeDelete(as func(any) bool) error { return missing[*cos.ObjectDeleteOptions](as) }
func (asTest) BeforeList(as func(any) bool) error   { return missing[*cos.BucketGetOptions](as) }
func (asTest) BeforeSign(as func(any) bool) error   { return missing[*cos.PresignedURLOptions](as) }

func (asTest) AttributesCheck(a *blob.Attributes) error {
	var resp cos.Response
	if !a.As(&resp) || resp.Header.Get("X-Cos-Storage-Class") != "STANDARD_IA" {
		return errors.New("the attributes lack the value that BeforeWrite set")
	}
	return nil
}

func (asTest) ReaderCheck(r *blob.Reader) error { return missing[cos.Response](r.As) }

func (asTest) ListObjectCheck(o *blob.ListObject) error {
	var raw cos.Object
	if !o.As(&raw) || raw.Key == "" || o.IsDir != (raw.ETag == "") {
		return fmt.Errorf("the entry of %q is %+v", o.Key, raw)
	}
	return nil
}
