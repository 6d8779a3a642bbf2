package cosblob_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
)

// TestPrefixOfEscape: a list contains keys with its prefix, not keys of which only the escaped name
// has the prefix.
func TestPrefixOfEscape(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	for _, key := range []string{"a\x01b", "a_b", "a__0c"} {
		mustWrite(t, b, key, []byte("value"))
	}
	for prefix, want := range map[string]int{"a": 3, "a_": 2, "a__0": 1, "a\x01": 1} {
		n := 0
		for i := b.List(&blob.ListOptions{Prefix: prefix}); ; n++ {
			if _, err := i.Next(t.Context()); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if n != want {
			t.Errorf("%d keys have the prefix %q, want %d", n, prefix, want)
		}
	}
}

// TestLateRefusal: a create that is refused in the body of a 200 fails, even if the existing object
// is identical.
func TestLateRefusal(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	b := open(t, s, owner(s))
	value := noise(1, 2*mib)
	mustWrite(t, b, "key", value)
	// The bucket does not check at the start of an upload.
	s.SetRule(func(r *costest.Request) *costest.Fault {
		switch r.Action {
		case "CompleteMultipartUpload":
			return costest.LateError("FileAlreadyExists", "The object you specified already exists.")
		case "AbortMultipartUpload":
			return costest.ApplyThen(404, costest.ErrorXML("NoSuchUpload", "gone"))
		}
		return nil
	})
	if err := b.WriteAll(t.Context(), "key", value, inParts(blob.WriterOptions{})); err == nil {
		t.Error("the write returned no error")
	}
}

// TestDocumentedHost: the name of the source of a copy contains the documented host, even if the
// client uses another host.
func TestDocumentedHost(t *testing.T) {
	s := newServer(t, nil)
	const documented = "vault-1250000000.cos.ap-guangzhou.myqcloud.com/there"
	for endpoint, region := range map[string]string{
		"http://vault-1250000000.cos-internal.ap-guangzhou.tencentcos.cn": "",
		"http://vault-1250000000.cos.ap-guangzhou.tencentcos.cn":          "",
		"http://vault-1250000000.cos.accelerate.myqcloud.com":             "ap-guangzhou",
		"http://keys.example.com":                                         "ap-guangzhou",
	} {
		var source string
		via := roundTrip(func(r *http.Request) (*http.Response, error) {
			if h := r.Header.Get("X-Cos-Copy-Source"); h != "" {
				source = h
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<CopyObjectResult/>"))}, nil
			}
			return &http.Response{StatusCode: 200, Header: http.Header{"Etag": {`"1"`}, "Content-Length": {"1"}}, ContentLength: 1, Body: http.NoBody}, nil
		})
		client, err := cosblob.NewClient(s.Bucket(), s.Region(), owner(s), &cosblob.ClientOptions{Endpoint: endpoint, Transport: via})
		if err != nil {
			t.Fatal(err)
		}
		b, err := cosblob.OpenBucket(t.Context(), client, s.Bucket(), &cosblob.Options{Region: region})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if err := b.Copy(t.Context(), "copy", "there", nil); err != nil || source != documented {
			t.Errorf("%s: the source is %q, want %q; %v", endpoint, source, documented, err)
		}
	}
}
