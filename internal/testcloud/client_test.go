package testcloud_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/internal/transport"
)

// A lateConn delays the return of the write that ends a request until the client reads the
// response. This happens sometimes on a busy machine.
type lateConn struct {
	net.Conn
	end    string // the last bytes of the request
	mu     sync.Mutex
	got    string
	headed chan struct{} // closed when the client reads the body of the response
}

func (c *lateConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if strings.HasSuffix(string(p), c.end) {
		<-c.headed
	}
	return n, err
}

func (c *lateConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	if strings.Contains(c.got, "\r\n\r\n") {
		close(c.headed)
		c.got = ""
	}
	c.mu.Unlock()
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	c.got += string(p[:n])
	c.mu.Unlock()
	return n, err
}

// Each client reads the complete response even if the response arrives before the last write of the
// request has returned.
func TestResponseBeforeWriteEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		response, end string
		do            func(ctx context.Context, url string, hold func(client any)) error
	}{
		"s3": {"<DeleteResult></DeleteResult>", "</Delete>", func(ctx context.Context, url string, hold func(any)) error {
			c := testcloud.S3Client(url, testcloud.Keys{AccessKeyID: "id", SecretKey: "key"}, func(o *s3.Options) { o.RetryMaxAttempts = 1 })
			hold(c.Options().HTTPClient)
			_, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: aws.String("b"), Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("k")}}}})
			return err
		}},
		"sts": {"<R><AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResult></R>", "WebIdentityToken=end", func(ctx context.Context, url string, hold func(any)) error {
			c := testcloud.STSClient(url, func(o *sts.Options) { o.RetryMaxAttempts = 1 })
			hold(c.Options().HTTPClient)
			_, err := c.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: aws.String("r"), RoleSessionName: aws.String("s"), WebIdentityToken: aws.String("end")})
			return err
		}},
		"iam": {"<R><GetRoleResult></GetRoleResult></R>", "Version=2010-05-08", func(ctx context.Context, url string, hold func(any)) error {
			c := (&testcloud.RGW{URL: url, Owner: testcloud.Keys{AccessKeyID: "id", SecretKey: "key"}}).IAM()
			hold(c.Options().HTTPClient)
			_, err := c.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("r")}, func(o *iam.Options) { o.RetryMaxAttempts = 1 })
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			wrote := make(chan struct{})
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				io.Copy(io.Discard, r.Body)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n")
				<-wrote
				io.WriteString(c, tc.response)
			}()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(i httptrace.WroteRequestInfo) {
				if i.Err != nil {
					t.Errorf("the request was written: %v", i.Err)
				}
				close(wrote)
			}})
			err = tc.do(ctx, "http://"+l.Addr().String(), func(client any) {
				base := client.(*http.Client).Transport.(transport.Bodies).Base.(*http.Transport)
				base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := new(net.Dialer).DialContext(ctx, network, addr)
					return &lateConn{Conn: c, end: tc.end, headed: make(chan struct{})}, err
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
