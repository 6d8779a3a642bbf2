package cosblob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/costest"
)

// withTail returns options of a writer with a tail.
func withTail(tail Tail, size int) *blob.WriterOptions {
	return &blob.WriterOptions{ContentType: "a/b", BufferSize: size, BeforeWrite: func(as func(any) bool) error {
		var t *Tail
		if !as(&t) {
			return errors.New("no *Tail")
		}
		*t = tail
		return nil
	}}
}

// TestTail: a writer copies a range of an object after the bytes that are written.
func TestTail(t *testing.T) {
	t.Parallel()
	s, b := openSmall(t)
	data := make([]byte, 4<<20+77)
	rand.NewChaCha8([32]byte{2}).Read(data)
	const key = "a key?versionId=1&x=%41+é"
	if err := b.WriteAll(t.Context(), key, data, nil); err != nil {
		t.Fatal(err)
	}
	old, err := b.Attributes(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		start          int // bytes that are written
		offset, length int64
		parts, copies  int
	}{
		{1 << 20, 3, 1, 1, 1},
		{1<<20 + 7, 13, 1 << 20, 1, 1},
		{1 << 20, 1<<20 + 1, 3<<20 + 76, 1, 4},
		{3<<20 + 9, 0, 4<<20 + 77, 2, 5}, // in parts of 2 MiB
	} {
		t.Run(fmt.Sprintf("%d and %d from %d", tc.start, tc.length, tc.offset), func(t *testing.T) {
			s.Reset()
			start := bytes.Repeat([]byte("s"), tc.start)
			if err := b.WriteAll(t.Context(), "to", start, withTail(Tail{Key: key, ETag: old.ETag, Offset: tc.offset, Length: tc.length}, 2<<20)); err != nil {
				t.Fatal(err)
			}
			parts, copies := 0, 0
			for _, r := range s.Requests() {
				switch {
				case r.Action == "UploadPartCopy" && r.Header.Get("X-Cos-Copy-Source-If-Match") == old.ETag:
					copies++
				case r.Action == "UploadPart":
					parts++
				}
			}
			got, err := b.ReadAll(t.Context(), "to")
			if err != nil || !bytes.Equal(got, append(start, data[tc.offset:tc.offset+tc.length]...)) || parts != tc.parts || copies != tc.copies {
				t.Errorf("%d bytes, %v; %d parts and %d copies, want %d and %d", len(got), err, parts, copies, tc.parts, tc.copies)
			}
		})
	}
}

// TestTailRefused: without its tail, an object is not written.
func TestTailRefused(t *testing.T) {
	t.Parallel()
	s, b := openSmall(t)
	for _, key := range []string{"from", "to"} {
		if err := b.WriteAll(t.Context(), key, []byte(strings.Repeat("x", 2<<20)), nil); err != nil {
			t.Fatal(err)
		}
	}
	old, err := b.Attributes(t.Context(), "from")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		start int
		tail  Tail
		code  string // of the service
	}{
		{"another ETag", 1 << 20, Tail{Key: "from", ETag: `"x"`, Length: 5}, "PreconditionFailed"},
		{"absent source", 1 << 20, Tail{Key: "none", ETag: old.ETag, Length: 5}, "NoSuchCopySource"},
		{"past the end", 1 << 20, Tail{Key: "from", ETag: old.ETag, Offset: 2<<20 - 1, Length: 2}, "InvalidRange"},
		{"no ETag", 1 << 20, Tail{Key: "from", Length: 5}, ""},
		{"negative length", 1 << 20, Tail{Key: "from", ETag: old.ETag, Length: -1}, ""},
		{"start shorter than a part", 1<<20 - 1, Tail{Key: "from", ETag: old.ETag, Length: 5}, ""},
	} {
		err := b.WriteAll(t.Context(), "to", make([]byte, tc.start), withTail(tc.tail, 0))
		failed := (*TailError)(nil)
		if err == nil || errors.As(err, &failed) != (tc.code != "") || tc.code != "" && code(err) != tc.code {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.code)
		}
		if tc.code != "" && !errors.Is(err, ErrNotApplied) {
			t.Errorf("%s: the error does not show that nothing was written: %v", tc.name, err)
		}
		if now, err := b.ReadAll(t.Context(), "to"); err != nil || len(now) != 2<<20 {
			t.Errorf("%s: afterwards the object has %d bytes (%v)", tc.name, len(now), err)
		}
	}

	// Without a region, the client does not know the host name of the source.
	client, err := NewClient(s.Bucket(), "", Static(s.SecretID(), s.SecretKey(), ""), &ClientOptions{Endpoint: s.BucketURL(s.Bucket()), Transport: s.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	client.BaseURL.BucketURL.Host = "127.0.0.1"
	unnamed, err := openBucket(client, s.Bucket(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := unnamed.checkTail(&Tail{Key: "k", ETag: "e", Length: 1}); !errors.Is(err, gcerrors.ErrUnimplemented) {
		t.Errorf("without a region: %v, want %v", err, gcerrors.ErrUnimplemented)
	}
}

// TestTailUnfinished: if the copy fails and the upload cannot be aborted, the error has the size of all
// parts. If the context ends, nothing is written.
func TestTailUnfinished(t *testing.T) {
	t.Parallel()
	s, b := openSmall(t)
	data := make([]byte, 2<<20)
	if err := b.WriteAll(t.Context(), "k", data, nil); err != nil {
		t.Fatal(err)
	}
	old, err := b.Attributes(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	tail := Tail{Key: "k", ETag: old.ETag, Length: 2 << 20}
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if slices.Contains([]string{"CompleteMultipartUpload", "AbortMultipartUpload"}, r.Action) {
			return costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "no"))
		}
		return nil
	})
	err = b.WriteAll(t.Context(), "k", data[:1<<20], withTail(tail, 0))
	if left := (*UnfinishedError)(nil); !errors.As(err, &left) || left.Size != 3<<20 {
		t.Errorf("%v, want an error with the size of 3 MiB", err)
	}
	s.SetRule(nil)
	var client *cos.Client
	if !b.As(&client) {
		t.Fatal("no client")
	}
	for _, u := range s.Uploads(s.Bucket()) {
		if _, err := client.Object.AbortMultipartUpload(t.Context(), u.Key, u.ID); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Action == "UploadPartCopy" {
			cancel()
		}
		return nil
	})
	if err := b.WriteAll(ctx, "k", data[:1<<20], withTail(tail, 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	s.SetRule(nil)
	if now, err := b.Attributes(t.Context(), "k"); err != nil || now.ETag != old.ETag {
		t.Errorf("afterwards: %+v, %v", now, err)
	}
}
