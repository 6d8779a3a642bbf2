package cosblob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
)

// expiredAs lists the possible error codes for an expired key. The documentation does not name one.
func expiredAs(t *testing.T) []string {
	for _, q := range costest.Questions() {
		if q.Name == "expired-token" {
			return q.Variants
		}
	}
	t.Fatal("costest has no question about the code of an expired token")
	return nil
}

// TestExpiry lets a key expire during each operation, with each code. The operation must succeed
// after one more token exchange.
func TestExpiry(t *testing.T) {
	t.Parallel()
	data := noise(1, 7*mib/2)
	for _, code := range expiredAs(t) {
		for _, tc := range []struct {
			name  string
			after int // requests of the operation
			call  func(context.Context, *blob.Bucket) error
		}{
			{"head", 0, func(ctx context.Context, b *blob.Bucket) error { _, err := b.Attributes(ctx, "big"); return err }},
			{"list", 1, func(ctx context.Context, b *blob.Bucket) error {
				n := 0
				for token := blob.FirstPageToken; len(token) > 0; n++ {
					var err error
					if _, token, err = b.ListPage(ctx, token, 1, nil); err != nil {
						return err
					}
				}
				if n != 4 {
					return fmt.Errorf("%d pages, want 4", n)
				}
				return nil
			}},
			{"download", 1, func(ctx context.Context, b *blob.Bucket) error {
				for offset := int64(0); offset < int64(len(data)); offset += mib {
					r, err := b.NewRangeReader(ctx, "big", offset, mib, nil)
					if err != nil {
						return err
					}
					got, err := io.ReadAll(r)
					r.Close()
					if err != nil || !bytes.Equal(got, data[offset:min(offset+mib, int64(len(data)))]) {
						return fmt.Errorf("the range at %d: %v", offset, err)
					}
				}
				return nil
			}},
			{"put", 0, func(ctx context.Context, b *blob.Bucket) error {
				return b.WriteAll(ctx, "new", data[:100], inParts(blob.WriterOptions{IfNotExist: true}))
			}},
			{"initiate", 0, upload(data)},
			{"part", 1, upload(data)},
			{"last part", 4, upload(data)},
			{"complete", 5, upload(data)},
			{"copy", 1, func(ctx context.Context, b *blob.Bucket) error { return b.Copy(ctx, "copy", "big", nil) }},
			{"delete", 1, func(ctx context.Context, b *blob.Bucket) error { return b.Delete(ctx, "big") }},
		} {
			t.Run(code+"/"+tc.name, func(t *testing.T) {
				t.Parallel()
				s := newServer(t, &costest.Options{Unsure: map[string]string{"expired-token": code}})
				c := &federated{s: s}
				b := open(t, s, c)
				mustWrite(t, b, "big", data)
				for i := range 3 {
					mustWrite(t, b, fmt.Sprint("small", i), data[:10])
				}
				s.ExpireKeyAfter(tc.after)
				if err := tc.call(t.Context(), b); err != nil {
					t.Errorf("%v", err)
				}
				if c.exchanges != 2 {
					t.Errorf("%d exchanges, want 2", c.exchanges)
				}
				if tc.name == "put" {
					wantObject(t, b, "new", data[:100])
				}
				if strings.Contains("initiate part last part complete", tc.name) {
					wantObject(t, b, "new", data)
				}
			})
		}
	}
}

func upload(data []byte) func(context.Context, *blob.Bucket) error {
	return func(ctx context.Context, b *blob.Bucket) error {
		return b.WriteAll(ctx, "new", data, inParts(blob.WriterOptions{IfNotExist: true}))
	}
}

// TestExpiredPermanently: a request renews the key only once, and then fails with the error of the
// service. If the keys cannot be renewed, the request is not repeated.
func TestExpiredPermanently(t *testing.T) {
	t.Parallel()
	for _, code := range expiredAs(t) {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, &costest.Options{Unsure: map[string]string{"expired-token": code}})
			c := &federated{s: s}
			b := open(t, s, c)
			s.SetRule(func(r *costest.Request) *costest.Fault {
				if r.Service == "cos" {
					s.ExpireKey(r.AccessKeyID)
				}
				return nil
			})
			_, err := b.ReadAll(t.Context(), "key")
			var e *cos.ErrorResponse
			if !b.ErrorAs(err, &e) || e.Code != code {
				t.Errorf("read: %v, want the code %s", err, code)
			}
			if gcerrors.Code(err) == gcerrors.NotFound {
				t.Errorf("the error of an expired key means that the object does not exist")
			}
			if c.exchanges != 2 || count(s, "GetObject") != 2 {
				t.Errorf("%d exchanges and %d requests, want 2 and 2", c.exchanges, count(s, "GetObject"))
			}
		})
	}
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	s.ExpireKey(s.SecretID())
	_, err := b.ReadAll(t.Context(), "key")
	var e *cos.ErrorResponse
	if !b.ErrorAs(err, &e) || count(s, "GetObject") != 1 {
		t.Errorf("permanent keys: %v after %d requests, want 1", err, count(s, "GetObject"))
	}
}

// TestDeniedIsNotExpired: a denied request causes a token exchange only near the expiry time of the
// key, when the denial may mean that the key has expired.
func TestDeniedIsNotExpired(t *testing.T) {
	t.Parallel()
	for life, want := range map[time.Duration]int{time.Hour: 1, 10 * time.Minute: 2, -time.Minute: 2} {
		s := newServer(t, nil)
		c := &federated{s: s, life: life}
		testDenied(t, s, c)
		if c.exchanges != want {
			t.Errorf("%v before the end of a key: %d exchanges, want %d", life, c.exchanges, want)
		}
	}
}

// TestDeniedKeepsKey: if no other key can be had, a denied request near the expiry time returns the
// denial, and the key stays in use.
func TestDeniedKeepsKey(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	c := &federated{s: s, life: 10 * time.Minute, noMore: true}
	testDenied(t, s, c)
	if c.renewals != 1 {
		t.Errorf("%d attempts to get another key within a minute, want 1", c.renewals)
	}
	s.SetRule(nil)
	mustWrite(t, open(t, s, c), "key", []byte("value"))
	if c.exchanges != 1 {
		t.Errorf("%d exchanges, want 1: the key is valid", c.exchanges)
	}
}

// TestExpiredSignature: if the clock is wrong, the error is no denial in each of its forms, and the key
// stays in use.
func TestExpiredSignature(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"AccessDenied", "Request has expired", "RequestIsExpired"} {
		s := newServer(t, &costest.Options{
			Now:    func() time.Time { return time.Now().Add(time.Hour) },
			Unsure: map[string]string{"expired-signature": code},
		})
		b := open(t, s, owner(s))
		_, err := b.ReadAll(t.Context(), "key")
		var e *cos.ErrorResponse
		if !b.ErrorAs(err, &e) || !cosblob.IsSignatureExpired(e.Code, e.Message) || gcerrors.Code(err) != gcerrors.Unknown {
			t.Errorf("%s: %v, code %v, want an expired signature", code, err, gcerrors.Code(err))
		}
	}
	if cosblob.IsSignatureExpired("AccessDenied", "Access Denied.") {
		t.Error("a usual denial counts as an expired signature")
	}
}

// TestExpiredSignatureKeepsKey: an error that a new key does not help against does not discard the key.
func TestExpiredSignatureKeepsKey(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	c := &federated{s: s, life: time.Hour, noMore: true}
	b := open(t, s, c)
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Service != "cos" {
			return nil
		}
		return costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "Request has expired"))
	})
	for range 3 {
		if _, err := b.ReadAll(t.Context(), "key"); errors.Is(err, cosblob.ErrCredentials) || err == nil {
			t.Errorf("read: %v, want the error of the service", err)
		}
	}
	s.SetRule(nil)
	mustWrite(t, b, "key", nil)
	if c.exchanges != 1 || c.renewals != 1 {
		t.Errorf("%d exchanges and %d renewals, want 1 and 1", c.exchanges, c.renewals)
	}
}

func testDenied(t *testing.T, s *costest.Server, c *federated) {
	t.Helper()
	b := open(t, s, c)
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Service != "cos" {
			return nil
		}
		return costest.RespondBefore(403, costest.ErrorXML("AccessDenied", "Access Denied."))
	})
	for range 10 {
		if _, err := b.ReadAll(t.Context(), "key"); gcerrors.Code(err) != gcerrors.PermissionDenied {
			t.Errorf("read: %v, want PermissionDenied", err)
		}
	}
}

// TestHeadErrorCode: the response to a HEAD has no error code, so another request gets it.
func TestHeadErrorCode(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, cosblob.Static(s.SecretID(), "not the key", ""))
	_, err := b.Attributes(t.Context(), "key")
	var e *cos.ErrorResponse
	if !b.ErrorAs(err, &e) || e.Code != "SignatureDoesNotMatch" {
		t.Errorf("attributes: %v, want the code SignatureDoesNotMatch", err)
	}
}

var errSource = errors.New("the source is gone")

type broken struct{}

func (broken) Get(context.Context) (cosblob.Snapshot, error) { return cosblob.Snapshot{}, errSource }

// TestNoCredentials: an error of the credentials is returned, and the request is not repeated.
func TestNoCredentials(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, broken{})
	for what, err := range map[string]error{
		"read": func() error { _, err := b.ReadAll(t.Context(), "key"); return err }(),
		"sign": func() error { _, err := b.SignedURL(t.Context(), "key", nil); return err }(),
		"put":  b.WriteAll(t.Context(), "key", nil, nil),
	} {
		if !errors.Is(err, cosblob.ErrCredentials) || !errors.Is(err, errSource) {
			t.Errorf("%s: %v, want %v and %v", what, err, cosblob.ErrCredentials, errSource)
		}
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// TestOneGeneration: if the keys change with every request, no request combines two generations.
func TestOneGeneration(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, &rotating{federated{s: s}})
	for i := range 20 {
		mustWrite(t, b, fmt.Sprint("key", i), noise(uint64(i), 10))
	}
	for _, r := range s.Requests() {
		if r.Service == "cos" && r.Status != 200 {
			t.Errorf("%s: %s", r, r.Code)
		}
	}
}

// rotating returns different keys for every request.
type rotating struct{ federated }

func (r *rotating) Get(ctx context.Context) (cosblob.Snapshot, error) {
	s, err := r.federated.Get(ctx)
	r.federated.Expired(s.SecretID())
	return s, err
}
