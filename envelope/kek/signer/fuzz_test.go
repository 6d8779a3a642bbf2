package signer_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek/signer"
)

// A response gives a root only with a valid signature, in its one normal form.
func FuzzSigned(f *testing.F) {
	all := vectors(f)
	for _, v := range all {
		f.Add([]byte(v.response()))
	}
	f.Add([]byte(`{"signature":"0x00","address":"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a","key_version":-1}`))
	hash := signer.Digest(all[0].Text)
	f.Fuzz(func(t *testing.T, body []byte) {
		claimed, from, root, err := signer.ParseSigned(bytes.Clone(body), hash)
		if err != nil {
			if root != nil || !errors.Is(err, envelope.ErrUnavailable) {
				t.Fatalf("%x, %v", root, err)
			}
			return
		}
		if len(root) != 64 || len(claimed) != 42 || len(from) != 42 || root[32] >= 0x80 {
			t.Fatalf("%s, %s, %x", claimed, from, root)
		}
		// The normal form is a signature of the same hash, and its own normal form.
		if again := signer.RootOf(root); !bytes.Equal(again, root) {
			t.Fatalf("%x, %x", again, root)
		}
		if _, err := signer.RecoverAddress(hash, root, from); err != nil {
			t.Fatal(err)
		}
	})
}

// Whatever a server returns, Unwrap returns the data key of the vector or one of the errors of its
// contract, without a part of the response.
func FuzzResponse(f *testing.F) {
	v := vectors(f)[0]
	f.Add(200, "application/json", []byte(v.response()))
	f.Add(200, "text/html", []byte("<title>x</title>"))
	f.Add(401, "application/json", []byte(`{"error":"unauthorized","message":"m"}`))
	f.Add(400, "application/json", []byte(`{"error":"invalid_omni_account"}`))
	f.Add(403, "", []byte(nil))
	f.Add(302, "a/b;c", []byte(`{"error":1}`))
	ref, st, aad := v.ref(), v.stanza(f), v.aad(f)
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		if status < 200 || status >= 500 { // the others are tried again, after a pause
			return
		}
		c := signer.Config{URL: "https://signer.example", Omni: omni, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
		})}
		s, err := signer.New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		dek, err := s.Unwrap(context.Background(), ref, st, aad)
		switch {
		case err == nil && hex.EncodeToString(dek) == v.DEK:
		case err != nil && dek == nil && (errors.Is(err, envelope.ErrUnavailable) || errors.Is(err, envelope.ErrUnauthenticated) ||
			errors.Is(err, envelope.ErrUnknownKey) || errors.Is(err, envelope.ErrInvalid) || errors.Is(err, envelope.ErrDenied)):
		default:
			t.Fatalf("%x, %v", dek, err)
		}
	})
}

// A record that Check accepts is accepted by New, and is the same after a round trip.
func FuzzEnrolment(f *testing.F) {
	f.Add([]byte(`{"address":"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a","key_version":1,"epoch":1}`))
	f.Add([]byte(`{"address":"0x19E7","key_version":-1,"epoch":0}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e signer.Enrolment
		if json.Unmarshal(b, &e) != nil {
			return
		}
		_, err := signer.New(signer.Config{URL: "https://signer.example", Omni: omni, Enrolment: &e})
		if checked := e.Check(); (checked == nil) != (err == nil) || err != nil && !errors.Is(err, envelope.ErrInvalid) {
			t.Fatalf("%v, %v", checked, err)
		} else if err != nil {
			return
		}
		text, err := json.Marshal(e)
		var again signer.Enrolment
		if err != nil || json.Unmarshal(text, &again) != nil || again != e {
			t.Fatalf("%s, %+v, %v", text, again, err)
		}
	})
}
