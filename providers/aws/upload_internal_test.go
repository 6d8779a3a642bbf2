package aws

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestReadUntil: a request whose body was completely read when the context ends is completed. Another one is cut
// off.
func TestReadUntil(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer server.Close()
	for at, want := range map[int64]error{size: nil, size / 2: context.Canceled} {
		ctx, cancel := context.WithCancel(t.Context())
		body := readUntil(ctx, &cancelling{bytes.NewReader(make([]byte, size)), at, cancel})
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = size
		resp, err := server.Client().Do(r)
		if !errors.Is(err, want) || ctx.Err() == nil {
			t.Errorf("cancelled after %d bytes: %v, want %v", at, err, want)
		}
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("the server did not receive everything: %s", resp.Status)
			}
		}
	}
}

// A cancelling reader calls cancel when left bytes were read.
type cancelling struct {
	io.ReadSeeker
	left   int64
	cancel func()
}

func (r *cancelling) Read(p []byte) (int, error) {
	n, err := r.ReadSeeker.Read(p)
	if r.left -= int64(n); r.left <= 0 {
		r.cancel()
	}
	return n, err
}
