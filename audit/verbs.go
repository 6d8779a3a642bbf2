package audit

import "strings"

// verbOf returns the verb of an operation by its name in the API of S3 or COS, such as GetObject.
func verbOf(operation string) Verb {
	switch operation {
	case "GetObject", "SelectObjectContent", "GetObjectTorrent":
		return VerbRead
	case "HeadObject", "HeadBucket", "OptionsObject":
		return VerbStat
	case "GetBucket", "GetService", "ListAllMyBuckets":
		return VerbList
	case "PutObject", "PostObject", "CopyObject", "PutObjectCopy", "AppendObject", "CreateMultipartUpload",
		"InitiateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "AbortMultipartUpload",
		"RestoreObject", "PostObjectRestore":
		return VerbWrite
	case "DeleteObject", "DeleteObjects", "DeleteMultipleObjects", "DeleteMultipleObject":
		return VerbDelete
	}
	switch {
	case strings.HasPrefix(operation, "List"), strings.HasSuffix(operation, "ObjectVersions"):
		return VerbList
	case strings.HasPrefix(operation, "Get"), strings.HasPrefix(operation, "Head"):
		return VerbStat
	case strings.HasPrefix(operation, "Put"), strings.HasPrefix(operation, "Delete"), strings.HasPrefix(operation, "Create"):
		return VerbConfigure
	}
	return VerbOther
}
