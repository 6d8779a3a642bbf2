package cosblob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
)

// partWriter returns a writer of key, and its PartWriter.
func partWriter(t *testing.T, b *blob.Bucket, key string) (*blob.Writer, *cosblob.PartWriter) {
	t.Helper()
	var parts *cosblob.PartWriter
	w, err := b.NewWriter(t.Context(), key, &blob.WriterOptions{ContentType: "text/plain", BeforeWrite: func(as func(any) bool) error {
		if !as(&parts) {
			t.Error("there is no PartWriter")
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return w, parts
}

func openAny(t *testing.T) *blob.Bucket {
	t.Helper()
	s := newServer(t, nil)
	return open(t, s, cosblob.Static(s.SecretID(), s.SecretKey(), ""))
}

func partsOf(value []byte) cosblob.Parts {
	return cosblob.Parts{Size: int64(len(value)), Part: func(p []byte, offset int64) error {
		copy(p, value[offset:])
		return nil
	}}
}

// Objects around the size from which a write is a multipart upload.
func TestPartWriter(t *testing.T) {
	b := openAny(t)
	for _, size := range []int{0, 1, 9 << 20, 9<<20 + 1, 10 << 20, 12<<20 + 5} {
		value := bytes.Repeat([]byte("0123456789abcdefghi"), size/19+1)[:size]
		w, parts := partWriter(t, b, "key")
		if err := errors.Join(parts.WriteParts(partsOf(value)), w.Close()); err != nil {
			t.Fatal(err)
		}
		if got, err := b.ReadAll(t.Context(), "key"); err != nil || !bytes.Equal(got, value) {
			t.Errorf("%d bytes: %d bytes, %v", size, len(got), err)
		}
	}
}

// A part that fails ends the write, and nothing stays of it.
func TestPartWriterFails(t *testing.T) {
	b := openAny(t)
	broken := errors.New("broken")
	w, parts := partWriter(t, b, "key")
	var running atomic.Int32
	started, returned := make(chan struct{}), make(chan struct{})
	err := parts.WriteParts(cosblob.Parts{Size: 60 << 20, Part: func(_ []byte, offset int64) error {
		running.Add(1)
		defer running.Add(-1)
		switch {
		case offset == 0: // it is in progress when another part fails
			close(started)
			select {
			case <-returned:
			case <-time.After(300 * time.Millisecond):
			}
		case offset >= 20<<20:
			<-started
			return broken
		}
		return nil
	}})
	close(returned)
	if n := running.Load(); !errors.Is(err, broken) || n != 0 {
		t.Errorf("%v, %d calls are in progress", err, n)
	}
	if err := w.Close(); !errors.Is(err, broken) {
		t.Errorf("Close: %v", err)
	}
	if ok, err := b.Exists(t.Context(), "key"); ok || err != nil {
		t.Errorf("exists %v, %v", ok, err)
	}
}

// Parts are refused after a Write.
func TestPartWriterMisuse(t *testing.T) {
	b := openAny(t)
	w, parts := partWriter(t, b, "key")
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := parts.WriteParts(partsOf([]byte("y"))); err == nil {
		t.Error("parts were accepted after a Write")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.ReadAll(t.Context(), "key"); string(got) != "x" {
		t.Errorf("%q was stored", got)
	}
	if err := new(cosblob.PartWriter).WriteParts(partsOf(nil)); err == nil {
		t.Error("the zero PartWriter was accepted")
	}
}

// An object whose length is known is written in parts, several at a time.
func ExamplePartWriter() {
	ctx := context.Background()
	s, err := costest.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	keys := cosblob.Static(s.SecretID(), s.SecretKey(), "")
	client, err := cosblob.NewClient(s.Bucket(), s.Region(), keys, &cosblob.ClientOptions{
		Transport: s.Client().Transport,
		Endpoint:  s.BucketURL(s.Bucket()),
	})
	if err != nil {
		log.Fatal(err)
	}
	bucket, err := cosblob.OpenBucket(ctx, client, s.Bucket(), &cosblob.Options{Credentials: keys})
	if err != nil {
		log.Fatal(err)
	}
	defer bucket.Close()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var parts *cosblob.PartWriter
	w, err := bucket.NewWriter(ctx, "large", &blob.WriterOptions{ContentType: "text/plain", BeforeWrite: func(as func(any) bool) error {
		as(&parts)
		return nil
	}})
	if err != nil {
		log.Fatal(err)
	}
	text := strings.NewReader(strings.Repeat("x", 12<<20))
	err = parts.WriteParts(cosblob.Parts{Size: text.Size(), Part: func(p []byte, offset int64) error {
		_, err := text.ReadAt(p, offset)
		return err
	}})
	if err != nil {
		cancel() // Close then stores nothing
	}
	fmt.Println(err, w.Close())
	a, err := bucket.Attributes(ctx, "large")
	fmt.Println(a.Size, err)
	// Output:
	// <nil> <nil>
	// 12582912 <nil>
}
