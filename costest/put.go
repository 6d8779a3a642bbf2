package costest

import (
	"net/http"
	"strings"
)

// maxPut is the maximum size of a single PUT and of a part.
const maxPut = 5 << 30

var (
	errExists = failure(http.StatusConflict, "FileAlreadyExists", "The object you specified already exists.")
	errRace   = failure(http.StatusConflict, "PathConflict", "Path conflict.")
)

// putObject handles PUT Object.
func (x *exchange) putObject() error {
	if x.r.Header.Get("Content-Length") == "" && len(x.r.TransferEncoding) == 0 {
		return failure(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	}
	if x.r.ContentLength > maxPut {
		return errTooLarge
	}
	v, err := x.newVersion()
	if err != nil {
		return err
	}
	if err := x.checkCreate(); err != nil {
		return err
	}
	d, sum, err := x.s.read(x.body, maxPut)
	if err != nil {
		return err
	}
	if err := checkMD5(x.r.Header.Get("Content-Md5"), sum.md5); err != nil {
		return err
	}
	v.data, v.etag, v.crc = d, sum.etag(), sum.crc
	return x.store(v, nil, func() error {
		h := x.out.Header()
		h.Set("Etag", v.etag)
		setCRC(h, v.crc)
		h.Set("Content-Length", "0")
		x.out.WriteHeader(http.StatusOK)
		return nil
	})
}

// newVersion creates a version without content, from the headers of a PUT, an initiate or a copy.
func (x *exchange) newVersion() (*version, error) {
	v := new(version)
	var err error
	if v.header, err = x.s.keptHeaders(x.r.Header); err != nil {
		return nil, err
	}
	if v.class, err = storageClass(x.r.Header); err != nil {
		return nil, err
	}
	if err := checkEncryption(x.r.Header); err != nil {
		return nil, err
	}
	v.encryption = x.r.Header.Get(headerEncryption)
	if v.acl, err = x.s.headerACL(x.r.Header, objectACLs); err != nil {
		return nil, err
	}
	if text := x.r.Header.Get("X-Cos-Tagging"); text != "" {
		if v.tags, err = parseTagHeader(text); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// createOnly reports whether the request must not overwrite.
func (x *exchange) createOnly() bool {
	return strings.EqualFold(x.r.Header.Get("X-Cos-Forbid-Overwrite"), "true")
}

// checkCreate rejects a request early if the commit would reject it.
func (x *exchange) checkCreate() error {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	b := x.currentBucket()
	if err := x.putCondition(b.latest(x.key)); err != nil {
		return err
	}
	if x.createOnly() && b.versioning == "" && b.exists(x.key) {
		return errExists
	}
	return nil
}

// store makes v the current version if nothing forbids it, ends the multipart upload, if any, and
// then calls respond. Like the service, it silently ignores forbid-overwrite in a bucket that was
// ever versioned.
func (x *exchange) store(v *version, u *upload, respond func() error) error {
	x.s.mu.Lock()
	b := x.s.buckets[x.bucket]
	if b == nil {
		x.s.mu.Unlock()
		return errNoSuchBucket
	}
	err := x.putCondition(b.latest(x.key))
	if u != nil && b.uploads[u.id] != u {
		err = errNoSuchUpload // another complete or an abort was faster
	}
	if err == nil && x.createOnly() && b.versioning == "" && b.exists(x.key) && x.s.unsure("create-commit") == "checked" {
		err = errExists
		if x.s.unsure("create-race") == "PathConflict" {
			err = errRace // another writer created the object after checkCreate
		}
	}
	if err == nil {
		v.modified = x.s.o.Now()
		if x.s.o.ListLag > 0 && b.versioning == "" {
			v.replaced = x.s.listed(b.objects[x.key])
		}
		b.put(x.key, v)
		b.setVersionHeader(x.out.Header(), v, u != nil)
		v.echoEncryption(x.out.Header())
		if u != nil {
			delete(b.uploads, u.id)
		}
	}
	x.s.mu.Unlock()
	if err != nil {
		return err
	}
	return respond()
}
