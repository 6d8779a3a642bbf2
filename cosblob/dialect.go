// # Requests
//
// What COS demands of each request that this package makes, or takes in its own way, by its documents
// (https://www.tencentcloud.com/document/product/436/NUMBER) and by trackers. What is not named is
// not known. COS speaks a dialect of S3 as well, at the same hosts, whose compatibility it does not
// promise (436/37421): this package does not use it.
//
//	every request
//	  the bucket is a host name; a path in its place is refused, PathStyleDomainForbidden
//	  what the signature lists is covered, and nothing else (436/7778): host and every parameter are listed,
//	  and strict signature mode (436/53889) can demand it
//	PutObject (436/7749)
//	  Content-Length or chunks; Content-MD5 is optional and compared, 400 BadDigest: it is sent
//	  x-cos-forbid-overwrite is honoured only in a bucket that never had versioning
//	  409 PathConflict or UploadConflict while another request writes the key: sent again
//	  no chunks and none of S3's checksum headers are sent
//	InitiateMultipartUpload (436/7746)
//	  Content-Length 0, and the headers of PutObject, x-cos-forbid-overwrite too; no Content-MD5
//	UploadPart (436/7750)
//	  Content-Length, and no chunks; Content-MD5 is optional: the CRC64 of the response is compared instead
//	  1 MiB at least, but for the last part (436/14518)
//	CompleteMultipartUpload (436/7742)
//	  Content-MD5 of the document, which the SDK sends; x-cos-forbid-overwrite a second time
//	  200 at once, then spaces, and an error as body: the body decides
//	AbortMultipartUpload (436/7740)
//	  404 NoSuchUpload for one that is over
//	GetObject (436/7753), HeadObject (436/7745)
//	  one range; a suffix is not documented, and not asked for
//	  a CDN in front may ignore the range: a 200 is an error
//	GetBucket (436/7734)
//	  marker and max-keys, no list of version 2; encoding-type=url, since XML cannot hold every key
//	PutObject - Copy (436/10881), Upload Part - Copy (436/8287)
//	  the source is named by its host; 5 GB at most in one request
//	DeleteObject (436/7743)
//	  204 also for what is not there
//
// Package providers/tencent sends, besides: multi-delete (436/8289), which demands Content-MD5, and the
// SDK sends it with every XML body; GetBucketObjectVersions (436/31551); GetBucketVersioning and, for
// the doctor, the lifecycle, ACL, policy and strict-signature of the bucket and
// ListMultipartUploads (436/7736); AssumeRoleWithWebIdentity and GetCallerIdentity of STS.
package cosblob
