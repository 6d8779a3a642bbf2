package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/tencentyun/cos-go-sdk-v5"
	"golang.org/x/sync/errgroup"

	"github.com/objectvault/objectvault/cosblob"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

// A cosSide is cos-go-sdk-v5 with its defaults: it compares checksums, and retries.
type cosSide struct{ client *cos.Client }

func newCOS(t target) (*cosSide, error) {
	u, err := url.Parse(t.Endpoint)
	if err != nil {
		return nil, err
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConnsPerHost = 16 // one connection for each worker
	client := cos.NewClient(&cos.BaseURL{BucketURL: u}, &http.Client{Transport: &cos.AuthorizationTransport{
		SecretID: t.KeyID, SecretKey: t.Key, Transport: base,
	}})
	return &cosSide{client}, nil
}

func (s *cosSide) put(ctx context.Context, key string, value []byte) error {
	_, err := s.client.Object.Put(ctx, key, bytes.NewReader(value), nil)
	return err
}

// upload does what a user of the SDK must write for a stream, because the SDK's Upload accepts only
// files. The size and the number of concurrent parts are those of the provider.
func (s *cosSide) upload(ctx context.Context, key string, size int64) error {
	const partSize, once = 8 * mib, 3
	up, _, err := s.client.Object.InitiateMultipartUpload(ctx, key, nil)
	if err != nil {
		return err
	}
	parts := make([]cos.Object, (size+partSize-1)/partSize)
	sending, sctx := errgroup.WithContext(ctx)
	sending.SetLimit(once)
	free := make(chan []byte, once+1)
	for i := range parts {
		var data []byte
		select {
		case data = <-free:
		default:
			data = make([]byte, partSize)
		}
		data = data[:min(partSize, size-int64(i)*partSize)]
		if _, err := io.ReadFull(pattern{}, data); err != nil {
			return err
		}
		sending.Go(func() error {
			resp, err := s.client.Object.UploadPart(sctx, key, up.UploadID, i+1, bytes.NewReader(data), nil)
			if err != nil {
				return err
			}
			parts[i] = cos.Object{PartNumber: i + 1, ETag: resp.Header.Get("ETag")}
			select {
			case free <- data:
			default:
			}
			return nil
		})
	}
	if err := sending.Wait(); err != nil {
		return err
	}
	_, _, err = s.client.Object.CompleteMultipartUpload(ctx, key, up.UploadID, &cos.CompleteMultipartUploadOptions{Parts: parts})
	return err
}

func (s *cosSide) get(ctx context.Context, key string, size int64) error {
	resp, err := s.client.Object.Get(ctx, key, nil)
	if err != nil {
		return err
	}
	return errors.Join(drain(resp.Body, size), resp.Body.Close())
}

func (s *cosSide) list(ctx context.Context, prefix string, want int) error {
	n := 0
	for o := (cos.BucketGetOptions{Prefix: prefix, MaxKeys: 1000}); ; {
		page, _, err := s.client.Bucket.Get(ctx, &o)
		if err != nil {
			return err
		}
		n += len(page.Contents)
		if !page.IsTruncated {
			return count(n, want)
		}
		o.Marker = page.NextMarker
	}
}

func openCOS(ctx context.Context, t target) (*vault.Store, error) {
	return tencent.Open(ctx, tencent.Config{
		Bucket: t.Bucket, Endpoint: t.Endpoint, Static: cosblob.Static(t.KeyID, t.Key, ""),
	})
}
