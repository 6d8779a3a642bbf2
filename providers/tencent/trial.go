package tencent

import (
	"context"
	"encoding/xml"
	"io"
	"net/http"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/internal/transport"
)

// noUpload is the ID of an upload that does not exist.
const noUpload = "1600000000aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// TryUnsigned sends a GET Object without a signature.
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
		if err := checkRequestID(r, resp); err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
		if err != nil || resp.StatusCode/100 == 2 {
			return err
		}
		e := &cos.ErrorResponse{Response: resp}
		_ = xml.Unmarshal(text, e) // without a valid body, only the status is known
		return e
	}))
}

// TryUploads sends a List Multipart Uploads (436/7736).
func (c *cloud) TryUploads(ctx context.Context, prefix string) error {
	return explained(c.try(ctx, reading, func(ctx context.Context) error {
		_, _, err := c.client.Bucket.ListMultipartUploads(ctx, &cos.ListMultipartUploadsOptions{Prefix: prefix, MaxUploads: 1})
		return err
	}))
}

// TryAbort sends an Abort Multipart Upload (436/7740).
func (c *cloud) TryAbort(ctx context.Context, key string) error {
	return explained(c.try(ctx, reading, func(ctx context.Context) error {
		_, err := c.client.Object.AbortMultipartUpload(ctx, key, noUpload)
		if code(unwrapSDK(err)) == "NoSuchUpload" {
			return nil
		}
		return err
	}))
}
