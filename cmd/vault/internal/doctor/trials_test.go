package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

// A trier is a cloud that returns an error for each trial.
type trier struct {
	set
	unsigned, uploads, abort, ownAbort error
}

func (t trier) TryUnsigned(context.Context, string) error { return t.unsigned }

func (t trier) TryUploads(context.Context, string) error { return t.uploads }

func (t trier) TryAbort(_ context.Context, key string) error {
	if strings.HasPrefix(key, "bots/acme/") {
		return t.ownAbort
	}
	return t.abort
}

// TestTrials: only a denial is ok. A request that was not sent proves nothing.
func TestTrials(t *testing.T) {
	away := errors.New("connection refused")
	keyless := fmt.Errorf("no signature: %w", vault.ErrUnauthenticated)
	for _, tc := range []struct {
		name   string
		cloud  vault.Cloud
		hands  string
		denied rule
		want   [3]doctor.Status // unsigned, uploads, abort; empty: no result
	}{
		{"all is denied", trier{unsigned: errDenied, uploads: errDenied, abort: errDenied}, "", own("acme"), [3]doctor.Status{doctor.OK, doctor.OK, doctor.OK}},
		{"denied in another way", trier{unsigned: keyless, uploads: errDenied, abort: errDenied}, "", own("acme"), [3]doctor.Status{doctor.OK, doctor.OK, doctor.OK}},
		{"all is allowed", trier{}, "", own("acme"), [3]doctor.Status{doctor.Broken, doctor.Broken, doctor.NotProven}},
		{"no server responds", trier{unsigned: away, uploads: away, abort: away}, "", own("acme"), [3]doctor.Status{doctor.NotProven, doctor.NotProven, doctor.NotProven}},
		{"abort is denied everywhere", trier{unsigned: errDenied, uploads: errDenied, abort: errDenied, ownAbort: errDenied}, "", own("acme"), [3]doctor.Status{doctor.OK, doctor.OK, doctor.NotProven}},
		{"nothing is written", trier{unsigned: errDenied, uploads: errDenied, abort: errDenied}, "read-only", own("acme"), [3]doctor.Status{doctor.Skipped, doctor.OK, doctor.Skipped}},
		{"nothing can be put", trier{unsigned: errDenied, uploads: errDenied, abort: errDenied}, "", own("acme2"), [3]doctor.Status{doctor.NotProven, doctor.OK, doctor.OK}},
		{"a cloud that does not try", set{}, "", own("acme"), [3]doctor.Status{doctor.NotProven, doctor.NotProven, doctor.NotProven}},
		{"no cloud", nil, "", own("acme"), [3]doctor.Status{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCloud(t)
			p := &doctor.Options{Store: c.as(t, tc.denied.unless(purging("acme"))), Isolated: true, Quick: true, Cloud: tc.cloud, NoWrites: tc.hands}
			lines := examine(t, t.Context(), p)
			check(t, lines, map[string]doctor.Status{"isolation-unsigned": tc.want[0], "isolation-uploads": tc.want[1], "isolation-abort": tc.want[2]})
			if want := map[bool]doctor.Status{true: doctor.NotProven}[tc.cloud != nil]; lines["isolation-policy"].Status != want {
				t.Errorf("the bucket's policy: %q, want %q", lines["isolation-policy"].Status, want)
			}
			c.untouched(t, true)
		})
	}
}

// TestRGWTrials: a real server denies a tenant all of these requests, or a role with too many
// permissions gets a response.
func TestRGWTrials(t *testing.T) {
	if testing.Short() {
		t.Skip("it asks one thing after the other")
	}
	t.Parallel()
	w := newWard(t, false)
	p := w.patient(t)
	p.Other, p.Cloud = nil, p.Store.Cloud
	check(t, examine(t, t.Context(), p), all(doctor.OK, "isolation-unsigned", "isolation-uploads", "isolation-abort"))

	// The bucket policy makes the objects public.
	public := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::%s/*"]}]}`, w.bucket)
	if err := w.PutBucketPolicy(t.Context(), w.bucket, public); err != nil {
		t.Fatal(err)
	}
	check(t, examine(t, t.Context(), p), all(doctor.Broken, "isolation-unsigned"))

	w = newWard(t, false, "s3:ListBucketMultipartUploads", "s3:AbortMultipartUpload")
	p = w.patient(t)
	p.Other, p.Cloud = nil, p.Store.Cloud
	lines := examine(t, t.Context(), p)
	check(t, lines, map[string]doctor.Status{"isolation-unsigned": doctor.OK, "isolation-uploads": doctor.Broken, "isolation-abort": doctor.NotProven})
	if got := lines["isolation-abort"].Message; !strings.Contains(got, "not denied") {
		t.Errorf("isolation-abort: %s", got)
	}
}

// TestCOSTrials runs the same requests on COS as the owner, who has every permission.
func TestCOSTrials(t *testing.T) {
	t.Parallel()
	s := newCOS(t, &costest.Options{})
	store, err := tencent.Open(t.Context(), tencent.Config{
		Bucket: s.Bucket(), Region: s.Region(), Endpoint: s.URL(), Static: cosblob.Static(s.SecretID(), s.SecretKey(), ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	p := &doctor.Options{Store: store, Cloud: store.Cloud, Isolated: true, Quick: true}
	lines := examine(t, t.Context(), p)
	check(t, lines, map[string]doctor.Status{"isolation-unsigned": doctor.OK, "isolation-uploads": doctor.Broken, "isolation-abort": doctor.NotProven})
	if got := lines["isolation-abort"].Message; !strings.Contains(got, "not denied") {
		t.Errorf("isolation-abort: %s", got)
	}
	if _, err := ownersClient(t, s).PutACL(t.Context(), &cos.BucketPutACLOptions{Header: &cos.ACLHeaderOptions{XCosACL: "public-read"}}); err != nil {
		t.Fatal(err)
	}
	check(t, examine(t, t.Context(), p), all(doctor.Broken, "isolation-unsigned"))

	if other, err := tencent.Open(t.Context(), tencent.Config{
		Bucket: s.Bucket(), Region: s.Region(), Endpoint: s.URL(), Static: cosblob.Static("AKIDnobody", "wrong", ""),
	}); err == nil {
		defer other.Close()
		trier := other.Cloud.(vault.CloudTrier)
		for name, err := range map[string]error{"uploads": trier.TryUploads(t.Context(), "bots/x/"), "abort": trier.TryAbort(t.Context(), "bots/x/y")} {
			if err == nil || errors.Is(err, vault.ErrPermission) {
				t.Errorf("%s with unknown keys: %v", name, err)
			}
		}
	}
}
