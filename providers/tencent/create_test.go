package tencent_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

// TestCreateUnchecked runs two concurrent creates of a new key on a COS that checks
// x-cos-forbid-overwrite only at the start of a request. If the second one overwrites the first
// before the first has read back, the first returns an error. If it overwrites the first later,
// both creates succeed.
func TestCreateUnchecked(t *testing.T) {
	for _, tc := range []struct {
		name  string
		early bool // the other object is written before the read-back
		want  error
	}{
		{"overwritten before the read-back", true, vault.ErrExist},
		{"overwritten after the read-back", false, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t, &costest.Options{Unsure: map[string]string{"create-commit": "unchecked"}})
			client, err := cosblob.NewClient(s.Bucket(), s.Region(), owner(s), &cosblob.ClientOptions{Endpoint: s.BucketURL(s.Bucket()), Transport: s.Client().Transport})
			if err != nil {
				t.Fatal(err)
			}
			// The other create has started. The server has read more than any buffer contains, so
			// the request has passed the check.
			begin := strings.Repeat("other", 4<<20)
			body, rest := io.Pipe()
			other := make(chan error, 1)
			go func() {
				_, err := client.Object.Put(t.Context(), "key", body, &cos.ObjectPutOptions{ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{
					ContentLength: int64(len(begin) + 1), XOptionHeader: &http.Header{"X-Cos-Forbid-Overwrite": {"true"}},
				}})
				other <- err
			}()
			finish := func() {
				io.WriteString(rest, "!")
				rest.Close()
				if err := <-other; err != nil {
					t.Errorf("the other create returned %v", err)
				}
			}
			io.WriteString(rest, begin)
			st := open(t, config(s, owner(s)))
			finished := false
			s.SetRule(func(r *costest.Request) *costest.Fault {
				if r.Action == "GetObject" && tc.early && !finished {
					finished = true
					finish()
				}
				return nil
			})
			_, err = st.Create.Create(t.Context(), "key", func(w io.Writer) error { _, err := io.WriteString(w, "ours"); return err })
			if !errors.Is(err, tc.want) {
				t.Errorf("create: %v, want %v", err, tc.want)
			}
			s.SetRule(nil)
			if !tc.early {
				finish()
			}
			got, err := st.Bucket.ReadAll(t.Context(), "key")
			if err != nil || !strings.HasPrefix(string(got), "other") {
				t.Errorf("the object has our value, %d bytes, %v", len(got), err)
			}
		})
	}
}

// TestCreateReadBack: if the read-back after a create is denied, the outcome is unknown. If another
// writer has replaced the object, the create fails. If another writer has deleted it, the create
// succeeds.
func TestCreateReadBack(t *testing.T) {
	s := newServer(t, nil)
	st := open(t, config(s, owner(s)))
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Action == "GetObject" {
			return costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "told by a test"))
		}
		return nil
	})
	if _, err := st.Create.Create(t.Context(), "key", value); !errors.Is(err, vault.ErrUnsure) || !strings.Contains(err.Error(), "allow name/cos:GetObject") {
		t.Errorf("without permission to read: %v, want %v and the missing permission", err, vault.ErrUnsure)
	}
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Action == "GetObject" && r.Key == "replaced" {
			s.SetRule(nil)
			if _, err := st.Put.Put(t.Context(), r.Key, func(w io.Writer) error { _, err := io.WriteString(w, "later"); return err }); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	// The store does not know the kind of the write, so the message names none.
	if _, err := st.Create.Create(t.Context(), "replaced", value); !errors.Is(err, vault.ErrExist) || strings.Contains(err.Error(), "create") {
		t.Errorf("after a put replaced the object: %v, want %v", err, vault.ErrExist)
	}
	removed := false
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Action == "GetObject" && !removed {
			removed = true
			if err := st.Bucket.Delete(t.Context(), r.Key); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	if _, err := st.Create.Create(t.Context(), "new", value); err != nil {
		t.Errorf("after the object was removed: %v, want success", err)
	}
}

// TestUndeleteSuspended: an object that was deleted while versioning was enabled can be restored
// after versioning was suspended.
func TestUndeleteSuspended(t *testing.T) {
	s := newServer(t, &costest.Options{Versioning: "Enabled"})
	v := newVault(t, open(t, config(s, owner(s))), "acme")
	if _, err := v.Put(t.Context(), "name", strings.NewReader("sk-1"), nil); err != nil {
		t.Fatal(err)
	}
	if err := v.Delete(t.Context(), "name", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.SetVersioning(s.Bucket(), "Suspended"); err != nil {
		t.Fatal(err)
	}
	v = newVault(t, open(t, config(s, owner(s))), "acme")
	if _, err := v.Undelete(t.Context(), "name"); err != nil {
		t.Fatal(err)
	}
	r, err := v.Get(t.Context(), "name", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "sk-1" {
		t.Errorf("the object has %d bytes, %v", len(got), err)
	}
	if _, err := v.Undelete(t.Context(), "name"); !errors.Is(err, vault.ErrExist) {
		t.Errorf("a second undelete: %v, want %v", err, vault.ErrExist)
	}
}

// TestAccelerated: an endpoint without lists is rejected, and the error contains the endpoint to
// use instead.
func TestAccelerated(t *testing.T) {
	for _, endpoint := range []string{
		"https://vault-1250000000.cos.accelerate.myqcloud.com", "https://vault-1250000000.cos.accelerate.tencentcos.cn/",
	} {
		_, err := tencent.Open(t.Context(), tencent.Config{Bucket: "vault-1250000000", Endpoint: endpoint, Static: cosblob.Static("id", "key", "")})
		if !errors.Is(err, vault.ErrConfig) || !strings.Contains(err.Error(), "endpoint") {
			t.Errorf("%s: %v, want %v", endpoint, err, vault.ErrConfig)
		}
	}
	s := newServer(t, nil)
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Key != "" {
			return nil
		}
		return costest.RespondBefore(400, costest.ErrorXML("ActionAccelerateNotSupported", "told by a test"))
	})
	if _, err := tencent.Open(t.Context(), config(s, owner(s))); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("with another host name: %v, want %v", err, vault.ErrConfig)
	}
}

// TestUnfinishedUpload: parts that could not be removed are reported, whatever the result of the
// write.
func TestUnfinishedUpload(t *testing.T) {
	for _, tc := range []struct {
		name      string
		code      string // of the response to the complete
		want      error
		versioned bool // the write is conditional, and nothing can be read after it
	}{
		{"complete denied", "AccessDenied", vault.ErrPermission, false},
		{"object exists", "FileAlreadyExists", vault.ErrExist, false},
		{"context cancelled during a part", "", context.Canceled, false},
		{"context cancelled during complete", "late", context.Canceled, false},
		{"outcome unknown", "InternalError", vault.ErrUnsure, false},
		{"outcome unknown with versioning", "InternalError", vault.ErrUnsure, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := costest.New(nil) // newServer would fail because of the remaining upload
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			if tc.versioned {
				if err := s.SetVersioning(s.Bucket(), "Enabled"); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var completed atomic.Bool
			s.SetRule(func(r *costest.Request) *costest.Fault {
				switch {
				case r.Action == "CompleteMultipartUpload":
					completed.Store(true)
				case tc.versioned && completed.Load():
					return costest.DropBefore()
				}
				switch {
				case r.Action == "AbortMultipartUpload":
					return costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "told by a test"))
				case r.Action == "CompleteMultipartUpload" && tc.code == "late":
					cancel()
					return costest.RespondBefore(500, costest.ErrorXML("InternalError", "told by a test"))
				case r.Action == "CompleteMultipartUpload" && tc.code == "InternalError":
					return costest.RespondBefore(500, costest.ErrorXML(tc.code, "told by a test"))
				case r.Action == "CompleteMultipartUpload":
					return costest.RespondBefore(403, costest.ErrorXML(tc.code, "told by a test"))
				case r.Action == "UploadPart" && tc.code == "":
					cancel()
				}
				return nil
			})
			v := newVault(t, open(t, config(s, owner(s))), "acme")
			_, err = v.Put(ctx, "x", noise(1, 20<<20), &vault.PutOptions{Create: tc.want == vault.ErrExist || tc.versioned})
			var cause *vault.Cause
			if !errors.Is(err, tc.want) || !errors.As(err, &cause) || cause.Unfinished == 0 || !strings.Contains(err.Error(), "an unfinished upload of ") {
				t.Errorf("put: %v, want %v and the remaining parts", err, tc.want)
			}
			if len(s.Uploads(s.Bucket())) != 1 {
				t.Error("no upload remains")
			}
		})
	}
}
