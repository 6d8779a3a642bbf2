package cosblob

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/costest"
)

// openSmall opens a bucket that copies objects of more than 2 MiB, and tails, in parts of 1 MiB.
func openSmall(t *testing.T) (*costest.Server, *blob.Bucket) {
	t.Helper()
	s, err := costest.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left := s.Uploads(s.Bucket()); len(left) != 0 {
			t.Errorf("uploads remain: %v", left)
		}
		s.Close()
	})
	client, err := NewClient(s.Bucket(), s.Region(), Static(s.SecretID(), s.SecretKey(), ""), &ClientOptions{
		Endpoint: s.BucketURL(s.Bucket()), Transport: s.Client().Transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := openBucket(client, s.Bucket(), nil)
	if err != nil {
		t.Fatal(err)
	}
	d.copyLimit, d.copyPart, d.tailPart = 2<<20, 1<<20, 1<<20
	b := blob.NewBucket(d)
	t.Cleanup(func() { b.Close() })
	return s, b
}

// TestCopyInParts: an object larger than the limit is copied completely, with its headers and metadata.
func TestCopyInParts(t *testing.T) {
	t.Parallel()
	s, b := openSmall(t)
	data := make([]byte, 7<<19)
	rand.NewChaCha8([32]byte{1}).Read(data)
	const src = "a key?versionId=1&x=%41+é"
	o := &blob.WriterOptions{
		ContentType: "text/x-test", CacheControl: "no-cache", ContentDisposition: "inline", ContentEncoding: "identity", ContentLanguage: "en",
		Metadata: map[string]string{"key_a": "é"},
		BeforeWrite: func(as func(any) bool) error {
			var in *cos.ObjectPutOptions
			if as(&in) {
				in.XCosStorageClass = "STANDARD_IA"
			}
			return nil
		},
	}
	if err := b.WriteAll(t.Context(), src, data, o); err != nil {
		t.Fatal(err)
	}
	if err := b.WriteAll(t.Context(), "a key", []byte("another"), nil); err != nil {
		t.Fatal(err)
	}
	s.Reset()
	if err := b.Copy(t.Context(), "copy", src, nil); err != nil {
		t.Fatal(err)
	}
	parts := 0
	for _, r := range s.Requests() {
		if r.Header.Get(headerCopySource) != "" {
			parts++
			if r.Header.Get("X-Cos-Copy-Source-If-Match") == "" {
				t.Error("a copied part is not pinned to the source")
			}
		}
	}
	if parts != 4 {
		t.Errorf("%d parts, want 4", parts)
	}
	got, err := b.ReadAll(t.Context(), "copy")
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the copy differs from the source: %v", err)
	}
	var all [2]*blob.Attributes
	var class [2]string
	for i, key := range []string{src, "copy"} {
		if all[i], err = b.Attributes(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		var resp cos.Response
		if all[i].As(&resp) {
			class[i] = resp.Header.Get("X-Cos-Storage-Class")
		}
	}
	opts := cmp.FilterPath(func(p cmp.Path) bool {
		switch p.Last().String() {
		case ".ModTime", ".ETag", ".MD5", ".asFunc": // an object that was copied in parts has no MD5
			return true
		}
		return false
	}, cmp.Ignore())
	if diff := cmp.Diff(*all[0], *all[1], opts); diff != "" {
		t.Errorf("attributes (-source +copy):\n%s", diff)
	}
	if class[0] != "STANDARD_IA" || class[0] != class[1] {
		t.Errorf("storage classes: %q", class)
	}
}

// TestCopyPartsConditions: a copy in parts checks the same conditions as a copy in one request.
func TestCopyPartsConditions(t *testing.T) {
	t.Parallel()
	_, b := openSmall(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
	if err := b.WriteAll(t.Context(), "key", data, nil); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*cos.ObjectCopyOptions){
		"another ETag": func(o *cos.ObjectCopyOptions) { o.XCosCopySourceIfMatch = `"another"` },
		"negated ETag": func(o *cos.ObjectCopyOptions) { o.XCosCopySourceIfNoneMatch = o.XCosCopySourceIfMatch },
		"customer key": func(o *cos.ObjectCopyOptions) { o.XCosSSECustomerAglo = "AES256" },
	} {
		err := b.Copy(t.Context(), "copy", "key", &blob.CopyOptions{BeforeCopy: func(as func(any) bool) error {
			var in *cos.ObjectCopyOptions
			if !as(&in) {
				t.Error("no options")
				return nil
			}
			change(in)
			return nil
		}})
		if want := map[bool]gcerrors.ErrorCode{true: gcerrors.Unimplemented, false: gcerrors.FailedPrecondition}[what == "customer key"]; gcerrors.Code(err) != want {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if there, err := b.Exists(t.Context(), "copy"); there || err != nil {
			t.Errorf("%s: the copy exists: %v, %v", what, there, err)
		}
	}
}

// TestCopyPartFails: a failed copy leaves no object. If a repeated part succeeds, the copy succeeds.
func TestCopyPartFails(t *testing.T) {
	t.Parallel()
	s, b := openSmall(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
	if err := b.WriteAll(t.Context(), "key", data, nil); err != nil {
		t.Fatal(err)
	}
	failing := 1
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Header.Get(headerCopySource) != "" && strings.HasPrefix(r.Query, "partNumber=2") && failing > 0 {
			failing--
			return costest.LateError("InternalError", "later")
		}
		return nil
	})
	if err := b.Copy(t.Context(), "copy", "key", nil); err != nil {
		t.Errorf("one failure: %v", err)
	}
	failing = 10
	if err := b.Copy(t.Context(), "second", "key", nil); gcerrors.Code(err) != gcerrors.Internal {
		t.Errorf("many failures: %v, want Internal", err)
	}
	if there, err := b.Exists(t.Context(), "second"); there || err != nil {
		t.Errorf("a failed copy exists: %t, %v", there, err)
	}
}

// TestCopySource: the right object is copied, in parts and in one request, although the SDK
// truncates keys at a question mark.
func TestCopySource(t *testing.T) {
	t.Parallel()
	s, b := openSmall(t)
	for key, text := range map[string]string{"a": "short", "a?b": "long"} {
		if err := b.WriteAll(t.Context(), key, []byte(text), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Copy(t.Context(), "copy", "a?b", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := b.ReadAll(t.Context(), "copy"); string(got) != "long" {
		t.Errorf("the copy is %q, %v", got, err)
	}
	if err := b.Copy(t.Context(), "a", "a", nil); err != nil {
		t.Errorf("copy of an object to itself: %v", err)
	}
	if err := b.Copy(t.Context(), "copy", "absent", nil); gcerrors.Code(err) != gcerrors.NotFound {
		t.Errorf("copy of a missing object: %v, want NotFound", err)
	}
	// A client that is not from NewClient sends the wrong name. The ETag detects it.
	plain := cos.NewClient(&cos.BaseURL{BucketURL: clientURL(t, b)}, &http.Client{Transport: &cos.AuthorizationTransport{
		SecretID: s.SecretID(), SecretKey: s.SecretKey(), Transport: s.Client().Transport,
	}})
	other, err := OpenBucket(context.Background(), plain, s.Bucket(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Copy(t.Context(), "copy", "a?b", nil); gcerrors.Code(err) != gcerrors.FailedPrecondition {
		t.Errorf("with a client that is not from NewClient: %v, want FailedPrecondition", err)
	}
}
