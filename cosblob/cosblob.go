// Package cosblob is a [gocloud.dev/blob] driver for Tencent Cloud Object Storage (COS).
//
//	client, err := cosblob.NewClient("vault-1250000000", "ap-guangzhou", cosblob.Static(id, key, token), nil)
//	bucket, err := cosblob.OpenBucket(ctx, client, "vault-1250000000", nil)
//
// # URLs
//
// For [blob.OpenBucket] the scheme is cos: cos://vault-1250000000?region=ap-guangzhou.
// Credentials then come from TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY and, for
// temporary ones, TENCENTCLOUD_TOKEN or TENCENTCLOUD_SECURITY_TOKEN, read anew for each request. See [URLOpener].
//
// # Credentials
//
// Each request is signed with one [Snapshot] of a [Credentials]: id, key and token of
// the same generation, valid for 15 minutes. When the service says that a key has
// expired, cosblob calls a Credentials that is a [Renewer], and sends the request once more.
//
// # What is promised
//
//   - A write is published whole by Close, or not at all. When the context ends before,
//     or Write or Close fails, parts that were sent are removed, after the answers to
//     those under way have come, so that none arrives later and stays.
//   - Up to 8 MiB ([blob.WriterOptions].BufferSize) a write is one PUT. Above, it is a
//     multipart upload of parts of that size, three (MaxConcurrency) at a time; it takes
//     the memory of four parts. An object has at most 10,000 parts: 78 GiB by default.
//   - Create-only ([blob.WriterOptions].IfNotExist) is x-cos-forbid-overwrite, on the PUT
//     or on both ends of the multipart upload; an existing object is
//     [gcerrors.FailedPrecondition]. COS honours it only in a bucket that never had
//     versioning, and ignores it in others WITHOUT NOTICE: see GET ?versioning first.
//   - Reads, lists and parts are tried three times. A PUT, the end of a multipart upload,
//     a copy and a delete are repeated only if the service said that it did nothing
//     (SlowDown, a conflict with another request under way) or was not reached. Their
//     other errors leave open whether the service did it. A multipart upload whose
//     answer was lost is looked up by the object's CRC64 and size.
//   - The SDK's own retries, which repeat everything, are switched off by OpenBucket.
//   - A response of status 200 is believed only if it has what COS sends with it, an ETag
//     or the root element of the call; a 404 only with a request id, an error body or a
//     list that confirms it. Anything else is [ErrForeign], and proves nothing.
//   - An error in the body of a 200, which COS sends at the end of a long copy or upload,
//     is an error. Bodies other than an object's are read up to a limit.
//   - PUT carries Content-MD5. Whatever was sent is compared with the CRC64 in the
//     answer, parts where that is missing with their MD5; what is read whole is compared
//     with its CRC64, or else MD5: [ErrChecksum]. A range must be answered by 206 and
//     the Content-Range that was asked for.
//
// Lists of COS are eventually consistent: an object may be missing from them for a
// moment after it was written.
//
// # Escaping
//
// Keys: ASCII 0-31 and 127, and the "/" of "./" and "../" where that is a whole path
// element, become "__0x<hex>__"; so does the "x" of a "__0x" that is part of the key.
// COS cannot hold, and cosblob refuses with [gcerrors.InvalidArgument], an empty key,
// one that begins with / or \, whose last path element is . or .., or that is longer
// than 850 bytes in that form. The pages of a list are in the order of the escaped keys.
//
// Metadata keys: COS takes letters, digits and the hyphen, and knows no case. Every byte
// but a-z and 0-9 becomes "-<hex>": key_a is stored as key-5fa. Metadata values are
// percent-encoded. Names and values must not exceed 2048 bytes together, x-cos-meta-
// included. Metadata that others wrote and that is not in this form is passed as it is.
//
// A delimiter is one character; longer ones are [gcerrors.Unimplemented].
//
// # As
//
//   - Bucket: *cos.Client
//   - Error: *cos.ErrorResponse and whatever else the error wraps
//   - ListObject: cos.Object; for a "directory" only its Key is set, to the prefix
//   - ListOptions.BeforeList: *cos.BucketGetOptions
//   - Attributes, Reader: cos.Response, whose body belongs to the driver
//   - ReaderOptions.BeforeRead: *cos.ObjectGetOptions, *VersionID
//   - WriterOptions.BeforeWrite: *cos.ObjectPutOptions, which also start a multipart
//     upload; *Written, filled when Close has returned nil
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
	"regexp"
	"strings"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
)

// Options configures [OpenBucket]. Nil, or the zero value, is ready to use.
type Options struct {
	// Credentials are those that URLs are signed with; nil means those of the client,
	// which are then asked for without the context of SignedURL.
	Credentials Credentials
	// Region is the bucket's, such as ap-guangzhou. Copies need it where the client's
	// BucketURL is not of the form https://BUCKET.HOST.
	Region string
	// UncheckedReads leaves out the comparison of whole objects with their checksum, which
	// takes a second per GiB or so: for callers that authenticate what they read.
	UncheckedReads bool
}

// bucketName is NAME-APPID (436/13312).
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*-[0-9]+$`)

// OpenBucket returns the bucket that client's BucketURL names, which name, as in
// vault-1250000000, must agree with. The client should be one of [NewClient]; with
// another, signing, timeouts and limits of bodies are that client's, expired keys are
// not tried again, and an error inside a 200 has no code. OpenBucket switches off the
// client's own retries and checksums: leave its Conf alone afterwards.
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
	b := &bucket{client: client, name: name, o: *o, copyLimit: copyLimit, copyPart: copyPart}
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
	quiet(client.Conf)
	return b, nil
}

// bucketHost is what follows the name in the hosts of a bucket (436/6224).
var bucketHost = regexp.MustCompile(`^cos(?:-internal)?\.([a-z0-9-]+)\.(?:myqcloud\.com|tencentcos\.cn)$`)

// documentedHost is the host that the source of a copy is named by, whichever the client uses
// (436/10881).
func documentedHost(bucket, region string) string { return bucket + ".cos." + region + ".myqcloud.com" }

// quiet switches off what the SDK does by itself.
func quiet(c *cos.Config) {
	if c.RetryOpt == (cos.RetryOptions{Count: 1}) && !c.EnableCRC && !c.ObjectKeySimplifyCheck {
		return // the client may be in use already
	}
	c.RetryOpt = cos.RetryOptions{Count: 1}
	c.EnableCRC = false              // an answer without it would be an error
	c.ObjectKeySimplifyCheck = false // escapeKey is stricter
}

// A bucket is the driver.
type bucket struct {
	client              *cos.Client
	name                string
	host                string // in the source of a copy; "" if it is not known
	o                   Options
	copyLimit, copyPart int64
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

// head asks for an object's headers. The answer to a HEAD cannot say why it was refused:
// then one byte is asked for, too.
func (b *bucket) head(ctx context.Context, key string, o *cos.ObjectHeadOptions, version ...string) (*cos.Response, error) {
	name, err := escapeKey(key)
	if err != nil {
		return nil, err
	}
	if o == nil {
		o = new(cos.ObjectHeadOptions)
	}
	o.XOptionHeader = plain(o.XOptionHeader)
	ask := func() (resp *cos.Response, err error) {
		err = b.try(ctx, repeatable, func(ctx context.Context) error {
			resp, err = b.client.Object.Head(ctx, name, o, version...)
			return err
		})
		if err == nil && resp.ContentLength < 0 {
			err = fmt.Errorf("cosblob: the service did not say how long %q is", key)
		}
		return resp, err
	}
	resp, err := ask()
	if f := (*foreign)(nil); errors.As(err, &f) && f.status == http.StatusNotFound && len(version) == 0 && b.absent(ctx, name) {
		return nil, &cos.ErrorResponse{Code: "NoSuchKey", Message: "HEAD gave 404, and a list does not have it", Response: notFound}
	}
	if s := status(err); s != http.StatusForbidden && s != http.StatusBadRequest || code(err) != "" {
		return resp, err
	}
	why := b.try(ctx, repeatable, func(ctx context.Context) error {
		resp, err := b.client.Object.Get(ctx, name, &cos.ObjectGetOptions{Range: "bytes=0-0", XOptionHeader: plain(nil)}, version...)
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	if why != nil && code(why) != "InvalidRange" {
		return nil, why
	}
	return ask()
}

// notFound stands for a response to HEAD that a list confirmed.
var notFound = &http.Response{StatusCode: http.StatusNotFound, Status: "404 Not Found", Header: http.Header{}, Request: &http.Request{Method: http.MethodHead, URL: &url.URL{}}}

// absent reports whether a list of one key proves that there is no object. A HEAD that is
// answered 404 without the id of a request does not: the response has no body that would tell
// whose it is.
func (b *bucket) absent(ctx context.Context, name string) bool {
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

// plain is h and a header without which net/http would unpack gzip that was stored.
func plain(h *http.Header) *http.Header {
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

// Delete asks for the object first: COS answers alike whether it was there. A version
// that is named is not asked for, since a delete marker cannot be.
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

// as returns an As function that gives out in, a pointer to a pointer.
func as[T any](in **T) func(any) bool {
	return func(i any) bool {
		p, ok := i.(**T)
		if ok {
			*p = *in
		}
		return ok
	}
}
