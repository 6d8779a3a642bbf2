package tencent_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/vault"
)

// TestNewUpload: if CompleteMultipartUpload fails repeatedly because of another write, the value is sent
// as a new upload, provided that it can be read again.
func TestNewUpload(t *testing.T) {
	large := make([]byte, 20<<20)
	for _, code := range []string{"PathConflict", "UploadConflict", "OperationAborted"} {
		for _, versioning := range []string{"", "Enabled"} {
			for _, stream := range []bool{false, true} {
				s := newServer(t, &costest.Options{Versioning: versioning})
				var uploads atomic.Int32
				var first atomic.Bool // an upload was refused
				s.SetRule(func(r *costest.Request) *costest.Fault {
					switch {
					case r.Action == "InitiateMultipartUpload":
						uploads.Add(1)
					case r.Action == "CompleteMultipartUpload" && uploads.Load() == 1:
						first.Store(true)
						return costest.RespondBefore(409, costest.ErrorXML(code, "told by a test"))
					}
					return nil
				})
				v := newVault(t, open(t, config(s, owner(s))), "acme")
				var value io.Reader = bytes.NewReader(large)
				if stream {
					value = io.LimitReader(value, int64(len(large)))
				}
				_, err := v.Put(t.Context(), "x", value, &vault.PutOptions{Create: true})
				var cause *vault.Cause
				switch {
				case !first.Load():
					t.Errorf("%s: no upload was refused", code)
				case !stream && (err != nil || uploads.Load() != 2):
					t.Errorf("%s, versioning %q: %v after %d uploads, want success after 2", code, versioning, err, uploads.Load())
				case stream && (!errors.As(err, &cause) || cause.Reason != vault.WriteConflict || errors.Is(err, vault.ErrUnsure) || uploads.Load() != 1 ||
					!strings.Contains(err.Error(), "nothing was stored, and a streamed value cannot be sent again")):
					t.Errorf("%s, versioning %q: %v after %d uploads, want a write conflict that asks for the value again", code, versioning, err, uploads.Load())
				}
			}
		}
	}
}
