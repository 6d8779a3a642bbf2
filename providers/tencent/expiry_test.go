package tencent_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/vault"
)

// A session is a tenant whose keys the server makes expire.
type session struct {
	*vault.Vault
	s         *costest.Server
	exchanges atomic.Int32
	reads     atomic.Int32 // number of reads of the token
	broken    atomic.Bool  // the token source returns errors
}

func newSession(t *testing.T, code string) *session {
	t.Helper()
	s := &session{s: newServer(t, &costest.Options{Unsure: map[string]string{"expired-token": code}})}
	issuer := newIssuer(t, s.s)
	arn := addRole(t, s.s, issuer, "vault", `{"version":"2.0","statement":[{"effect":"allow","action":["name/cos:*"],"resource":["*"]}]}`)
	c := config(s.s, nil)
	c.Identity = federation.NewProvider(&tokens{s, issuer}, newExchanger(t, s.s, arn), &federation.Options{
		Observe: func(federation.Token, federation.Credentials) { s.exchanges.Add(1) },
	})
	s.Vault = newVault(t, open(t, c), "acme")
	return s
}

type tokens struct {
	s      *session
	issuer *testcloud.Issuer
}

func (o *tokens) Token(context.Context) (federation.Token, error) {
	o.s.reads.Add(1)
	if o.s.broken.Load() {
		return federation.Token{}, fmt.Errorf("%w: the broker refused the session", federation.ErrRefused)
	}
	return federation.ParseToken(o.issuer.Mint(testcloud.Claims{Subject: subject, Audience: audience}))
}

// TestExpiryMidway makes the keys expire between the pages of a list, between the parts of an
// upload, before its complete, and between the requests of an interrupted download. The operation
// continues after one exchange of a new token. Without a token, it returns that error.
func TestExpiryMidway(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(t *testing.T, s *session)
		expire  func(s *session)
		do      func(t *testing.T, s *session) error
	}{
		{"list", func(t *testing.T, s *session) {
			for i := range 1100 {
				key := fmt.Sprintf("bots/acme/credentials/%04d.enc", i)
				if _, err := ownerClient(t, s.s).Object.Put(t.Context(), key, strings.NewReader("x"), nil); err != nil {
					t.Fatal(err)
				}
			}
		}, func(s *session) { s.s.ExpireKeyAfter(1) }, func(t *testing.T, s *session) error {
			n := 0
			for _, err := range s.List(t.Context(), nil) {
				if err != nil {
					return err
				}
				n++
			}
			if n != 1100 {
				t.Errorf("listed %d names, want 1100", n)
			}
			return nil
		}},
		{"upload, expiry between parts", nil, func(s *session) { s.s.ExpireKeyAfter(2) }, upload},
		{"upload, expiry before complete", nil, func(s *session) { s.s.ExpireKeyAfter(4) }, upload},
		{"download", func(t *testing.T, s *session) {
			if err := upload(t, s); err != nil {
				t.Fatal(err)
			}
		}, func(s *session) {
			s.s.SetRule(once("GetObject", costest.CutBody(5<<20)))
			s.s.ExpireKeyAfter(1)
		}, func(t *testing.T, s *session) error { return s.compare(t) }},
	} {
		for _, code := range []string{"ExpiredToken", "InvalidAccessKeyId"} {
			t.Run(tc.name+"/"+code, func(t *testing.T) {
				t.Parallel()
				s := newSession(t, code)
				if tc.prepare != nil {
					tc.prepare(t, s)
				}
				if _, err := s.Stat(t.Context(), "warm"); !errors.Is(err, vault.ErrNotFound) { // gets the first keys
					t.Fatal(err)
				}
				before := s.exchanges.Load()
				tc.expire(s)
				if err := tc.do(t, s); err != nil {
					t.Errorf("with a new token: %v", err)
				}
				if e, r := s.exchanges.Load()-before, s.reads.Load(); e != 1 || r != before+1 {
					t.Errorf("%d exchanges and %d reads of the token, want one more exchange and %d reads", e, r, before+1)
				}

				s.s.SetRule(nil)
				tc.expire(s)
				s.broken.Store(true)
				reads := s.reads.Load()
				err := tc.do(t, s)
				var cause *vault.Cause
				if !errors.Is(err, vault.ErrUnauthenticated) || !errors.As(err, &cause) || cause.Reason == vault.ReasonUnknown {
					t.Errorf("without a token: %v, want %v with a reason", err, vault.ErrUnauthenticated)
				}
				if n := s.reads.Load() - reads; n < 1 || n > 8 { // each part may read a token
					t.Errorf("%d tokens were requested, want 1 to 8", n)
				}
				if tc.name != "list" && tc.name != "download" { // the upload that succeeded
					s.broken.Store(false)
					if err := s.compare(t); err != nil {
						t.Errorf("the previous object: %v", err)
					}
					// Without a key, the second upload cannot be aborted. The lifecycle rule from
					// package policy removes it.
					for _, u := range s.s.Uploads(s.s.Bucket()) {
						if _, err := ownerClient(t, s.s).Object.AbortMultipartUpload(t.Context(), u.Key, u.ID); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
	}
}

// upload puts a value in three parts.
func upload(t *testing.T, s *session) error {
	_, err := s.Put(t.Context(), "large", noise(3, 20<<20), nil)
	return err
}

// compare reads the value and compares it.
func (s *session) compare(t *testing.T) error {
	r, err := s.Get(t.Context(), "large", nil)
	if err != nil {
		return err
	}
	defer r.Close()
	got, want := sha256.New(), sha256.New()
	if _, err := io.Copy(got, r); err != nil {
		return err
	}
	io.Copy(want, noise(3, 20<<20))
	if string(got.Sum(nil)) != string(want.Sum(nil)) {
		t.Error("the object has another value")
	}
	return nil
}

// once returns a rule that injects a fault into the first request of an action.
func once(action string, f *costest.Fault) func(*costest.Request) *costest.Fault {
	var done atomic.Bool
	return func(r *costest.Request) *costest.Fault {
		if r.Action == action && done.CompareAndSwap(false, true) {
			return f
		}
		return nil
	}
}

// TestDeniedNearExpiry: a login has 10 minutes left and there is no source of tokens. A request that is
// denied for another reason fails with the denial, and the credentials stay in use.
func TestDeniedNearExpiry(t *testing.T) {
	s := newServer(t, nil)
	issuer := newIssuer(t, s)
	login := exchanged(t, s, issuer, "vault", `{"version":"2.0","statement":[{"effect":"allow",
		"action":["name/cos:GetObject","name/cos:PutObject"],"resource":["qcs::cos:ap-guangzhou:uid/1250000000:`+s.Bucket()+`/bots/acme/*"]}]}`)
	login.Expires = time.Now().Add(10 * time.Minute)
	c := config(s, nil)
	c.Identity = federation.NewProvider(noSource{federation.ErrTokenInvalid}, newExchanger(t, s, "qcs::cam::uin/100000000001:roleName/vault"), &federation.Options{Cached: &login})
	st := open(t, c) // reading the versioning is denied
	v := newVault(t, st, "acme")
	if _, err := v.Put(t.Context(), "name", strings.NewReader("value"), nil); err != nil {
		t.Errorf("put: %v", err)
	}
	if _, err := v.Put(t.Context(), "name", strings.NewReader("value"), &vault.PutOptions{Create: true}); !errors.Is(err, vault.ErrPermission) {
		t.Errorf("create without permission to read the versioning: %v, want %v", err, vault.ErrPermission)
	}
	if _, err := v.Stat(t.Context(), "name"); err != nil {
		t.Errorf("stat: %v", err)
	}
}
