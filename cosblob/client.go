package cosblob

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/internal/transport"
)

// ClientOptions configures [NewClient]. Nil, or the zero value, is ready to use.
type ClientOptions struct {
	// Endpoint is the URL of the bucket if it is not https://BUCKET.cos.REGION.myqcloud.com,
	// for example an internal host, an accelerated host or a test server.
	Endpoint string
	// Transport sends the signed requests. If it is nil, NewClient creates a transport. That
	// transport sets no time limit for a request that makes progress.
	Transport http.RoundTripper
	// Timeout is the longest time without progress on a connection of that transport. The
	// default is 30 seconds.
	Timeout time.Duration
	// Now returns the start time for the signatures of requests; nil means [time.Now].
	// Signatures of URLs always use the clock of the machine.
	Now func() time.Time
}

// NewClient returns a client of the SDK for one bucket. The client signs each request with a
// snapshot of c. It does not follow redirects, retry requests or compare checksums.
func NewClient(bucket, region string, c Credentials, o *ClientOptions) (*cos.Client, error) {
	if c == nil {
		return nil, errors.New("cosblob: credentials are required; use Static(\"\", \"\", \"\") for unsigned requests")
	}
	if o == nil {
		o = new(ClientOptions)
	}
	base, err := bucketURL(bucket, region, o.Endpoint)
	if err != nil {
		return nil, err
	}
	s := &signer{credentials: c, base: o.Transport, now: o.Now}
	if s.base == nil {
		s.base = transport.Failures{Base: transport.New(o.Timeout)}
	}
	if s.now == nil {
		s.now = time.Now
	}
	client := cos.NewClient(&cos.BaseURL{BucketURL: base}, &http.Client{Transport: s})
	disableSDKExtras(client.Conf)
	return client, nil
}

func bucketURL(bucket, region, endpoint string) (*url.URL, error) {
	if !bucketName.MatchString(bucket) {
		return nil, fmt.Errorf("cosblob: %q is not the name of a bucket such as vault-1250000000", bucket)
	}
	if endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
			u.Path != "" && u.Path != "/" || u.Scheme != "http" && u.Scheme != "https" {
			// The message does not contain the endpoint, because it may contain a password.
			return nil, errors.New("cosblob: the endpoint is not a URL such as https://vault-1250000000.cos-internal.ap-guangzhou.tencentcos.cn")
		}
		return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
	}
	if !regionName.MatchString(region) {
		return nil, fmt.Errorf("cosblob: %q is not a region such as ap-guangzhou", region)
	}
	return &url.URL{Scheme: "https", Host: bucket + ".cos." + region + ".myqcloud.com"}, nil
}
