// # Dialects
//
// This is a list of what other services require of a request, or do not support, according to their
// documentation and to issue trackers. Everything else is unknown. The numbers refer to the sources
// below. "Tested" means that the tests of this package show it on Ceph RGW 16.2.15 and versitygw 1.8.0.
//
//	every request
//	  GCS          Accept-Encoding must not be signed, because the front end of GCS rewrites it [7];
//	               one client also omitted amz-sdk-invocation-id, amz-sdk-request and x-id [8], other
//	               clients did not need to [7]
//	  R2           ignores x-id [2]
//	  OSS          the bucket as host name, not in the path [12]
//	PutObject
//	  AWS          in a bucket with Object Lock, requires Content-MD5 or x-amz-checksum-*, else 400 InvalidRequest [1]
//	  R2           takes Content-MD5 [3]; refused x-amz-checksum-* with 501 [4], later took CRC32 [5]; no
//	               x-amz-server-side-encryption [3]
//	  GCS          refuses the newer checksums [7]
//	  B2           refuses x-amz-checksum-* and x-amz-sdk-checksum-algorithm with 400 [9]; one tester saw
//	               that us-east-005 accepts CRC32 [10]
//	  OSS          refuses aws-chunked with a trailer, 400 InvalidArgument [13]
//	  MinIO        accepts a write without a checksum in a bucket with Object Lock [15]
//	  SeaweedFS    stored the trailer of aws-chunked as content where IAM was off, before June 2025 [17]
//	  versitygw    accepts a write without a checksum in a bucket with Object Lock [19]; Content-MD5: tested
//	  Ceph         Content-MD5 and CRC32: tested
//	  Garage       most x-amz- headers are not implemented [20]; checksums: not known
//	PutObject with If-None-Match or If-Match
//	  AWS          409 ConditionalRequestConflict: send it again [1]
//	  R2           supports conditions; an upload no longer exists after its condition failed [2]
//	  B2           501 NotImplemented [10]
//	  GCS          compares generations, x-goog-if-generation-match, instead [22]
//	  OSS          has x-oss-forbid-overwrite instead [22]; the S3 headers: not known
//	  MinIO        supported [14]
//	  SeaweedFS    atomic since March 2026 [18]
//	  versitygw    supported: tested
//	  Ceph         version 16 ignores If-None-Match in a bucket with versioning, and wants the tag of If-Match
//	               without quotes: tested
//	  Garage       not known
//	CreateMultipartUpload
//	  AWS          supports no condition [1]
//	  R2, B2, GCS, OSS, MinIO, Garage, Ceph, SeaweedFS, versitygw
//	               have it [3] [11] [6] [12] [14] [20]; no known requirements
//	UploadPart
//	  AWS          as PutObject, in a bucket with Object Lock [23]
//	  R2           all parts except the last must have the same size [21]
//	  B2, OSS      as PutObject [9] [13]
//	  others       as PutObject, as far as known
//	UploadPartCopy
//	  R2           has it, also with conditions [3]; all parts except the last must have the same size [21]
//	  Ceph         version 16 denies it to every role, decodes x-amz-copy-source twice, and ignores
//	               x-amz-copy-source-if-match: tested
//	  versitygw, SeaweedFS
//	               support ranges and x-amz-copy-source-if-match: tested. If the source has a checksum,
//	               versitygw returns it as the checksum of the part: tested
//	  others       not known
//	CompleteMultipartUpload
//	  AWS          409 ConditionalRequestConflict: the upload must be repeated [1]
//	  R2           after a failed condition the upload no longer exists: an abort returns 404 [2]
//	  SeaweedFS    conditions are atomic since March 2026 [18]; in a bucket with versioning, two of four
//	               concurrent writes with the same If-Match succeeded once: tested
//	  Ceph         version 16 ignores conditions: tested
//	  versitygw    supported: tested
//	  others       not known
//	AbortMultipartUpload, GetObject with Range, HeadObject, ListObjectsV2
//	  R2, B2, OSS, Garage
//	               have them [3] [11] [12] [20]; no known requirements
//	  others       not known to differ
//	DeleteObject
//	  R2, B2, OSS, Garage
//	               have it [3] [11] [12] [20]; no known requirements
//	  others       not known to differ
//	DeleteObjects
//	  AWS          documents Content-MD5 or a checksum as required [1]
//	  MinIO        before 2025 required Content-MD5, and returned 400 MissingContentMD5 without it [16]
//	  OSS          Content-MD5, else 400 MissingArgument [12] [24]
//	  GCS          returned 400 InvalidArgument for a long time [25]; supports it now, without a checksum [6]
//	  B2           supports it [11]; refuses the newer checksums [9]
//	  R2, Garage   support it [3] [20]; requirements unknown
//	  SeaweedFS    supports it [18]; requirements unknown
//	  versitygw    did not know x-amz-sdk-checksum-algorithm [26]; Content-MD5: tested
//	  Ceph         returns 403 for the whole request if one key is refused: tested; Content-MD5: tested
//	ListObjectVersions
//	  Garage       501: no versions [20]
//	  OSS          not among the operations of its S3 dialect [12]
//	  GCS          failed in a test with an S3 client [25]
//	  B2           has it [11]
//	  R2           not among the operations on buckets that it lists as implemented [3]
//	  Ceph, versitygw
//	               have it: tested
//	  MinIO, SeaweedFS
//	               have versions [14] [18]
//	GetBucketVersioning, which only the doctor uses
//	  R2           not implemented [3]
//	  Garage       a stub without function [20]
//	  OSS          not among its operations [12]
//	  B2           has it [11]
//	GetBucketLifecycleConfiguration
//	  R2, OSS      have it [3] [12]
//	  B2, Garage   not among their operations [11] [20]
//	  versitygw    501: tested
//	GetBucketPolicy
//	  R2           not implemented [3]
//	  B2, OSS, Garage
//	               not among their operations [11] [12] [20]
//	GetBucketAcl, GetPublicAccessBlock, GetBucketOwnershipControls, CopyObject
//	  are not sent. R2 does not support the first three [3], and MinIO does not support the second and third [14].
//	ListMultipartUploads, by the doctor
//	  MinIO        accepts only a whole key as the prefix [14]
//	HeadBucket with an expected owner, which the doctor sends only to AWS
//	  R2           does not support the header [3]
//	AssumeRoleWithWebIdentity
//	  AWS, Ceph, SeaweedFS, MinIO support it. If two exchanges for the same new subject run at the same
//	  time, Ceph 16 may respond to one of them with 409. Not known: whether R2, B2, GCS and Garage
//	  support it, whether OSS supports it by this name, and whether versitygw supports it with a
//	  private issuer.
//	GetCallerIdentity
//	  is sent only to AWS.
//
// So if the server is not AWS, each PutObject, UploadPart and DeleteObjects sends Content-MD5,
// which all servers support, and no newer checksum. Config.Checksum can select another one for the
// first two. AWS gets the checksums of the SDK, also at a configured endpoint. If a server does not support DeleteObjects, the store sends one DeleteObject
// for each object from then on. If a server does not support lists of versions, the store has no
// history, and a teardown deletes only current objects. A condition is never omitted. If a server
// rejects it, the write fails. If a server ignores it, the write may replace an object. The store
// verifies that the server really copies a range of an object. If it does not, or if it refuses
// the copy, a rewrap sends the object through the client.
//
//	[1]  https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html, API_CompleteMultipartUpload.html, API_DeleteObjects.html
//	[2]  https://developers.cloudflare.com/r2/reference/changelog/ (2023-08-11, 2023-12-11)
//	[3]  https://developers.cloudflare.com/r2/api/s3/api/
//	[4]  https://github.com/cloudflare/cloudflare-docs/pull/19236
//	[5]  https://github.com/skypilot-org/skypilot/pull/5282
//	[6]  https://docs.cloud.google.com/storage/docs/xml-api/post-bucket, https://github.com/ClickHouse/ClickHouse/pull/49390
//	[7]  https://github.com/aws/aws-sdk-go-v2/issues/1816, https://github.com/benbjohnson/litestream/issues/1386
//	[8]  https://github.com/afreidah/s3-orchestrator/pull/229
//	[9]  https://github.com/home-assistant/core/issues/143995, https://github.com/stonith404/pingvin-share/issues/798
//	[10] https://github.com/sathinduga/obsidian-s3-sync-and-backup/pull/84
//	[11] https://www.backblaze.com/apidocs/introduction-to-the-s3-compatible-api
//	[12] https://help.aliyun.com/en/oss/developer-reference/compatibility-with-amazon-s3, https://help.aliyun.com/en/oss/developer-reference/use-aws-sdks-to-access-oss
//	[13] https://www.alibabacloud.com/help/en/oss/user-guide/0017-00000804, https://github.com/apache/polaris/issues/3346
//	[14] https://docs.min.io/enterprise/aistor-object-store/developers/s3-api-compatibility
//	[15] https://github.com/minio/minio/issues/16480
//	[16] https://github.com/minio/minio/issues/20845, https://github.com/aws/aws-sdk-go-v2/issues/3258
//	[17] https://github.com/seaweedfs/seaweedfs/issues/6895
//	[18] https://github.com/seaweedfs/seaweedfs/pull/8802
//	[19] https://github.com/versity/versitygw/issues/1535
//	[20] https://garagehq.deuxfleurs.fr/documentation/reference-manual/s3-compatibility, https://garagehq.deuxfleurs.fr/reference_manual/s3_compatibility.html
//	[21] https://gist.github.com/johnspurlock-skymethod/6027c81953f81aa535d889d86a1061ba
//	[22] https://github.com/gaul/undocumented-s3-apis/issues/4
//	[23] https://github.com/s3tools/s3cmd/issues/1436
//	[24] https://help.aliyun.com/zh/oss/support/0016-00000606, https://github.com/stormkit-io/stormkit-io/pull/142
//	[25] https://gist.github.com/harshavardhana/5d4d7410afb02ec9837e2b4d82a932e7
//	[26] https://github.com/versity/versitygw/issues/1355
package aws

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"hash"
	"hash/crc32"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/objectvault/objectvault/vault"
)

// checksums returns the Content-MD5 or the CRC32 of a body, or nil. The SDK would send the CRC32 over https
// in a trailer of aws-chunked, which some servers refuse.
func (p *publisher) checksums(body io.Reader) (md5sum, crc *string) {
	switch p.sum {
	case "md5":
		return sumOfBody(md5.New(), body), nil
	case "crc32":
		return nil, sumOfBody(crc32.NewIEEE(), body)
	}
	return nil, nil
}

// sumOfBody returns the sum of a body in Base64, or nil if the body cannot be read twice. It restores the
// position of the body.
func sumOfBody(sum hash.Hash, body io.Reader) *string {
	s, ok := body.(io.ReadSeeker)
	if !ok {
		return nil
	}
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil
	}
	_, err = io.Copy(sum, s)
	if _, berr := s.Seek(at, io.SeekStart); err != nil || berr != nil {
		return nil // sending the body reports it
	}
	return aws.String(base64.StdEncoding.EncodeToString(sum.Sum(nil)))
}

// withMD5 is an option for DeleteObjects. If the server is not AWS, it replaces the CRC32 of the SDK with
// Content-MD5, for which the SDK has no setting.
// https://docs.aws.amazon.com/sdk-for-go/v2/developer-guide/s3-checksums.html
func (s *store) withMD5(o *s3.Options) {
	if !s.other {
		return
	}
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		// Remove returns an error if the SDK adds no checksum.
		_, _ = stack.Initialize.Remove("AWSChecksum:SetupInputContext")
		_, _ = stack.Finalize.Remove("AWSChecksum:ComputeInputPayloadChecksum")
		_, _ = stack.Finalize.Remove("addInputChecksumTrailer")
		return smithyhttp.AddContentChecksumMiddleware(stack)
	})
}

// noMultiDelete reports whether a server does not support DeleteObjects. A missing permission does not
// count.
func noMultiDelete(err error) bool {
	f := failureOf(err)
	return err != nil && effectOf(err) == vault.Refused && f.reason == vault.ReasonUnknown &&
		(f.sentinel == vault.ErrUnsupported || f.sentinel == vault.ErrRefused)
}

// removeEach deletes each object or version with one request.
func (s *store) removeEach(ctx context.Context, leftovers []vault.Leftover) (failed map[vault.Leftover]error, err error) {
	failed = make(map[vault.Leftover]error)
	for _, l := range leftovers {
		in := &s3.DeleteObjectInput{Bucket: aws.String(s.bucket), Key: aws.String(l.Key)}
		if l.ID != "" {
			in.VersionId = aws.String(l.ID)
		}
		_, err := s.client.DeleteObject(ctx, in, noRepeat)
		if err == nil || isGone(l, code(err)) {
			continue
		}
		cause := explain(err)
		switch {
		case cause == nil, errors.Is(cause, vault.ErrUnavailable), errors.Is(cause, vault.ErrUnauthenticated), errors.Is(cause, context.Canceled):
			return nil, err // the next request would fail, too
		}
		failed[l] = cause
	}
	return failed, nil
}
