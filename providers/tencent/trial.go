package tencent

import (
	"context"
	"encoding/xml"
	"io"
	"net/http"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/internal/transport"
)

// noUpload is the id of an upload that does not exist.
const noUpload = "1600000000aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// TryUnsigned makes a GET Object without a signature.
func (c *cloud) TryUnsigned(ctx context.Context, key string) error {
	base := transport.New(c.config.Timeout)
	defer base.CloseIdleConnections()
	u := *c.client.BaseURL.BucketURL
	u.Path = "/" + key
	return explained(c.try(ctx, reading, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return err
		}
		r.Header.Set("Range", "bytes=0-0")
		resp, err := noRedirects(base).Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if err := checkNamed(r, resp); err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil || resp.StatusCode/100 == 2 {
			return err
		}
		e := &cos.ErrorResponse{Response: resp}
		_ = xml.Unmarshal(text, e) // without a body there is the status
		return e
	}))
}

// TryUploads makes a List Multipart Uploads (436/7736).
func (c *cloud) TryUploads(ctx context.Context, prefix string) error {
	return explained(c.try(ctx, reading, func(ctx context.Context) error {
		_, _, err := c.client.Bucket.ListMultipartUploads(ctx, &cos.ListMultipartUploadsOptions{Prefix: prefix, MaxUploads: 1})
		return err
	}))
}

// TryAbort makes an Abort Multipart Upload (436/7740).
func (c *cloud) TryAbort(ctx context.Context, key string) error {
	return explained(c.try(ctx, reading, func(ctx context.Context) error {
		_, err := c.client.Object.AbortMultipartUpload(ctx, key, noUpload)
		if code(clean(err)) == "NoSuchUpload" {
			return nil
		}
		return err
	}))
}
