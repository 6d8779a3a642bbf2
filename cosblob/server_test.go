package cosblob_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
)

func newServer(t *testing.T, o *costest.Options) *costest.Server {
	t.Helper()
	s, err := costest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left := s.Uploads(s.Bucket()); len(left) != 0 {
			t.Errorf("uploads remain: %v", left)
		}
		s.Close()
	})
	return s
}

func owner(s *costest.Server) cosblob.Credentials {
	return cosblob.Static(s.SecretID(), s.SecretKey(), "")
}

func open(t *testing.T, s *costest.Server, c cosblob.Credentials) *blob.Bucket {
	t.Helper()
	return openVia(t, s, c, s.Client().Transport)
}

func openVia(t *testing.T, s *costest.Server, c cosblob.Credentials, via http.RoundTripper) *blob.Bucket {
	t.Helper()
	client, err := cosblob.NewClient(s.Bucket(), s.Region(), c, &cosblob.ClientOptions{Endpoint: s.BucketURL(s.Bucket()), Transport: via})
	if err != nil {
		t.Fatal(err)
	}
	b, err := cosblob.OpenBucket(t.Context(), client, s.Bucket(), &cosblob.Options{Credentials: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// A roundTrip is a transport that a test inserts before the transport of the server.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// noise returns size bytes that depend on seed.
func noise(seed uint64, size int) []byte {
	p := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(p)
	return p
}

const mib = 1 << 20

// inParts makes a write of more than 1 MiB a multipart upload with parts of 1 MiB, the minimum of
// COS.
func inParts(o blob.WriterOptions) *blob.WriterOptions {
	o.BufferSize, o.ContentType = mib, "application/octet-stream"
	return &o
}

func mustWrite(t *testing.T, b *blob.Bucket, key string, data []byte) {
	t.Helper()
	if err := b.WriteAll(t.Context(), key, data, inParts(blob.WriterOptions{})); err != nil {
		t.Fatal(err)
	}
}

// wantObject checks the object at key. Nil means that it must not exist.
func wantObject(t *testing.T, b *blob.Bucket, key string, want []byte) {
	t.Helper()
	exists, err := b.Exists(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if !exists {
		if want != nil {
			t.Errorf("%q does not exist", key)
		}
		return
	}
	got, err := b.ReadAll(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if want == nil || !bytes.Equal(got, want) {
		t.Errorf("%q contains other bytes, or should not exist", key)
	}
}

// once injects a fault into the first request for which hit returns true. done is then set.
func once(s *costest.Server, f *costest.Fault, hit func(*costest.Request) bool) (done *atomic.Bool) {
	done = new(atomic.Bool)
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if hit(r) && done.CompareAndSwap(false, true) {
			return f
		}
		return nil
	})
	return done
}

func action(name string) func(*costest.Request) bool {
	return func(r *costest.Request) bool { return r.Action == name }
}

// count returns the number of requests with an action.
func count(s *costest.Server, action string) (n int) {
	for _, r := range s.Requests() {
		if r.Action == action {
			n++
		}
	}
	return n
}

func internalError() string {
	return costest.ErrorXML("InternalError", "We encountered an internal error. Please try again.")
}

// federated supplies temporary credentials, and renews them when the service reports that they have
// expired.
type federated struct {
	life   time.Duration // the remaining validity of a key that the client receives
	noMore bool          // Renew gets no other key
	s      *costest.Server

	mu        sync.Mutex
	current   cosblob.Snapshot
	exchanges int
	renewals  int // calls of Renew that would have exchanged a token
}

func (f *federated) Get(ctx context.Context) (cosblob.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current.SecretID() != "" {
		return f.current, nil
	}
	return f.exchange()
}

func (f *federated) exchange() (cosblob.Snapshot, error) {
	var answer struct {
		Response struct {
			Credentials struct{ Token, TmpSecretId, TmpSecretKey string }
			Error       *struct{ Code, Message string }
		}
	}
	policy := `{"version":"2.0","statement":[{"effect":"allow","action":["name/cos:*"],"resource":["*"]}]}`
	if err := callSTS(f.s, "GetFederationToken", map[string]any{"Name": "test", "Policy": url.PathEscape(policy)}, &answer); err != nil {
		return cosblob.Snapshot{}, err
	}
	if e := answer.Response.Error; e != nil {
		return cosblob.Snapshot{}, fmt.Errorf("%s: %s", e.Code, e.Message)
	}
	c := answer.Response.Credentials
	f.exchanges++
	f.current = cosblob.NewSnapshot(c.TmpSecretId, c.TmpSecretKey, c.Token).Until(time.Now().Add(f.life))
	return f.current, nil
}

func (f *federated) Expired(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current.SecretID() == id {
		f.current = cosblob.Snapshot{}
	}
}

func (f *federated) Renew(_ context.Context, id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current.SecretID() != id {
		return true
	}
	f.renewals++
	if f.noMore {
		return false
	}
	_, err := f.exchange()
	return err == nil
}

// callSTS signs with TC3-HMAC-SHA256.
func callSTS(s *costest.Server, action string, request, response any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	const host, kind = "sts.tencentcloudapi.com", "application/json"
	date := time.Now()
	day, stamp := date.UTC().Format(time.DateOnly), strconv.FormatInt(date.Unix(), 10)
	sum := func(b string) string { h := sha256.Sum256([]byte(b)); return hex.EncodeToString(h[:]) }
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		io.WriteString(h, text)
		return h.Sum(nil)
	}
	scope := day + "/sts/tc3_request"
	canonical := "POST\n/\n\ncontent-type:" + kind + "\nhost:" + host + "\n\ncontent-type;host\n" + sum(string(body))
	key := mac(mac(mac([]byte("TC3"+s.SecretKey()), day), "sts"), "tc3_request")
	signature := mac(key, "TC3-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+sum(canonical))
	r, err := http.NewRequest(http.MethodPost, "http://"+host+"/", strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	r.Header = http.Header{
		"Content-Type": {kind}, "X-Tc-Action": {action}, "X-Tc-Version": {"2018-08-13"}, "X-Tc-Timestamp": {stamp}, "X-Tc-Region": {s.Region()},
		"Authorization": {fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s, SignedHeaders=content-type;host, Signature=%x", s.SecretID(), scope, signature)},
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(response)
}
