// Package cosblob is a [gocloud.dev/blob] driver for Tencent Cloud Object Storage (COS).
//
//	client, err := cosblob.NewClient("vault-1250000000", "ap-guangzhou", cosblob.Static(id, key, token), nil)
//	bucket, err := cosblob.OpenBucket(ctx, client, "vault-1250000000", nil)
//
// # URLs
//
// For [blob.OpenBucket] the scheme is cos: cos://vault-1250000000?region=ap-guangzhou.
// The credentials then come from the environment variables TENCENTCLOUD_SECRET_ID and
// TENCENTCLOUD_SECRET_KEY. Temporary credentials also need TENCENTCLOUD_TOKEN or
// TENCENTCLOUD_SECURITY_TOKEN. The variables are read again for each request. See [URLOpener].
//
// # Credentials
//
// Each request is signed with one [Snapshot] of a [Credentials]: the ID, the key and the token
// belong together. A signature is valid for 15 minutes. If the service responds that a key has
// expired and the Credentials is a [Renewer], cosblob calls it and sends the request once more.
//
// # Guarantees
//
//   - Close publishes the complete object, or nothing. If the context ends before Close returns, or
//     if Write or Close fails, cosblob waits for the responses to the parts that are being sent and
//     then deletes all parts, so that no part arrives later.
//   - A write of up to 9 MiB is one PUT. A larger write is a multipart upload with parts of 5 MiB. It
//     sends ten parts at a time ([blob.WriterOptions].MaxConcurrency) and keeps eleven in memory. After
//     8,000 parts they have 32 MiB, and fewer are sent at a time. An object has at most 10,000 parts,
//     or 101 GiB. With a BufferSize, a write of up to that size is one PUT, and all parts have it.
//   - Create-only ([blob.WriterOptions].IfNotExist) sends x-cos-forbid-overwrite with the PUT,
//     or with the start and the end of the multipart upload. If the object exists, the error
//     has the code [gcerrors.FailedPrecondition]. COS supports this only in a bucket that never
//     had versioning, and SILENTLY IGNORES it in other buckets: check GET ?versioning first.
//   - Reads, lists and parts are tried three times. A PUT, the end of a multipart upload, a copy
//     and a delete are repeated only if the service was not reached, or responded that it did
//     nothing (SlowDown, or a conflict with a concurrent request). After any other error the
//     outcome is unknown. If the response to the end of a multipart upload is lost, cosblob
//     compares the CRC64 and the size of the object to find out whether it was stored.
//   - OpenBucket disables the retries of the SDK, because the SDK repeats every request.
//   - A response with status 200 is accepted only if it has the form of a COS response to this
//     call, for example an ETag, or a body with the expected root element. A 404 is accepted only
//     with a request ID or an error body, or if a list confirms it. Any other response is
//     [ErrForeign], and proves nothing.
//   - If the body of a 200 is an error, the call fails. COS sends such a body at the end of a
//     long copy or upload. Bodies that are not objects are read only up to a limit.
//   - A PUT sends Content-MD5. The CRC64 in the response is compared with the data that was
//     sent. If the response to a part has no CRC64, its MD5 is compared. A read of a whole
//     object is compared with its CRC64 or, if there is none, its MD5. A difference is
//     [ErrChecksum]. The response to a range read must be a 206 with the requested
//     Content-Range.
//
// Lists of COS are eventually consistent: a new object may be missing from them for a short
// time.
//
// # Escaping
//
// Keys: these characters become "__0x<hex>__": ASCII 0-31 and 127; the "/" after a path element
// "." or ".."; and the "x" of a "__0x" in the key. COS does not support some keys, and cosblob
// rejects them with [gcerrors.InvalidArgument]: an empty key, a key that begins with / or \, a
// key whose last path element is . or .., and a key of more than 850 bytes after escaping. The
// pages of a list are in the order of the escaped keys.
//
// Metadata keys: COS allows letters, digits and the hyphen, and ignores case. Every byte except a-z
// and 0-9 becomes "-<hex>", with two hexadecimal digits: my_key is stored as my-5fkey. Metadata
// values are percent-encoded. The escaped names and values together may have at most 2048 bytes,
// including x-cos-meta-. If another program wrote metadata in a different form, it is returned
// unchanged.
//
// A delimiter has one character. A longer delimiter is rejected with [gcerrors.Unimplemented].
//
// # As
//
//   - Bucket: *cos.Client
//   - Error: *cos.ErrorResponse, and every other error that is wrapped
//   - ListObject: cos.Object; for a "directory" it contains only the Key, which is the prefix
//   - ListOptions.BeforeList: *cos.BucketGetOptions
//   - Attributes, Reader: cos.Response, whose body belongs to the driver
//   - ReaderOptions.BeforeRead: *cos.ObjectGetOptions, *VersionID
//   - WriterOptions.BeforeWrite: *cos.ObjectPutOptions, which also apply to a multipart upload;
//     *Written, which is set when Close returns nil; *Tail, which the caller may set
//   - CopyOptions.BeforeCopy: *cos.ObjectCopyOptions
//   - DeleteOptions.BeforeDelete: *cos.ObjectDeleteOptions
//   - SignedURLOptions.BeforeSign: *cos.PresignedURLOptions
package cosblob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"

	"github.com/objectvault/objectvault/internal/text"
)

// Options configures [OpenBucket]. Nil, or the zero value, is ready to use.
type Options struct {
	// Credentials signs URLs. If it is nil, OpenBucket uses the credentials of the client. SignedURL
	// then requests these credentials without the context that was passed to it.
	Credentials Credentials
	// Region is the region of the bucket, such as ap-guangzhou. Copies need it if the
	// client's BucketURL does not have the form https://BUCKET.HOST.
	Region string
	// UncheckedReads disables the comparison of whole objects with their checksum. The
	// comparison takes about a second per GiB. Set it if you authenticate the data yourself.
	UncheckedReads bool
}

// bucketName is NAME-APPID (436/13312).
var bucketName = text.NewRegexp(`^[a-z0-9][a-z0-9-]*-[0-9]+$`)

// OpenBucket returns the bucket of client's BucketURL. The name, such as vault-1250000000, must
// match the URL. The client should come from [NewClient]. Another client uses its own signing,
// timeouts and body limits; requests with expired keys are not repeated, and an error in the
// body of a 200 has no code. OpenBucket disables the retries and checksums of the client: do not
// change its Conf afterwards.
func OpenBucket(ctx context.Context, client *cos.Client, name string, o *Options) (*blob.Bucket, error) {
	b, err := openBucket(client, name, o)
	if err != nil {
		return nil, err
	}
	return blob.NewBucket(b), nil
}

func openBucket(client *cos.Client, name string, o *Options) (*bucket, error) {
	if client == nil || client.BaseURL == nil || client.BaseURL.BucketURL == nil {
		return nil, errors.New("cosblob: a client with a BucketURL is required")
	}
	if !bucketName.MatchString(name) {
		return nil, fmt.Errorf("cosblob: %q is not the name of a bucket such as vault-1250000000", name)
	}
	if o == nil {
		o = new(Options)
	}
	b := &bucket{client: client, name: name, o: *o, copyLimit: copyLimit, copyPart: copyPart, tailPart: tailPart}
	switch host := client.BaseURL.BucketURL.Host; {
	case !strings.HasPrefix(host, name+".") && (strings.HasSuffix(host, ".myqcloud.com") || strings.HasSuffix(host, ".tencentcos.cn")):
		return nil, fmt.Errorf("cosblob: the client is for %s, not for the bucket %s", host, name)
	case o.Region != "":
		b.host = documentedHost(name, o.Region)
	default:
		if m := bucketHost.FindStringSubmatch(strings.TrimPrefix(host, name+".")); m != nil && m[1] != "accelerate" {
			b.host = documentedHost(name, m[1])
		}
	}
	disableSDKExtras(client.Conf)
	return b, nil
}

// bucketHost matches the host of a bucket after the name (436/6224).
var bucketHost = text.NewRegexp(`^cos(?:-internal)?\.([a-z0-9-]+)\.(?:myqcloud\.com|tencentcos\.cn)$`)

// documentedHost returns the host that a copy must use in the name of its source, even if the
// client uses another host (436/10881).
func documentedHost(bucket, region string) string { return bucket + ".cos." + region + ".myqcloud.com" }

// disableSDKExtras disables retries, checksums and key checks of the SDK.
func disableSDKExtras(c *cos.Config) {
	if c.RetryOpt == (cos.RetryOptions{Count: 1}) && !c.EnableCRC && !c.ObjectKeySimplifyCheck {
		return // the client may be in use already
	}
	c.RetryOpt = cos.RetryOptions{Count: 1}
	c.EnableCRC = false              // the SDK fails if a response has no CRC64
	c.ObjectKeySimplifyCheck = false // escapeKey is stricter
}

// A bucket is the driver.
type bucket struct {
	client              *cos.Client
	name                string
	host                string // the host in the source of a copy; "" if unknown
	o                   Options
	copyLimit, copyPart int64
	tailPart            int64
	closed              func()
}

func (b *bucket) As(i any) bool {
	p, ok := i.(**cos.Client)
	if ok {
		*p = b.client
	}
	return ok
}

func (b *bucket) ErrorAs(err error, i any) bool { return errors.As(err, i) }

func (b *bucket) Close() error {
	if b.closed != nil {
		b.closed()
	}
	return nil
}

func (b *bucket) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	resp, err := b.head(ctx, key, nil)
	if err != nil {
		return nil, err
	}
	h := resp.Header
	return &driver.Attributes{
		CacheControl:       h.Get("Cache-Control"),
		ContentDisposition: h.Get("Content-Disposition"),
		ContentEncoding:    h.Get("Content-Encoding"),
		ContentLanguage:    h.Get("Content-Language"),
		ContentType:        contentType(h),
		Metadata:           readMetadata(h),
		ModTime:            modified(h),
		Size:               resp.ContentLength,
		MD5:                md5Of(h),
		ETag:               h.Get("ETag"),
		AsFunc:             asResponse(resp),
	}, nil
}

// head requests the headers of an object. The response to a HEAD has no error code, so after a
// refusal head also reads one byte to get the code.
func (b *bucket) head(ctx context.Context, key string, o *cos.ObjectHeadOptions, version ...string) (*cos.Response, error) {
	name, err := escapeKey(key)
	if err != nil {
		return nil, err
	}
	if o == nil {
		o = new(cos.ObjectHeadOptions)
	}
	o.XOptionHeader = withoutGzip(o.XOptionHeader)
	request := func() (resp *cos.Response, err error) {
		err = b.try(ctx, repeatable, func(ctx context.Context) error {
			resp, err = b.client.Object.Head(ctx, name, o, version...)
			return err
		})
		if err == nil && resp.ContentLength < 0 {
			err = fmt.Errorf("cosblob: the response does not contain the size of %q", key)
		}
		return resp, err
	}
	resp, err := request()
	if f := (*foreign)(nil); errors.As(err, &f) && f.status == http.StatusNotFound && len(version) == 0 && b.isAbsent(ctx, name) {
		return nil, &cos.ErrorResponse{Code: "NoSuchKey", Message: "HEAD returned 404, and the object is not in a list", Response: notFound}
	}
	if s := status(err); s != http.StatusForbidden && s != http.StatusBadRequest || code(err) != "" {
		return resp, err
	}
	getErr := b.try(ctx, repeatable, func(ctx context.Context) error {
		resp, err := b.client.Object.Get(ctx, name, &cos.ObjectGetOptions{Range: "bytes=0-0", XOptionHeader: withoutGzip(nil)}, version...)
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	if getErr != nil && code(getErr) != "InvalidRange" {
		return nil, getErr
	}
	return request()
}

// notFound is the response for a HEAD with status 404 that a list confirmed.
var notFound = &http.Response{StatusCode: http.StatusNotFound, Status: "404 Not Found", Header: http.Header{}, Request: &http.Request{Method: http.MethodHead, URL: &url.URL{}}}

// isAbsent reports whether a list of one key proves that the object does not exist. A 404 to a
// HEAD without a request ID is no proof, because nothing shows that it comes from COS.
func (b *bucket) isAbsent(ctx context.Context, name string) bool {
	var got *cos.BucketGetResult
	err := b.try(ctx, repeatable, func(ctx context.Context) (err error) {
		got, _, err = b.client.Bucket.Get(ctx, &cos.BucketGetOptions{Prefix: name, EncodingType: "url", MaxKeys: 1})
		return err
	})
	if err != nil || len(got.Contents) == 0 {
		return err == nil
	}
	first, err := url.PathUnescape(got.Contents[0].Key)
	return err == nil && first != name
}

// withoutGzip returns a copy of h with a header that stops net/http from decompressing objects
// that were stored compressed.
func withoutGzip(h *http.Header) *http.Header {
	c := http.Header{}
	if h != nil {
		c = h.Clone()
	}
	c.Set("Accept-Encoding", "identity")
	return &c
}

func contentType(h http.Header) string {
	if t := h.Get("Content-Type"); t != "" {
		return t
	}
	return "application/octet-stream"
}

func modified(h http.Header) time.Time {
	t, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return time.Time{}
	}
	return t
}

func asResponse(resp *cos.Response) func(any) bool {
	return func(i any) bool {
		p, ok := i.(*cos.Response)
		if ok {
			*p = *resp
		}
		return ok
	}
}

// Delete first checks that the object exists, because the response of COS to a delete does not
// show it. It does not check a specific version, because a HEAD of a delete marker fails.
func (b *bucket) Delete(ctx context.Context, key string, o *driver.DeleteOptions) error {
	name, err := escapeKey(key)
	if err != nil {
		return err
	}
	in := new(cos.ObjectDeleteOptions)
	if o.BeforeDelete != nil {
		if err := o.BeforeDelete(as(&in)); err != nil {
			return err
		}
	}
	if in.VersionId == "" {
		if _, err := b.head(ctx, key, nil); err != nil {
			return err
		}
	}
	return b.try(ctx, publishing, func(ctx context.Context) error {
		_, err := b.client.Object.Delete(ctx, name, in)
		return err
	})
}

// as returns an As function that sets its argument to *in.
func as[T any](in **T) func(any) bool {
	return func(i any) bool {
		p, ok := i.(**T)
		if ok {
			*p = *in
		}
		return ok
	}
}
