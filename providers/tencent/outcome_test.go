package tencent_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/vault"
)

// TestAbortRefused: a complete was applied, its response was lost, and the abort is refused. The
// object exists, and the write succeeds.
func TestAbortRefused(t *testing.T) {
	for _, versioning := range []string{"", "Enabled"} {
		s := newServer(t, &costest.Options{Versioning: versioning})
		v := newVault(t, open(t, config(s, owner(s))), "acme")
		s.SetRule(func(r *costest.Request) *costest.Fault {
			switch r.Action {
			case "CompleteMultipartUpload":
				return costest.DropAfter()
			case "AbortMultipartUpload":
				return costest.RespondBefore(http.StatusForbidden, costest.ErrorXML("AccessDenied", "Access Denied."))
			}
			return nil
		})
		if _, err := v.Put(t.Context(), "large", noise(1, 9<<20), &vault.PutOptions{Create: true}); err != nil {
			t.Errorf("versioning %q: %v", versioning, err)
		}
	}
}

// TestOtherBytes: a write does not succeed if the checksum belongs to other bytes, even if the
// header matches.
func TestOtherBytes(t *testing.T) {
	for _, versioning := range []string{"", "Enabled"} {
		s := newServer(t, &costest.Options{Versioning: versioning})
		to, err := url.Parse(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		proxy := httputil.NewSingleHostReverseProxy(to)
		proxy.ModifyResponse = func(r *http.Response) error {
			if r.Request.Method == http.MethodPut {
				r.Header.Set("X-Cos-Hash-Crc64ecma", "1")
			}
			return nil
		}
		front := httptest.NewServer(proxy)
		t.Cleanup(front.Close)
		c := config(s, owner(s))
		c.Endpoint = front.URL
		v := newVault(t, open(t, c), "acme")
		for _, create := range []bool{true, false} {
			if _, err := v.Put(t.Context(), "small", noise(1, 100), &vault.PutOptions{Create: create}); !errors.Is(err, vault.ErrUnsure) && !errors.Is(err, vault.ErrExist) {
				t.Errorf("versioning %q, create %v: %v", versioning, create, err)
			}
		}
	}
}

// TestSuspendedMeanwhile: if versioning is suspended before a write, the write has no version. It is not
// undone, because that would remove the current object.
func TestSuspendedMeanwhile(t *testing.T) {
	s := newServer(t, nil)
	store := open(t, config(s, owner(s)))
	if _, err := store.Put.Put(t.Context(), "key", fill("old")); err != nil {
		t.Fatal(err)
	}
	if err := s.SetVersioning(s.Bucket(), "Enabled"); err != nil {
		t.Fatal(err)
	}
	store = open(t, config(s, owner(s)))
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Action != "PutObject" {
			return nil
		}
		if err := s.SetVersioning(s.Bucket(), "Suspended"); err != nil {
			t.Error(err)
		}
		return costest.DropAfter()
	})
	if _, err := store.Swap.Swap(t.Context(), "key", "null", fill("new")); !errors.Is(err, vault.ErrUnsure) {
		t.Errorf("swap: %v, want %v", err, vault.ErrUnsure)
	}
	s.SetRule(nil)
	got, err := store.Bucket.ReadAll(t.Context(), "key")
	if err != nil || !bytes.Equal(got, []byte("new")) {
		t.Errorf("afterwards the value is %q, %v", got, err)
	}
}

func fill(text string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
}

// TestPartFailed: if a part was not stored, it is certain that the write changed nothing, even if
// another writer changes the object.
func TestPartFailed(t *testing.T) {
	s := newServer(t, &costest.Options{Versioning: "Enabled"})
	v, other := newVault(t, open(t, config(s, owner(s))), "acme"), newVault(t, open(t, config(s, owner(s))), "acme")
	var once sync.Once
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Action != "UploadPart" || !strings.Contains(r.Query, "partNumber=2") {
			return nil
		}
		once.Do(func() {
			if _, err := other.Put(context.Background(), "large", noise(2, 10), nil); err != nil {
				t.Error(err)
			}
		})
		return costest.RespondBefore(http.StatusInternalServerError, costest.ErrorXML("InternalError", ""))
	})
	_, err := v.Put(t.Context(), "large", noise(1, 9<<20), &vault.PutOptions{Create: true})
	if !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrUnsure) {
		t.Errorf("put: %v, want %v", err, vault.ErrUnavailable)
	}
}

// TestUndoAnswerLost: the version of a late write is removed even if the response to the removal is
// lost.
func TestUndoAnswerLost(t *testing.T) {
	s := newServer(t, &costest.Options{Versioning: "Enabled"})
	store, other := open(t, config(s, owner(s))), open(t, config(s, owner(s)))
	var put, undone atomic.Bool
	s.SetRule(func(r *costest.Request) *costest.Fault {
		switch r.Action {
		case "PutObject":
			if !put.CompareAndSwap(false, true) {
				return nil
			}
			if _, err := other.Put.Put(context.Background(), "key", fill("theirs")); err != nil {
				t.Error(err)
			}
		case "DeleteObject":
			if undone.CompareAndSwap(false, true) {
				return costest.DropAfter()
			}
			return costest.ApplyThen(http.StatusNotFound, costest.ErrorXML("NoSuchVersion", ""))
		}
		return nil
	})
	if _, err := store.Create.Create(t.Context(), "key", fill("ours")); !errors.Is(err, vault.ErrExist) || errors.Is(err, vault.ErrUnsure) {
		t.Errorf("create: %v, want %v", err, vault.ErrExist)
	}
}

// TestEarlyResponse: the response to CompleteMultipartUpload starts before the object exists, so its
// headers contain neither version nor checksum.
func TestEarlyResponse(t *testing.T) {
	for _, tc := range []struct {
		name, versioning, later string // the versioning when the store is opened, and when it writes
		taken, replaced         bool   // another writer writes before the create, and immediately after it
		want                    error
	}{
		{"never versioned", "", "", false, false, nil},
		{"never versioned, key exists", "", "", true, false, vault.ErrExist},
		{"versioned", "Enabled", "Enabled", false, false, nil},
		{"versioned, replaced", "Enabled", "Enabled", false, true, nil},
		{"versioned after open", "", "Enabled", false, false, nil},
		{"versioned after open, key exists", "", "Enabled", true, false, vault.ErrExist},
		{"versioned after open, key exists, replaced", "", "Enabled", true, true, vault.ErrUnsure},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, &costest.Options{Versioning: tc.versioning})
			store, other := open(t, config(s, owner(s))), open(t, config(s, owner(s)))
			if tc.taken {
				if _, err := other.Put.Put(t.Context(), "key", fill("taken")); err != nil {
					t.Fatal(err)
				}
			}
			if tc.later != tc.versioning {
				if err := s.SetVersioning(s.Bucket(), tc.later); err != nil {
					t.Fatal(err)
				}
			}
			var once atomic.Bool
			s.SetRule(func(r *costest.Request) *costest.Fault {
				switch {
				case r.Action == "CompleteMultipartUpload":
					return costest.KeepAlive()
				case r.Action == "HeadObject" && tc.replaced && once.CompareAndSwap(false, true):
					if _, err := other.Put.Put(context.Background(), "key", fill("replaced")); err != nil {
						t.Error(err)
					}
				}
				return nil
			})
			version, err := store.Create.Create(t.Context(), "key", func(w io.Writer) error {
				_, err := io.Copy(w, noise(1, 10<<20))
				return err
			})
			if !errors.Is(err, tc.want) && !isKind(store, err, tc.want) {
				t.Errorf("create: %v, want %v", err, tc.want)
			}
			if err == nil && (version != "") != (tc.later == "Enabled") {
				t.Errorf("the version is %q", version)
			}
			r, err := other.Bucket.NewReader(t.Context(), "key", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if tc.taken && !tc.replaced && r.Size() != int64(len("taken")) {
				t.Errorf("the existing object now has %d bytes", r.Size())
			}
		})
	}
}
