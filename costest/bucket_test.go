package costest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

func TestBuckets(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, "second-1250000000")
	_, err := c.Bucket.Head(t.Context())
	wantCode(t, "head", err, "404")
	_, err = c.Bucket.Put(t.Context(), nil)
	check(t, err)
	_, err = c.Bucket.Put(t.Context(), nil)
	wantCode(t, "put again", err, "409 BucketAlreadyOwnedByYou")
	resp, err := c.Bucket.Head(t.Context())
	check(t, err)
	if got := resp.Header.Get("X-Cos-Bucket-Region"); got != "ap-guangzhou" {
		t.Errorf("region %q", got)
	}
	location, _, err := c.Bucket.GetLocation(t.Context())
	check(t, err)
	if location.Location != "ap-guangzhou" {
		t.Errorf("location %+v", location)
	}
	all, _, err := c.Service.Get(t.Context())
	check(t, err)
	var names []string
	for _, b := range all.Buckets {
		names = append(names, b.Name)
	}
	if !slices.Equal(names, []string{"second-1250000000", "vault-1250000000"}) {
		t.Errorf("buckets %q", names)
	}
	put(t, c, "k", "v")
	_, err = c.Bucket.Delete(t.Context())
	wantCode(t, "delete", err, "409 BucketNotEmpty")
	_, err = c.Object.Delete(t.Context(), "k")
	check(t, err)
	_, err = c.Bucket.Delete(t.Context())
	check(t, err)
	_, err = sdk(t, s, "alien-1250000001").Bucket.Put(t.Context(), nil)
	wantCode(t, "bucket of another account", err, "403 AccessDenied")
	req, err := http.NewRequestWithContext(t.Context(), "PUT", s.BucketURL("noappid")+"/", nil)
	check(t, err)
	owner(s)(req)
	if status, e := send(t, s, req); status != 400 || e.Code != "InvalidBucketName" {
		t.Errorf("no appid: %d %+v", status, e)
	}
	for _, name := range []string{"vault", "-a-1250000000", "A-1250000000", "more-than-a-host-can-1250000000", s.Bucket()} {
		if err := s.CreateBucket(name, ""); err == nil {
			t.Errorf("CreateBucket(%q) succeeded", name)
		}
	}
}

func TestLifecycle(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	_, _, err := c.Bucket.GetLifecycle(t.Context())
	wantCode(t, "none", err, "404 NoSuchLifecycleConfiguration")
	rule := cos.BucketLifecycleRule{
		ID: "expire", Status: "Enabled", Filter: &cos.BucketLifecycleFilter{Prefix: "bots/"},
		Expiration:                     &cos.BucketLifecycleExpiration{Days: 90},
		AbortIncompleteMultipartUpload: &cos.BucketLifecycleAbortIncompleteMultipartUpload{DaysAfterInitiation: 1},
	}
	_, err = c.Bucket.PutLifecycle(t.Context(), &cos.BucketPutLifecycleOptions{Rules: []cos.BucketLifecycleRule{rule}})
	check(t, err)
	got, _, err := c.Bucket.GetLifecycle(t.Context())
	check(t, err)
	if len(got.Rules) != 1 || got.Rules[0].Filter.Prefix != "bots/" || got.Rules[0].Expiration.Days != 90 {
		t.Errorf("%+v", got)
	}
	for what, doc := range map[string]string{
		"no rule":              "<LifecycleConfiguration></LifecycleConfiguration>",
		"no action":            "<LifecycleConfiguration><Rule><Status>Enabled</Status></Rule></LifecycleConfiguration>",
		"invalid status":       "<LifecycleConfiguration><Rule><Status>On</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>",
		"zero days":            "<LifecycleConfiguration><Rule><Status>Enabled</Status><Expiration><Days>0</Days></Expiration></Rule></LifecycleConfiguration>",
		"too many days":        "<LifecycleConfiguration><Rule><Status>Enabled</Status><Expiration><Days>3651</Days></Expiration></Rule></LifecycleConfiguration>",
		"days and date":        "<LifecycleConfiguration><Rule><Status>Enabled</Status><Expiration><Days>1</Days><Date>2030-01-01T00:00:00+08:00</Date></Expiration></Rule></LifecycleConfiguration>",
		"not XML":              "{}",
		"another root element": "<Lifecycle/>",
		"truncated":            "<LifecycleConfiguration><Rule>",
	} {
		status, _, body := do(t, s, "PUT", "/?lifecycle", doc, owner(s), "Content-MD5", contentMD5(doc))
		if status != 400 || !strings.Contains(body, "<Code>MalformedXML</Code>") {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	if status, _, body := do(t, s, "PUT", "/?lifecycle", "<LifecycleConfiguration/>", owner(s)); status != 400 || !strings.Contains(body, "<Code>InvalidRequest</Code>") {
		t.Errorf("without MD5: %d %s", status, body)
	}
	_, err = c.Bucket.DeleteLifecycle(t.Context())
	check(t, err)
	_, _, err = c.Bucket.GetLifecycle(t.Context())
	wantCode(t, "deleted", err, "404 NoSuchLifecycleConfiguration")
}

func TestTagging(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	put(t, c, "k", "v")
	_, _, err := c.Object.GetTagging(t.Context(), "k")
	wantCode(t, "none", err, "404 NoSuchTagSet")
	_, err = c.Object.PutTagging(t.Context(), "k", &cos.ObjectPutTaggingOptions{TagSet: []cos.ObjectTaggingTag{{Key: "a", Value: "b c"}}})
	check(t, err)
	got, _, err := c.Object.GetTagging(t.Context(), "k")
	check(t, err)
	if len(got.TagSet) != 1 || got.TagSet[0].Key != "a" || got.TagSet[0].Value != "b c" {
		t.Errorf("%+v", got)
	}
	for what, tags := range map[string][]cos.ObjectTaggingTag{
		"same key twice": {{Key: "a"}, {Key: "a"}}, "no key": {{Value: "v"}}, "invalid character": {{Key: "a?"}}, "long key": {{Key: strings.Repeat("k", 129)}},
		"eleven tags": {{Key: "1"}, {Key: "2"}, {Key: "3"}, {Key: "4"}, {Key: "5"}, {Key: "6"}, {Key: "7"}, {Key: "8"}, {Key: "9"}, {Key: "10"}, {Key: "11"}},
	} {
		_, err := c.Object.PutTagging(t.Context(), "k", &cos.ObjectPutTaggingOptions{TagSet: tags})
		wantCode(t, what, err, "400 InvalidTag")
	}
	_, err = c.Object.DeleteTagging(t.Context(), "k")
	check(t, err)
	_, _, err = c.Object.GetTagging(t.Context(), "k")
	wantCode(t, "deleted", err, "404 NoSuchTagSet")

	_, _, err = c.Bucket.GetTagging(t.Context())
	wantCode(t, "bucket: none", err, "404 NoSuchTagSet")
	_, err = c.Bucket.PutTagging(t.Context(), &cos.BucketPutTaggingOptions{TagSet: []cos.BucketTaggingTag{{Key: "a", Value: "b"}}})
	check(t, err)
	tags, _, err := c.Bucket.GetTagging(t.Context())
	check(t, err)
	if len(tags.TagSet) != 1 {
		t.Errorf("bucket: %+v", tags)
	}
	_, err = c.Bucket.DeleteTagging(t.Context())
	check(t, err)
}

// A public ACL makes an object or a bucket readable for every caller, regardless of role policies.
func TestACL(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	put(t, c, "closed", "v")
	put(t, c, "open", "v")
	_, err := c.Object.PutACL(t.Context(), "open", &cos.ObjectPutACLOptions{Header: &cos.ACLHeaderOptions{XCosACL: "public-read"}})
	check(t, err)
	got, _, err := c.Object.GetACL(t.Context(), "open")
	check(t, err)
	if len(got.AccessControlList) != 2 || got.AccessControlList[0].Permission != "READ" {
		t.Errorf("%+v", got)
	}
	anonymous := func(path string) int {
		t.Helper()
		status, _, _ := do(t, s, "GET", path, "", nil)
		return status
	}
	for path, want := range map[string]int{"/open": 200, "/closed": 403, "/": 403, "/open?response-content-type=a": 403} {
		if got := anonymous(path); got != want {
			t.Errorf("private bucket: %s: %d, want %d", path, got, want)
		}
	}
	check(t, func() error {
		_, err := c.Bucket.PutACL(t.Context(), &cos.BucketPutACLOptions{Header: &cos.ACLHeaderOptions{XCosACL: "public-read"}})
		return err
	}())
	_, err = c.Object.PutACL(t.Context(), "open", &cos.ObjectPutACLOptions{Header: &cos.ACLHeaderOptions{XCosACL: "private"}})
	check(t, err)
	for path, want := range map[string]int{"/open": 403, "/closed": 200, "/": 200} {
		if got := anonymous(path); got != want {
			t.Errorf("public bucket: %s: %d, want %d", path, got, want)
		}
	}
	if status, _, _ := do(t, s, "PUT", "/new", "v", nil); status != 403 {
		t.Errorf("anonymous put: %d", status)
	}
	acl, _, err := c.Bucket.GetACL(t.Context())
	check(t, err)
	_, err = c.Bucket.PutACL(t.Context(), &cos.BucketPutACLOptions{Body: (*cos.ACLXml)(acl)})
	check(t, err)
	if got := anonymous("/closed"); got != 200 {
		t.Errorf("anonymous get after the bucket's ACL was read and put again: %d", got)
	}
	for name, value := range map[string]string{"x-cos-acl": "everyone", "x-cos-grant-read": "100"} {
		if status, _, body := do(t, s, "PUT", "/?acl", "", owner(s), name, value); status != 400 {
			t.Errorf("%s %s: %d %s", name, value, status, body)
		}
	}
}

func TestPolicyDocument(t *testing.T) {
	for variant, want := range map[string]int{"404": 404, "empty": 204} {
		s := start(t, &costest.Options{Unsure: map[string]string{"policy-missing": variant}})
		if status, _, body := do(t, s, "GET", "/?policy", "", owner(s)); status != want {
			t.Errorf("none, %s: %d %s", variant, status, body)
		}
		const doc = `{"version":"2.0","statement":[{"effect":"deny","principal":{"qcs":["qcs::cam::anyone:anyone"]},"action":["name/cos:PutObject"],"resource":["qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/*"]}]}`
		if status, _, body := do(t, s, "PUT", "/?policy", doc, owner(s)); status != 204 {
			t.Errorf("put: %d %s", status, body)
		}
		if status, h, body := do(t, s, "GET", "/?policy", "", owner(s)); status != 200 || body != doc || h.Get("Content-Type") != "application/json" {
			t.Errorf("get: %d %s", status, body)
		}
		for range 2 {
			if status, _, _ := do(t, s, "DELETE", "/?policy", "", owner(s)); status != 204 {
				t.Errorf("delete: %d", status)
			}
		}
		long := strings.Repeat(" ", 20<<10) + doc
		if status, _, _ := do(t, s, "PUT", "/?policy", long, owner(s)); status != 400 {
			t.Errorf("too long: %d", status)
		}
	}
}

// Features of S3 that COS does not have, or that costest does not implement, must not be handled as
// a get or a put.
func TestNotImplemented(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	put(t, c, "k", "v")
	for _, tc := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/?list-type=2", 501}, {"GET", "/?cors", 501}, {"PUT", "/?website", 501}, {"PUT", "/?replication", 501},
		{"PUT", "/k?retention", 501}, {"GET", "/k?torrent", 501}, {"POST", "/k?restore", 501}, {"POST", "/k?append", 501},
		{"PUT", "/k?encryption", 501}, {"DELETE", "/k?acl", 501}, {"POST", "/k", 405}, {"POST", "/", 405}, {"PATCH", "/k", 405},
		{"PUT", "/k?partNumber=1", 400}, {"PUT", "/k?uploadId=1", 400}, {"PUT", "/k?acl&tagging", 501},
	} {
		if status, _, body := do(t, s, tc.method, tc.path, "", owner(s)); status != tc.status {
			t.Errorf("%s %s: %d, want %d %s", tc.method, tc.path, status, tc.status, body)
		}
	}
	wantValue(t, c, "k", "v")
}

func TestLengthRequired(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	id := initiate(t, c, "k")
	for path, want := range map[string]int{"/chunked": 200, "/k?partNumber=1&uploadId=" + id: 411} {
		req, err := http.NewRequestWithContext(t.Context(), "PUT", s.BucketURL(s.Bucket())+path, struct{ *strings.Reader }{strings.NewReader("value")})
		check(t, err)
		owner(s)(req)
		if status, e := send(t, s, req); status != want {
			t.Errorf("%s: %d %+v, want %d", path, status, e, want)
		}
	}
	wantValue(t, c, "chunked", "value")
}

func TestOptions(t *testing.T) {
	for _, o := range []costest.Options{
		{Addr: "0.0.0.0:0"}, {Addr: "nowhere"}, {SecretID: "a"}, {SecretKey: "b"}, {Bucket: "vault"}, {Versioning: "On"},
	} {
		if s, err := costest.New(&o); err == nil {
			s.Close()
			t.Errorf("the options %+v were accepted", o)
		}
	}
}
