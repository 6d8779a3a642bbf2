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

// CreateBucket creates a bucket that belongs to the owner. Versioning is "", Enabled or Suspended.
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

// SetVersioning sets the versioning of a bucket to Enabled or Suspended. Unlike the service, it can
// also set an empty bucket back to "".
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
		return fmt.Errorf("costest: versioning must be Enabled, Suspended or empty, not %q", state)
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

// named returns the bucket with the name. If the bucket was deleted after the request found it,
// named returns an empty bucket, as if the request had come first. The caller must hold s.mu.
func (s *Server) named(name string) *bucket {
	if b := s.buckets[name]; b != nil {
		return b
	}
	return s.newBucket(name)
}

// currentBucket returns the bucket of the exchange. The caller must hold s.mu.
func (x *exchange) currentBucket() *bucket { return x.s.named(x.bucket) }

func (x *exchange) bucketThere() error {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if x.s.buckets[x.bucket] == nil {
		return errNoSuchBucket
	}
	return nil
}

// putBucket handles PUT Bucket.
func (x *exchange) putBucket() error {
	if err := x.s.checkBucketName(x.bucket); err != nil {
		return err
	}
	if appID(x.bucket) != x.s.appid {
		return errAccessDenied // the bucket belongs to another account
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
		return errNotImplemented // availability zones and access points
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

// headBucket handles HEAD Bucket.
func (x *exchange) headBucket() error {
	x.out.Header().Set("X-Cos-Bucket-Region", x.s.o.Region)
	x.out.WriteHeader(http.StatusOK)
	return nil
}

// deleteBucket handles DELETE Bucket. The bucket must contain no objects, old versions or multipart
// uploads.
func (x *exchange) deleteBucket() error {
	x.s.mu.Lock()
	b := x.currentBucket()
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

// getService handles the list of buckets.
func (x *exchange) getService() error {
	id := "qcs::cam::uin/" + x.s.o.OwnerUin + ":uin/" + x.s.o.OwnerUin
	out := serviceXML{Owner: ownerXML{id, x.s.o.OwnerUin}}
	x.s.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(x.s.buckets)) {
		if x.region != "" && x.region != x.s.o.Region {
			break // all buckets are in the other region
		}
		b := x.s.buckets[name]
		out.Buckets = append(out.Buckets, serviceBucketXML{name, x.s.o.Region, b.created.UTC().Format("2006-01-02T15:04:05Z"), "cos"})
	}
	x.s.mu.Unlock()
	x.sendXML(http.StatusOK, out)
	return nil
}

// getLocation handles GET ?location.
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

// getVersioning handles GET ?versioning. The response has no Status if versioning was never
// enabled.
func (x *exchange) getVersioning() error {
	x.s.mu.Lock()
	out := versioningXML{Status: x.currentBucket().versioning}
	x.s.mu.Unlock()
	x.sendXML(http.StatusOK, out)
	return nil
}

// putVersioning handles PUT ?versioning.
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
	b := x.currentBucket()
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
