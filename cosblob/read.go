package cosblob

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tencentyun/cos-go-sdk-v5"
	"gocloud.dev/blob/driver"

	"github.com/objectvault/objectvault/internal/transport"
)

// A VersionID is the version to read. Set it in BeforeRead; "" means the current version.
type VersionID string

func (b *bucket) NewRangeReader(ctx context.Context, key string, offset, length int64, o *driver.ReaderOptions) (driver.Reader, error) {
	name, err := escapeKey(key)
	if err != nil {
		return nil, err
	}
	if length > math.MaxInt64-offset {
		length = -1 // the object ends before
	}
	in, id := new(cos.ObjectGetOptions), new(VersionID)
	if offset > 0 || length > 0 {
		in.Range = fmt.Sprintf("bytes=%d-", offset)
		if length > 0 {
			in.Range += strconv.FormatInt(offset+length-1, 10)
		}
	}
	if o.BeforeRead != nil {
		options, version := as(&in), as(&id)
		if err := o.BeforeRead(func(i any) bool { return options(i) || version(i) }); err != nil {
			return nil, err
		}
	}
	var version []string
	if *id != "" {
		version = []string{url.QueryEscape(string(*id))} // the SDK does not escape it
	}
	if length == 0 { // HTTP has no empty range
		resp, err := b.head(ctx, key, &cos.ObjectHeadOptions{XOptionHeader: in.XOptionHeader}, version...)
		if err != nil {
			return nil, err
		}
		return newReader(resp, http.NoBody, resp.ContentLength), nil
	}
	in.XOptionHeader = withoutGzip(in.XOptionHeader)
	var resp *cos.Response
	if err := b.try(ctx, repeatable, func(ctx context.Context) error {
		resp, err = b.client.Object.Get(ctx, name, in, version...)
		return err
	}); err != nil {
		return nil, err
	}
	size, whole, err := checkRange(in.Range, offset, length, resp)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	r := newReader(resp, resp.Body, size)
	if whole && !b.o.UncheckedReads {
		r.check(resp.Header)
	}
	return r, nil
}

// checkRange checks that a response contains the requested range. It returns the size of the
// object, and whether the range is the whole object.
func checkRange(requested string, offset, length int64, resp *cos.Response) (size int64, whole bool, err error) {
	if requested == "" {
		if resp.StatusCode != http.StatusOK {
			return 0, false, fmt.Errorf("%w: the whole object was requested, but the response has status %d", transport.ErrRange, resp.StatusCode)
		}
		if resp.ContentLength < 0 {
			return 0, false, fmt.Errorf("%w: the response does not contain the size of the object", transport.ErrRange)
		}
		return resp.ContentLength, true, nil
	}
	if resp.StatusCode != http.StatusPartialContent {
		return 0, false, fmt.Errorf("%w: the service ignored the requested range %s", transport.ErrRange, requested)
	}
	text := resp.Header.Get("Content-Range")
	var first, last int64
	if n, err := fmt.Sscanf(text, "bytes %d-%d/%d", &first, &last, &size); n != 3 || err != nil || text != fmt.Sprintf("bytes %d-%d/%d", first, last, size) {
		return 0, false, fmt.Errorf("%w: the range %s was requested, but the response has the range %q", transport.ErrRange, requested, text)
	}
	want := size - 1
	if length > 0 {
		want = min(offset+length, size) - 1
	}
	if first != offset || last != want || last < first || resp.ContentLength != last-first+1 {
		return 0, false, fmt.Errorf("%w: the range %s was requested, but the response has the range %q", transport.ErrRange, requested, text)
	}
	return size, first == 0 && last == size-1, nil
}

// A reader reads the body of a response. It returns the last bytes of a whole object only if the
// checksum is correct.
type reader struct {
	body      io.ReadCloser
	attrs     driver.ReaderAttributes
	as        func(any) bool
	sum       hash.Hash // nil if there is no checksum to compare with
	want      []byte
	remaining int64
}

func newReader(resp *cos.Response, body io.ReadCloser, size int64) *reader {
	return &reader{body: body, as: asResponse(resp), attrs: driver.ReaderAttributes{
		ContentType: contentType(resp.Header), ModTime: modified(resp.Header), Size: size,
	}}
}

// check makes the reader compare the data with the checksum of the whole object.
func (r *reader) check(h http.Header) {
	r.remaining = r.attrs.Size
	if want, ok := crcOf(h); ok {
		r.sum, r.want = crc64.New(crcTable), want
	} else if want := md5Of(h); want != nil {
		r.sum, r.want = md5.New(), want
	}
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if r.sum == nil {
		return n, err
	}
	r.sum.Write(p[:n])
	r.remaining -= int64(n)
	if (err == io.EOF || r.remaining == 0) && !bytes.Equal(r.sum.Sum(nil), r.want) {
		return 0, fmt.Errorf("%w: the data that was read does not match the checksum that the service returned", ErrChecksum)
	}
	return n, err
}

func (r *reader) Close() error                         { return r.body.Close() }
func (r *reader) Attributes() *driver.ReaderAttributes { return &r.attrs }
func (r *reader) As(i any) bool                        { return r.as(i) }

// md5Of returns the MD5 of an object from its ETag. It returns nil if the ETag is not an MD5: the
// object was a multipart upload, or is encrypted with KMS or a customer-provided key.
func md5Of(h http.Header) []byte {
	if e := h.Get("X-Cos-Server-Side-Encryption"); e != "" && e != "AES256" || h.Get("X-Cos-Server-Side-Encryption-Customer-Algorithm") != "" {
		return nil
	}
	tag := h.Get("ETag")
	if len(tag) != 34 || tag[0] != '"' || tag[33] != '"' {
		return nil
	}
	sum, err := hex.DecodeString(tag[1:33])
	if err != nil {
		return nil
	}
	return sum
}
