package costest

import (
	"net/http"
	"slices"
	"strings"
)

// An operation is one call of the object API.
type operation struct {
	name    string
	actions []string // actions for which the caller needs permission, on the object or the bucket
	serve   func(*exchange) error

	needsKey     bool
	anyBucket    bool // the bucket need not exist
	judgesItself bool // the operation checks the permissions itself
}

func bucketCall(name string, serve func(*exchange) error) *operation {
	return &operation{name: name, actions: []string{name}, serve: serve}
}

func objectCall(name string, serve func(*exchange) error, more ...string) *operation {
	return &operation{name: name, actions: append([]string{name}, more...), serve: serve, needsKey: true}
}

// A routeKey is a method and the query parameter that selects the call, or "" for the basic call.
type routeKey struct{ method, param string }

var bucketCalls = map[routeKey]*operation{
	{"GET", ""}:                    bucketCall("GetBucket", (*exchange).listObjects),
	{"GET", "versions"}:            bucketCall("GetBucketObjectVersions", (*exchange).listVersions),
	{"GET", "uploads"}:             bucketCall("ListMultipartUploads", (*exchange).listUploads),
	{"HEAD", ""}:                   bucketCall("HeadBucket", (*exchange).headBucket),
	{"PUT", ""}:                    {name: "PutBucket", actions: []string{"PutBucket"}, serve: (*exchange).putBucket, anyBucket: true},
	{"DELETE", ""}:                 bucketCall("DeleteBucket", (*exchange).deleteBucket),
	{"POST", "delete"}:             {name: "DeleteMultipleObjects", serve: (*exchange).deleteMany, judgesItself: true},
	{"GET", "location"}:            bucketCall("GetBucketLocation", (*exchange).getLocation),
	{"GET", "versioning"}:          bucketCall("GetBucketVersioning", (*exchange).getVersioning),
	{"PUT", "versioning"}:          bucketCall("PutBucketVersioning", (*exchange).putVersioning),
	{"GET", "acl"}:                 bucketCall("GetBucketACL", (*exchange).getACL),
	{"PUT", "acl"}:                 bucketCall("PutBucketACL", (*exchange).putACL),
	{"GET", "tagging"}:             bucketCall("GetBucketTagging", (*exchange).getConfig),
	{"PUT", "tagging"}:             bucketCall("PutBucketTagging", (*exchange).putConfig),
	{"DELETE", "tagging"}:          bucketCall("DeleteBucketTagging", (*exchange).deleteConfig),
	{"GET", "lifecycle"}:           bucketCall("GetBucketLifecycle", (*exchange).getConfig),
	{"PUT", "lifecycle"}:           bucketCall("PutBucketLifecycle", (*exchange).putConfig),
	{"DELETE", "lifecycle"}:        bucketCall("DeleteBucketLifecycle", (*exchange).deleteConfig),
	{"GET", "policy"}:              bucketCall("GetBucketPolicy", (*exchange).getPolicy),
	{"PUT", "policy"}:              bucketCall("PutBucketPolicy", (*exchange).putPolicy),
	{"DELETE", "policy"}:           bucketCall("DeleteBucketPolicy", (*exchange).deleteConfig),
	{"GET", "strict-signature"}:    bucketCall("GetBucketStrictSignature", (*exchange).getConfig),
	{"PUT", "strict-signature"}:    bucketCall("PutBucketStrictSignature", (*exchange).putConfig),
	{"DELETE", "strict-signature"}: bucketCall("DeleteBucketStrictSignature", (*exchange).deleteConfig),
	{"GET", "logging"}:             bucketCall("GetBucketLogging", (*exchange).getConfig),
	{"PUT", "logging"}:             bucketCall("PutBucketLogging", (*exchange).putConfig),
}

var objectCalls = map[routeKey]*operation{
	{"GET", ""}:            objectCall("GetObject", (*exchange).getObject),
	{"HEAD", ""}:           objectCall("HeadObject", (*exchange).getObject),
	{"PUT", ""}:            objectCall("PutObject", (*exchange).putObject),
	{"DELETE", ""}:         objectCall("DeleteObject", (*exchange).deleteObject),
	{"POST", "uploads"}:    objectCall("InitiateMultipartUpload", (*exchange).initiate),
	{"PUT", "uploadId"}:    objectCall("UploadPart", (*exchange).uploadPart),
	{"POST", "uploadId"}:   objectCall("CompleteMultipartUpload", (*exchange).complete),
	{"DELETE", "uploadId"}: objectCall("AbortMultipartUpload", (*exchange).abort),
	{"GET", "uploadId"}:    objectCall("ListParts", (*exchange).listParts),
	{"GET", "acl"}:         objectCall("GetObjectACL", (*exchange).getACL),
	{"PUT", "acl"}:         objectCall("PutObjectACL", (*exchange).putACL),
	{"GET", "tagging"}:     objectCall("GetObjectTagging", (*exchange).getTagging),
	{"PUT", "tagging"}:     objectCall("PutObjectTagging", (*exchange).putTagging),
	{"DELETE", "tagging"}:  objectCall("DeleteObjectTagging", (*exchange).deleteTagging),
}

var (
	// A copy checks the permission for its source itself, after parsing it.
	copyCall     = &operation{name: "CopyObject", actions: []string{"PutObject"}, serve: (*exchange).copyObject, needsKey: true}
	partCopyCall = &operation{name: "UploadPartCopy", actions: []string{"UploadPart", "PutObject"}, serve: (*exchange).copyPart, needsKey: true}
	serviceCall  = &operation{name: "GetService", actions: []string{"GetService"}, serve: (*exchange).getService, anyBucket: true}
)

// subresources are the parameters that select another call. A request with one of them that is not
// in the tables above must not be handled as a basic get or put.
var subresources = []string{
	"acl", "append", "cors", "ci-process", "delete", "domain", "domaincertificate", "encryption", "image_process",
	"intelligenttiering", "inventory", "lifecycle", "list-type", "location", "logging", "notification", "object-lock",
	"origin", "partNumber", "policy", "policyStatus", "publicAccessBlock", "referer", "replication", "restore",
	"retention", "select", "strict-signature", "symlink", "tagging", "torrent", "uploadId", "uploads", "versioning",
	"versions", "website", "accelerate", "callback",
}

var (
	errNotImplemented = failure(http.StatusNotImplemented, "NotImplemented", "A header or parameter you provided implies functionality that is not implemented.")
	errMethod         = failure(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
)

// route returns the operation of a request.
func route(r *http.Request, at place, key string, q query) (*operation, error) {
	if at == atService {
		if r.Method != http.MethodGet || key != "" {
			return nil, errMethod
		}
		return serviceCall, nil
	}
	calls := objectCalls
	if key == "" {
		calls = bucketCalls
	}
	var sub []string
	for _, p := range q {
		if strings.HasPrefix(p.name, "image") {
			return nil, errNotImplemented // imageMogr2 and similar
		}
		if slices.Contains(subresources, p.name) && !slices.Contains(sub, p.name) {
			sub = append(sub, p.name)
		}
	}
	part := slices.Contains(sub, "partNumber")
	sub = slices.DeleteFunc(sub, func(name string) bool { return name == "partNumber" })
	if len(sub) > 1 {
		return nil, errNotImplemented
	}
	name := ""
	if len(sub) == 1 {
		name = sub[0]
	}
	op := calls[routeKey{r.Method, name}]
	upload := r.Method == http.MethodPut && name == "uploadId"
	switch {
	case part != upload:
		return nil, failure(http.StatusBadRequest, "InvalidArgument", "partNumber and uploadId go together.")
	case op == nil && name == "":
		return nil, errMethod
	case op == nil:
		return nil, errNotImplemented
	}
	if r.Header.Get("X-Cos-Copy-Source") != "" {
		switch op.name {
		case "PutObject":
			op = copyCall
		case "UploadPart":
			op = partCopyCall
		}
	}
	return op, nil
}
