package aws

// A Lifecycle is the input of s3 PutBucketLifecycleConfiguration.
type Lifecycle struct {
	Rules []LifecycleRule
}

// A LifecycleRule selects objects that S3 removes automatically.
type LifecycleRule struct {
	ID                             string
	Filter                         LifecycleFilter
	Status                         string
	Expiration                     *Expiration           `json:",omitempty"`
	NoncurrentVersionExpiration    *NoncurrentExpiration `json:",omitempty"`
	AbortIncompleteMultipartUpload *AbortUploads         `json:",omitempty"`
}

// A LifecycleFilter selects objects.
type LifecycleFilter struct{ Prefix string }

// An Expiration removes each current object when it is Days days old, or delete markers without old
// versions. S3 refuses both in one rule.
type Expiration struct {
	Days                      int  `json:",omitempty"`
	ExpiredObjectDeleteMarker bool `json:",omitempty"`
}

// A NoncurrentExpiration removes old versions, NoncurrentDays after they were replaced.
type NoncurrentExpiration struct{ NoncurrentDays int }

// AbortUploads aborts incomplete multipart uploads.
type AbortUploads struct{ DaysAfterInitiation int }

// A PublicAccessBlock is the input of s3 PutPublicAccessBlock.
type PublicAccessBlock struct {
	BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets bool
}

// A Versioning is the input of s3 PutBucketVersioning.
type Versioning struct{ Status string }

func (o *Options) lifecycle() *Lifecycle {
	bots := LifecycleFilter{Prefix: "bots/"}
	l := &Lifecycle{}
	if o.ExpireDays > 0 {
		l.Rules = append(l.Rules, LifecycleRule{
			ID: "objectvault-expire", Filter: bots, Status: "Enabled",
			Expiration:                  &Expiration{Days: o.ExpireDays},
			NoncurrentVersionExpiration: &NoncurrentExpiration{o.ExpireDays},
		}, LifecycleRule{
			// S3 does this for a rule with Days, too. RGW 16.2.15 keeps the marker of the last key.
			ID: "objectvault-delete-markers", Filter: bots, Status: "Enabled",
			Expiration: &Expiration{ExpiredObjectDeleteMarker: true},
		})
	}
	l.Rules = append(l.Rules, LifecycleRule{
		ID: "objectvault-abort-uploads", Filter: bots, Status: "Enabled",
		AbortIncompleteMultipartUpload: &AbortUploads{1},
	})
	return l
}

// publicAccessBlock blocks all public access that the service can block. RGW 16.2.15 denies every
// put by a role if BlockPublicAcls is on. It refuses every bucket policy that allows a role
// something if BlockPublicPolicy is on.
func (o *Options) publicAccessBlock(bucket *Policy) *PublicAccessBlock {
	if o.Dialect == RGW {
		return &PublicAccessBlock{false, true, bucket == nil, true}
	}
	return &PublicAccessBlock{true, true, true, true}
}
