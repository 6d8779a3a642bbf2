package aws_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/objectvault/objectvault/vault"
)

// A conflicted server responds with 409 to the first n requests that would make an object visible.
// It creates a new multipart upload for each initiate. After it has refused a complete, it no
// longer knows the upload.
type conflicted struct {
	mu       sync.Mutex
	code     string
	n        int
	ends     int // number of requests that would make an object visible
	uploads  int
	over     map[string]bool
	unwanted string // requests for an upload that has ended
}

func (c *conflicted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	q := r.URL.Query()
	id := q.Get("uploadId")
	w.Header().Set("ETag", `"e"`)
	switch {
	case q.Has("uploads"):
		c.uploads++
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>u%d</UploadId></InitiateMultipartUploadResult>", c.uploads)
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet:
		w.Header().Del("ETag")
		refuse(w, 404, "NoSuchKey")
	case id != "" && c.over[id]:
		c.unwanted += " " + r.Method + " for an upload that has ended;"
		refuse(w, 404, "NoSuchUpload")
	case q.Has("partNumber"):
	default:
		if c.ends++; c.ends <= c.n {
			c.over[id] = id != ""
			refuse(w, 409, c.code)
			return
		}
		if r.Method == http.MethodPost {
			io.WriteString(w, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
		}
	}
}

// TestNewUpload: if the response to a complete is 409, and the value can be read again, it is sent
// as a new upload. A PutObject, whose bytes are in memory, is always sent again.
func TestNewUpload(t *testing.T) {
	t.Parallel()
	large := make([]byte, 20<<20)
	seekable := func() io.Reader { return bytes.NewReader(large) }
	stream := func() io.Reader { return io.LimitReader(bytes.NewReader(large), int64(len(large))) }
	middle := func() io.Reader { return io.LimitReader(bytes.NewReader(large), 3<<20) }
	for _, code := range []string{"ConditionalRequestConflict", "OperationAborted"} {
		for _, tc := range []struct {
			name    string
			value   func() io.Reader
			create  bool
			ends    int
			uploads int
			fails   bool
		}{
			{"multipart create of a seekable value", seekable, true, 2, 2, false},
			{"multipart put of a seekable value", seekable, false, 2, 2, false},
			{"multipart create of a stream", stream, true, 1, 1, true},
			{"create of a short stream with PutObject", middle, true, 2, 0, false},
		} {
			t.Run(code+"/"+tc.name, func(t *testing.T) {
				t.Parallel()
				server := &conflicted{code: code, n: 1, over: make(map[string]bool)}
				v := newVault(t, answering(t, server.ServeHTTP), "acme")
				_, err := v.Put(t.Context(), "openai", tc.value(), &vault.PutOptions{Create: tc.create})
				var cause *vault.Cause
				switch {
				case !tc.fails && err != nil:
					t.Errorf("put: %v", err)
				case tc.fails && (!errors.As(err, &cause) || cause.Reason != vault.WriteConflict || errors.Is(err, vault.ErrUnsure) ||
					!strings.Contains(err.Error(), "nothing was stored, and a streamed value cannot be sent again")):
					t.Errorf("put: %v, want a write conflict that asks for the value again", err)
				}
				if server.ends != tc.ends || server.uploads != tc.uploads || server.unwanted != "" {
					t.Errorf("%d requests to publish, %d uploads, want %d and %d;%s", server.ends, server.uploads, tc.ends, tc.uploads, server.unwanted)
				}
			})
		}
	}
}
