// # Requests
//
// This is a list of the special rules of COS for each request of this package. The sources are the
// documentation of COS (https://www.tencentcloud.com/document/product/436/NUMBER) and issue
// trackers. COS also supports a dialect of S3 on the same hosts, but does not promise that it is
// compatible (436/37421), so this package does not use it.
//
//	every request
//	  the bucket is part of the host name; a bucket in the path is refused with PathStyleDomainForbidden
//	  the signature covers only the headers and parameters that it lists (436/7778); this package lists the
//	  host and every parameter, as strict signature mode (436/53889) requires
//	PutObject (436/7749)
//	  Content-Length or chunks; COS compares an optional Content-MD5 (400 BadDigest), and this package sends it
//	  x-cos-forbid-overwrite works only in a bucket that never had versioning
//	  409 PathConflict or UploadConflict while another request writes the key; this package repeats the request
//	  this package sends no chunks and no checksum headers of S3
//	InitiateMultipartUpload (436/7746)
//	  Content-Length 0, and the headers of PutObject, including x-cos-forbid-overwrite, but no Content-MD5
//	UploadPart (436/7750)
//	  Content-Length, and no chunks; this package compares the CRC64 in the response and sends no Content-MD5
//	  every part except the last has at least 1 MiB (436/14518)
//	CompleteMultipartUpload (436/7742)
//	  Content-MD5 of the document, which the SDK sends; x-cos-forbid-overwrite again
//	  200 immediately, then spaces, and then possibly an error as the body: only the body shows the outcome
//	AbortMultipartUpload (436/7740)
//	  404 NoSuchUpload for an upload that has ended
//	GetObject (436/7753), HeadObject (436/7745)
//	  only one range; suffix ranges are not documented, and this package does not use them
//	  a CDN may ignore the range, so a 200 is an error
//	GetBucket (436/7734)
//	  marker and max-keys, because there is no ListObjectsV2; encoding-type=url, because XML cannot contain every key
//	PutObject - Copy (436/10881), Upload Part - Copy (436/8287)
//	  the name of the source contains its host; one request copies at most 5 GB
//	DeleteObject (436/7743)
//	  204 even if the object does not exist
//
// Package providers/tencent also sends: multi-delete (436/8289), which requires the Content-MD5 that
// the SDK sends with every XML body; GetBucketObjectVersions (436/31551); GetBucketVersioning;
// AssumeRoleWithWebIdentity and GetCallerIdentity of STS. For the command vault doctor it also
// reads the lifecycle, ACL, policy and strict-signature configuration of the bucket, and sends
// ListMultipartUploads (436/7736).
package cosblob
