package costest

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

var errNoSuchBucket = failure(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist.")

// CreateBucket makes a bucket as the owner. Versioning is "", Enabled or Suspended.
func (s *Server) CreateBucket(name, versioning string) error {
	if err := s.checkBucketName(name); err != nil {
		return fmt.Errorf("costest: bucket %q: %w", name, err)
	}
	if err := checkVersioning(versioning); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] != nil {
		return fmt.Errorf("costest: bucket %q exists", name)
	}
	s.buckets[name] = s.newBucket(name)
	s.buckets[name].versioning = versioning
	return nil
}

// SetVersioning switches a bucket to Enabled or Suspended, or, as the service never
// does, an empty bucket back to "".
func (s *Server) SetVersioning(name, versioning string) error {
	if err := checkVersioning(versioning); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	switch {
	case b == nil:
		return fmt.Errorf("costest: no bucket %q", name)
	case versioning == "" && len(b.objects) > 0:
		return fmt.Errorf("costest: bucket %q is not empty", name)
	}
	b.setVersioning(versioning)
	return nil
}

func checkVersioning(state string) error {
	if !slices.Contains([]string{"", "Enabled", "Suspended"}, state) {
		return fmt.Errorf("costest: versioning is Enabled, Suspended or empty, not %q", state)
	}
	return nil
}

func (s *Server) newBucket(name string) *bucket {
	return &bucket{
		name: name, created: s.o.Now(), objects: make(map[string][]*version),
		uploads: make(map[string]*upload), config: make(map[string][]byte),
		newID: s.newVersionID,
	}
}

// named returns a bucket. One that was deleted since it was looked for has nothing in
// it, as if the request had come first. s.mu is held.
func (s *Server) named(name string) *bucket {
	if b := s.buckets[name]; b != nil {
		return b
	}
	return s.newBucket(name)
}

// here is the bucket of the exchange. s.mu is held.
func (x *exchange) here() *bucket { return x.s.named(x.bucket) }

func (x *exchange) bucketThere() error {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if x.s.buckets[x.bucket] == nil {
		return errNoSuchBucket
	}
	return nil
}

// putBucket answers PUT of a bucket.
func (x *exchange) putBucket() error {
	if err := x.s.checkBucketName(x.bucket); err != nil {
		return err
	}
	if appID(x.bucket) != x.s.appid {
		return errAccessDenied // another account's
	}
	a, err := x.s.headerACL(x.r.Header, bucketACLs)
	if err != nil {
		return err
	}
	body, err := x.readDocument(false)
	if err != nil {
		return err
	}
	if len(body) > 0 {
		return errNotImplemented // zones and access points
	}
	x.s.mu.Lock()
	_, taken := x.s.buckets[x.bucket]
	if !taken {
		b := x.s.newBucket(x.bucket)
		b.acl = a
		x.s.buckets[x.bucket] = b
	}
	x.s.mu.Unlock()
	if taken {
		return failure(http.StatusConflict, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.")
	}
	x.out.WriteHeader(http.StatusOK)
	return nil
}

// headBucket answers HEAD of a bucket.
func (x *exchange) headBucket() error {
	x.out.Header().Set("X-Cos-Bucket-Region", x.s.o.Region)
	x.out.WriteHeader(http.StatusOK)
	return nil
}

// deleteBucket answers DELETE of a bucket, which must be empty, of old versions and uploads, too.
func (x *exchange) deleteBucket() error {
	x.s.mu.Lock()
	b := x.here()
	empty := len(b.objects) == 0 && len(b.uploads) == 0
	if empty {
		delete(x.s.buckets, x.bucket)
	}
	x.s.mu.Unlock()
	if !empty {
		return failure(http.StatusConflict, "BucketNotEmpty", "The bucket you tried to delete is not empty.")
	}
	x.out.WriteHeader(http.StatusNoContent)
	return nil
}

type serviceXML struct {
	XMLName xml.Name `xml:"ListAllMyBucketsResult"`
	Owner   ownerXML
	Buckets []serviceBucketXML `xml:"Buckets>Bucket"`
}

type serviceBucketXML struct {
	Name         string
	Location     string
	CreationDate string
	BucketType   string
}

// getService answers the list of buckets.
func (x *exchange) getService() error {
	id := "qcs::cam::uin/" + x.s.o.OwnerUin + ":uin/" + x.s.o.OwnerUin
	out := serviceXML{Owner: ownerXML{id, x.s.o.OwnerUin}}
	x.s.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(x.s.buckets)) {
		if x.region != "" && x.region != x.s.o.Region {
			break // all are in that one
		}
		b := x.s.buckets[name]
		out.Buckets = append(out.Buckets, serviceBucketXML{name, x.s.o.Region, b.created.UTC().Format("2006-01-02T15:04:05Z"), "cos"})
	}
	x.s.mu.Unlock()
	x.sendXML(http.StatusOK, out)
	return nil
}

// getLocation answers GET ?location.
func (x *exchange) getLocation() error {
	x.sendXML(http.StatusOK, struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		Region  string   `xml:",chardata"`
	}{Region: x.s.o.Region})
	return nil
}

type versioningXML struct {
	XMLName xml.Name `xml:"VersioningConfiguration"`
	Status  string   `xml:",omitempty"`
}

// getVersioning answers GET ?versioning: without a Status if it was never enabled.
func (x *exchange) getVersioning() error {
	x.s.mu.Lock()
	out := versioningXML{Status: x.here().versioning}
	x.s.mu.Unlock()
	x.sendXML(http.StatusOK, out)
	return nil
}

// putVersioning answers PUT ?versioning.
func (x *exchange) putVersioning() error {
	var doc versioningXML
	if err := x.readXML(false, &doc); err != nil {
		return err
	}
	status := strings.TrimSpace(doc.Status)
	if status != "Enabled" && status != "Suspended" {
		return errMalformedXML
	}
	x.s.mu.Lock()
	b := x.here()
	never := b.versioning == "" && status == "Suspended"
	if !never {
		b.setVersioning(status)
	}
	x.s.mu.Unlock()
	if never {
		return failure(http.StatusConflict, "InvalidBucketState", "Versioning was never enabled.")
	}
	x.out.WriteHeader(http.StatusOK)
	return nil
}
