package cosblob_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
)

// TestGzip: a compressed object is returned unchanged, also with the transport of NewClient.
func TestGzip(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	client, err := cosblob.NewClient(s.Bucket(), s.Region(), owner(s), &cosblob.ClientOptions{Endpoint: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	b, err := cosblob.OpenBucket(t.Context(), client, s.Bucket(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(bytes.Repeat([]byte("text"), 1000))
	z.Close()
	if err := b.WriteAll(t.Context(), "key", packed.Bytes(), &blob.WriterOptions{ContentEncoding: "gzip", ContentType: "text/plain"}); err != nil {
		t.Fatal(err)
	}
	wantObject(t, b, "key", packed.Bytes())
	if a, err := b.Attributes(t.Context(), "key"); err != nil || a.Size != int64(packed.Len()) {
		t.Errorf("attributes: %+v, %v", a, err)
	}
	if err := b.Copy(t.Context(), "copy", "key", nil); gcerrors.Code(err) != gcerrors.Unimplemented {
		t.Errorf("copy with an unknown host of the bucket: %v, want Unimplemented", err)
	}
}

// TestListKeys lists, page by page, keys with characters that XML or a URL could change.
func TestListKeys(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	want := []string{"a\x01b", "a b", "a%41", "a&amp;<b>", "a+b", "a/b?c#d", "a\uffffb", "☺/☺"}
	for _, key := range want {
		mustWrite(t, b, key, nil)
	}
	slices.Sort(want)
	for _, size := range []int{1, 3, 1000} {
		var got []string
		for token := blob.FirstPageToken; len(token) > 0; {
			page, next, err := b.ListPage(t.Context(), token, size, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > size {
				t.Errorf("a page of %d has %d entries", size, len(page))
			}
			for _, o := range page {
				got = append(got, o.Key)
			}
			token = next
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", size, diff)
		}
	}
}

// TestManyKeys: a list of more than 1000 keys needs two requests.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	for i := range 1005 {
		mustWrite(t, b, fmt.Sprintf("%04d", i), nil)
	}
	s.Reset()
	n := 0
	for it := b.List(nil); ; n++ {
		o, err := it.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || o.Key != fmt.Sprintf("%04d", n) {
			t.Fatalf("entry %d: %+v, %v", n, o, err)
		}
	}
	if n != 1005 || len(s.Requests()) != 2 {
		t.Errorf("%d keys in %d requests, want 1005 in 2", n, len(s.Requests()))
	}
}

// TestDelimiters: a delimiter of more than one character is rejected without a request.
func TestDelimiters(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	for _, key := range []string{"a☺b", "a☺c", "d"} {
		mustWrite(t, b, key, nil)
	}
	var got []string
	for it := b.List(&blob.ListOptions{Delimiter: "☺"}); ; {
		o, err := it.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, o.Key)
	}
	if diff := cmp.Diff([]string{"a☺", "d"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.Reset()
	for _, d := range []string{"abc", "\n"} {
		if _, err := b.List(&blob.ListOptions{Delimiter: d}).Next(t.Context()); gcerrors.Code(err) != gcerrors.Unimplemented {
			t.Errorf("delimiter %q: %v, want Unimplemented", d, err)
		}
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// TestUncheckedReads: with UncheckedReads, changed data is returned without an error.
func TestUncheckedReads(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	mustWrite(t, open(t, s, owner(s)), "key", noise(1, 1000))
	client, err := cosblob.NewClient(s.Bucket(), s.Region(), owner(s), &cosblob.ClientOptions{Endpoint: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	b, err := cosblob.OpenBucket(t.Context(), client, s.Bucket(), &cosblob.Options{UncheckedReads: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	once(s, costest.Truncated(500), action("GetObject"))
	if got, err := b.ReadAll(t.Context(), "key"); err != nil || !bytes.Equal(got, noise(1, 1000)[:500]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestLongestRange: a range whose end overflows int64 reads to the end of the object.
func TestLongestRange(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	mustWrite(t, b, "key", []byte("0123456789abc"))
	r, err := b.NewRangeReader(t.Context(), "key", 10, math.MaxInt64, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); string(got) != "abc" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
