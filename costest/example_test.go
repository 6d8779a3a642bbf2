package costest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

func Example() {
	s, err := costest.New(&costest.Options{SecretID: "AKIDEXAMPLE", SecretKey: "example"})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	u, _ := url.Parse(s.BucketURL(s.Bucket()))
	client := cos.NewClient(&cos.BaseURL{BucketURL: u}, &http.Client{Transport: &cos.AuthorizationTransport{
		SecretID: s.SecretID(), SecretKey: s.SecretKey(), Transport: s.Client().Transport,
	}})
	client.Conf.RetryOpt.Count = 1

	ctx := context.Background()
	_, err = client.Object.Put(ctx, "bots/0xabc/openai", strings.NewReader("v"), nil)
	fmt.Println("put:", err)

	// The response to the next put is lost, but the object is stored.
	s.SetRule(func(r *costest.Request) *costest.Fault {
		if r.Action == "PutObject" {
			return costest.ApplyThen(http.StatusInternalServerError, costest.ErrorXML("InternalError", "try again"))
		}
		return nil
	})
	_, err = client.Object.Put(ctx, "bots/0xabc/lost", strings.NewReader("v"), nil)
	var refused *cos.ErrorResponse
	fmt.Println("put:", errors.As(err, &refused), refused.Code)
	_, err = client.Object.Head(ctx, "bots/0xabc/lost", nil)
	fmt.Println("head:", err)

	for _, r := range s.Requests() {
		fmt.Println(r)
	}
	// Output:
	// put: <nil>
	// put: true InternalError
	// head: <nil>
	// PUT /bots%2F0xabc%2Fopenai 200
	// PUT /bots%2F0xabc%2Flost 500
	// HEAD /bots%2F0xabc%2Flost 200
}
