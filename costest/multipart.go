package costest

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	minPart  = 1 << 20 // bytes of every part except the last
	maxParts = 10000
)

// An upload is a multipart upload in progress.
type upload struct {
	id, key   string
	version   *version // the version that the parts will become, without content
	parts     map[int]*part
	initiated time.Time
	initiator ownerXML
}

type part struct {
	number   int
	data     data
	sum      digest
	modified time.Time
}

// An Upload is a multipart upload in progress, see [Server.Uploads].
type Upload struct {
	Key, ID string
	Parts   int
}

// Uploads returns the multipart uploads of a bucket that are in progress, sorted by key.
func (s *Server) Uploads(bucket string) []Upload {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucket]
	if b == nil {
		return nil
	}
	var all []Upload
	for _, u := range b.sortedUploads() {
		all = append(all, Upload{u.key, u.id, len(u.parts)})
	}
	return all
}

func (b *bucket) sortedUploads() []*upload {
	return slices.SortedFunc(maps.Values(b.uploads), func(u, v *upload) int {
		return cmp.Or(strings.Compare(u.key, v.key), strings.Compare(u.id, v.id)) // ids increase
	})
}

var errNoSuchUpload = failure(http.StatusNotFound, "NoSuchUpload", "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")

// upload returns the multipart upload of a request. The caller must hold s.mu.
func (x *exchange) upload() (*upload, error) {
	u := x.currentBucket().uploads[x.query.get("uploadId")]
	if u == nil || u.key != x.key {
		return nil, errNoSuchUpload
	}
	return u, nil
}

type initiateXML struct {
	XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
	Bucket   string
	Key      string
	UploadID string `xml:"UploadId"`
}

// initiate handles POST ?uploads.
func (x *exchange) initiate() error {
	v, err := x.newVersion()
	if err != nil {
		return err
	}
	if err := x.checkCreate(); err != nil {
		return err
	}
	u := &upload{
		key: x.key, version: v, parts: make(map[int]*part), initiated: x.s.o.Now(), initiator: x.initiator(),
	}
	x.s.mu.Lock()
	b := x.currentBucket()
	b.initiated++
	u.id = fmt.Sprintf("%d%08x%x", u.initiated.Unix(), b.initiated, newID())
	b.uploads[u.id] = u
	x.s.mu.Unlock()
	v.echoEncryption(x.out.Header())
	x.sendXML(http.StatusOK, initiateXML{Bucket: x.bucket, Key: x.key, UploadID: u.id})
	return nil
}

func (x *exchange) initiator() ownerXML {
	c := x.caller
	id := fmt.Sprintf("qcs::cam::uin/%s:uin/%s", c.uin, cmp.Or(c.subUin, c.uin))
	if c.roleID != "" {
		id = fmt.Sprintf("qcs::cam::uin/%s:role/%s", c.uin, c.roleID)
	}
	return ownerXML{id, cmp.Or(c.subUin, c.uin)}
}

func (x *exchange) partNumber() (int, error) {
	n, err := strconv.Atoi(x.query.get("partNumber"))
	if err != nil || n < 1 || n > maxParts {
		return 0, invalidArgument("Part number must be an integer between 1 and 10000, inclusive")
	}
	return n, nil
}

// uploadPart handles PUT of a part. The request must have a Content-Length.
func (x *exchange) uploadPart() error {
	n, err := x.partNumber()
	if err != nil {
		return err
	}
	if x.r.Header.Get("Content-Length") == "" {
		return failure(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	}
	if x.r.ContentLength > maxPut {
		return errTooLarge
	}
	x.s.mu.Lock()
	u, err := x.upload()
	x.s.mu.Unlock()
	if err != nil {
		return err
	}
	d, sum, err := x.s.read(x.body, maxPut)
	if err != nil {
		return err
	}
	if err := checkMD5(x.r.Header.Get("Content-Md5"), sum.md5); err != nil {
		return err
	}
	if _, err := x.addPart(n, d, sum); err != nil {
		return err
	}
	h := x.out.Header()
	h.Set("Etag", sum.etag())
	u.version.echoEncryption(h)
	setCRC(h, sum.crc)
	h.Set("Content-Length", "0")
	x.out.WriteHeader(http.StatusOK)
	return nil
}

// addPart stores a part, unless the multipart upload has ended in the meantime.
func (x *exchange) addPart(n int, d data, sum digest) (*part, error) {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	u, err := x.upload()
	if err != nil {
		return nil, err
	}
	u.parts[n] = &part{n, d, sum, x.s.o.Now()}
	return u.parts[n], nil
}

// abort handles DELETE of a multipart upload.
func (x *exchange) abort() error {
	x.s.mu.Lock()
	u, err := x.upload()
	if err == nil {
		delete(x.currentBucket().uploads, u.id)
	}
	x.s.mu.Unlock()
	if err != nil {
		return err
	}
	x.out.WriteHeader(http.StatusNoContent)
	return nil
}

type partXML struct {
	PartNumber   int
	LastModified string
	ETag         string
	Size         int64
}

type listPartsXML struct {
	XMLName              xml.Name `xml:"ListPartsResult"`
	Bucket               string
	EncodingType         string `xml:"Encoding-type,omitempty"`
	Key                  string
	UploadID             string `xml:"UploadId"`
	Owner                ownerXML
	PartNumberMarker     int
	Initiator            ownerXML
	StorageClass         string
	NextPartNumberMarker int `xml:",omitempty"`
	MaxParts             int
	IsTruncated          bool
	Part                 []partXML
}

// listParts handles GET of a multipart upload.
func (x *exchange) listParts() error {
	p, err := x.page("max-parts")
	if err != nil {
		return err
	}
	marker := 0
	if v := x.query.get("part-number-marker"); v != "" {
		if marker, err = strconv.Atoi(v); err != nil || marker < 0 {
			return invalidArgument("part-number-marker is not valid.")
		}
	}
	x.s.mu.Lock()
	u, err := x.upload()
	if err != nil {
		x.s.mu.Unlock()
		return err
	}
	out := listPartsXML{
		Bucket: x.bucket, EncodingType: p.encoding(), Key: p.show(x.key), UploadID: u.id, Owner: x.s.owner(),
		PartNumberMarker: marker, Initiator: u.initiator, StorageClass: u.version.class, MaxParts: p.max,
	}
	defer x.unlockAndSend(&out)
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		if n <= marker {
			continue
		}
		if len(out.Part) == p.max {
			out.IsTruncated = p.max > 0
			break
		}
		one := u.parts[n]
		out.Part = append(out.Part, partXML{n, listTime(one.modified), one.sum.etag(), one.data.size})
		out.NextPartNumberMarker = n
	}
	if !out.IsTruncated {
		out.NextPartNumberMarker = 0
	}
	return nil
}

type uploadXML struct {
	Key          string
	UploadID     string `xml:"UploadId"`
	StorageClass string
	Initiator    ownerXML
	Owner        ownerXML
	Initiated    string
}

type listUploadsXML struct {
	XMLName            xml.Name `xml:"ListMultipartUploadsResult"`
	Bucket             string
	EncodingType       string `xml:"Encoding-Type,omitempty"`
	KeyMarker          string
	UploadIDMarker     string `xml:"UploadIdMarker"`
	NextKeyMarker      string `xml:",omitempty"`
	NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
	MaxUploads         int
	IsTruncated        bool
	Prefix             string
	Delimiter          string `xml:",omitempty"`
	Upload             []uploadXML
	CommonPrefixes     []prefixXML
}

// listUploads handles GET ?uploads.
func (x *exchange) listUploads() error {
	p, err := x.page("max-uploads")
	if err != nil {
		return err
	}
	keyMarker, idMarker := x.query.get("key-marker"), x.query.get("upload-id-marker")
	if keyMarker == "" {
		idMarker = "" // ignored without a key
	}
	out := listUploadsXML{
		Bucket: x.bucket, EncodingType: p.encoding(), KeyMarker: p.show(keyMarker), UploadIDMarker: idMarker,
		MaxUploads: p.max, Prefix: p.show(p.prefix), Delimiter: p.show(p.delimiter),
	}
	x.s.mu.Lock()
	defer x.unlockAndSend(&out)
	b := x.currentBucket()
	lastKey, lastID, group, n := "", "", "", 0
	for _, u := range b.sortedUploads() {
		// Sorted by key and id, so a marker also works if its upload was aborted in the meantime.
		if !strings.HasPrefix(u.key, p.prefix) || u.key < keyMarker || u.key == keyMarker && (idMarker == "" || u.id <= idMarker) {
			continue
		}
		g := p.group(u.key)
		if p.skips(keyMarker, g) || g != "" && g == group {
			continue
		}
		if n == p.max {
			out.IsTruncated = n > 0
			out.NextKeyMarker, out.NextUploadIDMarker = p.show(lastKey), lastID
			break
		}
		n++
		if group = g; g != "" {
			lastKey, lastID = g, ""
			out.CommonPrefixes = append(out.CommonPrefixes, prefixXML{p.show(g)})
			continue
		}
		lastKey, lastID = u.key, u.id
		out.Upload = append(out.Upload, uploadXML{p.show(u.key), u.id, u.version.class, u.initiator, x.s.owner(), listTime(u.initiated)})
	}
	return nil
}
