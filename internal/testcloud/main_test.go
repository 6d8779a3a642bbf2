package testcloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// childVar is the variable that turns this binary into a process that starts both servers and waits
// until it is killed.
const childVar = "TESTCLOUD_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		child()
		return
	}
	os.Exit(testcloud.Main(m))
}

// A running is the child's description of its servers.
type running struct {
	PIDs []int
	URLs []string
}

func child() {
	ctx, cancel := newContext()
	defer cancel()
	r, err := testcloud.StartRGW(ctx, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	v, err := testcloud.StartVersity(ctx, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(running{append(r.PIDs(), v.PIDs()...), []string{r.URL, v.URL}})
	select {} // until the process is killed
}

func newContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 5*time.Minute)
}

func put(ctx context.Context, c *s3.Client, bucket, key, value string) error {
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(value)})
	return err
}

func get(ctx context.Context, c *s3.Client, bucket, key string) (string, error) {
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	return string(b), err
}

// status returns the HTTP status of an SDK error, or 0 if there is none.
func status(err error) int {
	if e := (*awshttp.ResponseError)(nil); errors.As(err, &e) {
		return e.HTTPStatusCode()
	}
	return 0
}
