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

// A VersionID, set in BeforeRead, is the version to read; "" is the current one.
type VersionID string

func (b *bucket) NewRangeReader(ctx context.Context, key string, offset, length int64, o *driver.ReaderOptions) (driver.Reader, error) {
	name, err := escapeKey(key)
	if err != nil {
		return nil, err
	}
	if length > math.MaxInt64-offset {
		length = -1 // to the end, which comes before
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
		version = []string{url.QueryEscape(string(*id))} // the SDK puts it into the URL as it is
	}
	if length == 0 { // there is no such range
		resp, err := b.head(ctx, key, &cos.ObjectHeadOptions{XOptionHeader: in.XOptionHeader}, version...)
		if err != nil {
			return nil, err
		}
		return newReader(resp, http.NoBody, resp.ContentLength), nil
	}
	in.XOptionHeader = plain(in.XOptionHeader)
	var resp *cos.Response
	if err := b.try(ctx, repeatable, func(ctx context.Context) error {
		resp, err = b.client.Object.Get(ctx, name, in, version...)
		return err
	}); err != nil {
		return nil, err
	}
	size, whole, err := covers(in.Range, offset, length, resp)
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

// covers checks that an answer is the range that was asked for, and returns the size of
// the object and whether the range is all of it.
func covers(asked string, offset, length int64, resp *cos.Response) (size int64, whole bool, err error) {
	if asked == "" {
		if resp.StatusCode != http.StatusOK {
			return 0, false, fmt.Errorf("%w: all was asked for, and answered with status %d", transport.ErrRange, resp.StatusCode)
		}
		if resp.ContentLength < 0 {
			return 0, false, fmt.Errorf("%w: the service did not say how long the object is", transport.ErrRange)
		}
		return resp.ContentLength, true, nil
	}
	if resp.StatusCode != http.StatusPartialContent {
		return 0, false, fmt.Errorf("%w: %s was ignored", transport.ErrRange, asked)
	}
	text := resp.Header.Get("Content-Range")
	var first, last int64
	if n, err := fmt.Sscanf(text, "bytes %d-%d/%d", &first, &last, &size); n != 3 || err != nil || text != fmt.Sprintf("bytes %d-%d/%d", first, last, size) {
		return 0, false, fmt.Errorf("%w: %s was answered with %q", transport.ErrRange, asked, text)
	}
	want := size - 1
	if length > 0 {
		want = min(offset+length, size) - 1
	}
	if first != offset || last != want || last < first || resp.ContentLength != last-first+1 {
		return 0, false, fmt.Errorf("%w: %s was answered with %q", transport.ErrRange, asked, text)
	}
	return size, first == 0 && last == size-1, nil
}

// A reader is the body of an answer. The last bytes of a whole object are given out only
// if the checksum is right.
type reader struct {
	body  io.ReadCloser
	attrs driver.ReaderAttributes
	as    func(any) bool
	sum   hash.Hash // nil: there is nothing to compare with
	want  []byte
	left  int64
}

func newReader(resp *cos.Response, body io.ReadCloser, size int64) *reader {
	return &reader{body: body, as: asResponse(resp), attrs: driver.ReaderAttributes{
		ContentType: contentType(resp.Header), ModTime: modified(resp.Header), Size: size,
	}}
}

// check has the reader compare what it reads with the checksum of the whole object.
func (r *reader) check(h http.Header) {
	r.left = r.attrs.Size
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
	r.left -= int64(n)
	if (err == io.EOF || r.left == 0) && !bytes.Equal(r.sum.Sum(nil), r.want) {
		return 0, fmt.Errorf("%w: the object that was read does not have the service's", ErrChecksum)
	}
	return n, err
}

func (r *reader) Close() error                         { return r.body.Close() }
func (r *reader) Attributes() *driver.ReaderAttributes { return &r.attrs }
func (r *reader) As(i any) bool                        { return r.as(i) }

// md5Of is the MD5 that is an object's ETag, or nil: it is none for an object of several
// parts or encrypted with KMS or the client's key.
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
