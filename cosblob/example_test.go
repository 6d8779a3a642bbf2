package cosblob_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/costest"
)

// Open a bucket of a test server, create an object and read it back.
func ExampleOpenBucket() {
	ctx := context.Background()
	s, err := costest.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	keys := cosblob.Static(s.SecretID(), s.SecretKey(), "")
	client, err := cosblob.NewClient("vault-1250000000", "ap-guangzhou", keys, &cosblob.ClientOptions{
		Transport: s.Client().Transport, // leave this out, and it is the real service
		Endpoint:  s.BucketURL("vault-1250000000"),
	})
	if err != nil {
		log.Fatal(err)
	}
	bucket, err := cosblob.OpenBucket(ctx, client, "vault-1250000000", &cosblob.Options{Credentials: keys})
	if err != nil {
		log.Fatal(err)
	}
	defer bucket.Close()

	create := &blob.WriterOptions{IfNotExist: true, Metadata: map[string]string{"made_by": "example"}}
	fmt.Println(bucket.WriteAll(ctx, "notes/1.txt", []byte("hello"), create))
	fmt.Println(gcerrors.Code(bucket.WriteAll(ctx, "notes/1.txt", []byte("again"), create)))
	text, err := bucket.ReadAll(ctx, "notes/1.txt")
	fmt.Println(string(text), err)
	// Output:
	// <nil>
	// FailedPrecondition
	// hello <nil>
}

// Open a bucket by its URL, with the keys from environment variables.
func Example_url() {
	bucket, err := blob.OpenBucket(context.Background(), "cos://vault-1250000000?region=ap-guangzhou")
	if err != nil {
		log.Fatal(err)
	}
	defer bucket.Close()
	var client *cos.Client
	fmt.Println(bucket.As(&client), client.BaseURL.BucketURL)
	// Output: true https://vault-1250000000.cos.ap-guangzhou.myqcloud.com
}

// Set options of the SDK that gocloud.dev does not have, and get the ID of the new version.
func ExampleWritten() {
	s, err := costest.New(&costest.Options{Versioning: "Enabled"})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	client, err := cosblob.NewClient(s.Bucket(), s.Region(), cosblob.Static(s.SecretID(), s.SecretKey(), ""), &cosblob.ClientOptions{
		Transport: s.Client().Transport,
		Endpoint:  s.BucketURL(s.Bucket()),
	})
	if err != nil {
		log.Fatal(err)
	}
	bucket, err := cosblob.OpenBucket(context.Background(), client, s.Bucket(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer bucket.Close()
	var written *cosblob.Written
	err = bucket.WriteAll(context.Background(), "key", []byte("text"), &blob.WriterOptions{BeforeWrite: func(as func(any) bool) error {
		var put *cos.ObjectPutOptions
		if as(&put) {
			put.XCosStorageClass = "STANDARD_IA"
			put.XOptionHeader.Set("x-cos-tagging", "team=red")
		}
		as(&written)
		return nil
	}})
	fmt.Println(written.VersionID != "", err)
	// Output: true <nil>
}

// Sign a URL. For a limited time, a client without keys can use it to upload plain text.
func ExampleNewClient_signedURL() {
	s, err := costest.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	keys := cosblob.Static(s.SecretID(), s.SecretKey(), "")
	client, err := cosblob.NewClient(s.Bucket(), s.Region(), keys, &cosblob.ClientOptions{
		Transport: s.Client().Transport,
		Endpoint:  s.BucketURL(s.Bucket()),
	})
	if err != nil {
		log.Fatal(err)
	}
	bucket, err := cosblob.OpenBucket(context.Background(), client, s.Bucket(), &cosblob.Options{Credentials: keys})
	if err != nil {
		log.Fatal(err)
	}
	defer bucket.Close()
	u, err := bucket.SignedURL(context.Background(), "key", &blob.SignedURLOptions{Method: http.MethodPut, ContentType: "text/plain"})
	if err != nil {
		log.Fatal(err)
	}
	for _, kind := range []string{"text/plain", "text/html"} {
		r, err := http.NewRequest(http.MethodPut, u, nil)
		if err != nil {
			log.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		resp, err := s.Client().Do(r)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Println(kind, resp.StatusCode)
	}
	// Output:
	// text/plain 200
	// text/html 403
}
