package aws_test

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// holds checks the value at a key of the actor.
func (c cell) holds(key, want string) error {
	got, _, err := c.bytes(c.ctx, c.actor.raw, key)
	if err == nil && string(got) != want {
		err = fmt.Errorf("%s has another value", key)
	}
	return err
}

// listed reports whether the actor's listing contains a key.
func (c cell) listed(key string) (bool, error) {
	out, err := c.actor.raw.ListObjectsV2(c.ctx, &s3.ListObjectsV2Input{Bucket: &c.bucket, Prefix: &c.list})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(out.Contents, func(o types.Object) bool { return *o.Key == key }), nil
}

func (c cell) isListed(want bool) error {
	exists, err := c.listed(c.key)
	if err == nil && exists != want {
		err = fmt.Errorf("listed: %v, want %v", exists, want)
	}
	return err
}

func sdkPut(c cell) (all calls) {
	all.add("PUT", c.put(c.key, "new"))
	all.check(c.own, "read back", c.holds(c.key, "new"))
	return all
}

func sdkCreate(c cell) (all calls) {
	key := c.key
	if c.own {
		key = strings.TrimSuffix(key, ".enc") + "-created-by-the-sdk.enc"
	}
	_, err := c.actor.raw.PutObject(c.ctx, &s3.PutObjectInput{Bucket: &c.bucket, Key: &key, IfNoneMatch: awssdk.String("*"), Body: strings.NewReader("created")})
	all.add("PUT", err)
	all.check(c.own, "read back", c.holds(key, "created"))
	return all
}

func sdkGet(c cell) (all calls) {
	got, _, err := c.bytes(c.ctx, c.actor.raw, c.key)
	if c.own && err == nil && string(got) != ownValue {
		err = errors.New("another value")
	}
	all.add("GET", err)
	return all
}

func sdkRange(c cell) (all calls) {
	out, err := c.actor.raw.GetObject(c.ctx, &s3.GetObjectInput{Bucket: &c.bucket, Key: &c.key, Range: awssdk.String("bytes=5-7")})
	if err == nil {
		defer out.Body.Close()
		var got []byte
		if got, err = io.ReadAll(out.Body); err == nil && string(got) != ownValue[5:8] {
			err = errors.New("another value")
		}
	}
	all.add("GET", err)
	return all
}

func sdkStat(c cell) (all calls) {
	out, err := c.actor.raw.HeadObject(c.ctx, &s3.HeadObjectInput{Bucket: &c.bucket, Key: &c.key})
	if err == nil && *out.ContentLength != int64(len(ownValue)) {
		err = errors.New("another length")
	}
	all.add("HEAD", err)
	return all
}

func sdkList(c cell) (all calls) {
	for _, prefix := range []string{c.list, c.key} {
		_, err := c.actor.raw.ListObjectsV2(c.ctx, &s3.ListObjectsV2Input{Bucket: &c.bucket, Prefix: &prefix})
		all.add("list", err)
		_, err = c.actor.raw.ListObjectsV2(c.ctx, &s3.ListObjectsV2Input{Bucket: &c.bucket, Prefix: &prefix, Delimiter: awssdk.String("/")})
		all.add("list of directories", err)
		_, err = c.actor.raw.ListObjects(c.ctx, &s3.ListObjectsInput{Bucket: &c.bucket, Prefix: &prefix})
		all.add("ListObjects, version 1", err)
		if !c.own {
			_, err = c.actor.raw.ListMultipartUploads(c.ctx, &s3.ListMultipartUploadsInput{Bucket: &c.bucket, Prefix: &prefix})
			all.add("list of uploads", err)
		}
	}
	all.check(c.own, "is listed", c.isListed(true))
	return all
}

func sdkHistory(c cell) (all calls) {
	out, err := c.actor.raw.ListObjectVersions(c.ctx, &s3.ListObjectVersionsInput{Bucket: &c.bucket, Prefix: &c.key})
	all.add("list of versions", err)
	version := c.version
	if c.own {
		if err == nil && len(out.Versions) == 0 {
			err = errors.New("it has none")
		}
		if all.add("its own version", err); err != nil {
			return all
		}
		version = *out.Versions[0].VersionId
	} else {
		_, err = c.actor.raw.ListObjectVersions(c.ctx, &s3.ListObjectVersionsInput{Bucket: &c.bucket, Prefix: &c.list})
		all.add("list of versions", err)
		_, err = c.actor.raw.DeleteObject(c.ctx, &s3.DeleteObjectInput{Bucket: &c.bucket, Key: &c.key, VersionId: &version})
		all.add("DELETE of a version", err)
	}
	got, err := c.actor.raw.GetObject(c.ctx, &s3.GetObjectInput{Bucket: &c.bucket, Key: &c.key, VersionId: &version})
	if err == nil {
		got.Body.Close()
	}
	all.add("GET of a version", err)
	return all
}

func sdkMultipart(c cell) (all calls) {
	client, part := c.actor.raw, awssdk.Int32(1)
	up, err := client.CreateMultipartUpload(c.ctx, &s3.CreateMultipartUploadInput{Bucket: &c.bucket, Key: &c.key})
	all.add("begin", err)
	upload := &c.upload // the keeper's upload
	if c.own && err == nil {
		upload = up.UploadId
	}
	sent, err := client.UploadPart(c.ctx, &s3.UploadPartInput{Bucket: &c.bucket, Key: &c.key, UploadId: upload, PartNumber: part, Body: strings.NewReader("in parts")})
	all.add("part", err)
	etag := awssdk.String(`"0123456789abcdef0123456789abcdef"`)
	if err == nil {
		etag = sent.ETag
	}
	_, err = client.CompleteMultipartUpload(c.ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &c.bucket, Key: &c.key, UploadId: upload,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: etag, PartNumber: part}}},
	})
	all.add("complete", err)
	if c.own {
		all.add("read back", c.holds(c.key, "in parts"))
		return all
	}
	_, err = client.ListParts(c.ctx, &s3.ListPartsInput{Bucket: &c.bucket, Key: &c.key, UploadId: upload})
	all.add("list of parts", err)
	_, err = client.AbortMultipartUpload(c.ctx, &s3.AbortMultipartUploadInput{Bucket: &c.bucket, Key: &c.key, UploadId: upload})
	all.add("abort", err)
	return all
}

// source returns the source of a copy, encoded as in a URL.
func (c cell) source(key string) *string {
	return awssdk.String(c.bucket + "/" + url.PathEscape(key))
}

func sdkCopyFrom(c cell) (all calls) {
	copied, client := c.ownKey("copied"), c.actor.raw
	_, err := client.CopyObject(c.ctx, &s3.CopyObjectInput{Bucket: &c.bucket, Key: &copied, CopySource: c.source(c.key)})
	all.add("copy", err)
	if c.own { // the gateway does not allow a role to copy a part
		all.add("read back", c.holds(copied, ownValue))
		return all
	}
	up, err := client.CreateMultipartUpload(c.ctx, &s3.CreateMultipartUploadInput{Bucket: &c.bucket, Key: &copied})
	if err != nil {
		all.add("begin of the actor's own upload", err)
		return all
	}
	_, err = client.UploadPartCopy(c.ctx, &s3.UploadPartCopyInput{Bucket: &c.bucket, Key: &copied, UploadId: up.UploadId, PartNumber: awssdk.Int32(1), CopySource: c.source(c.key)})
	all.add("copy of a part", err)
	if _, err := client.AbortMultipartUpload(c.ctx, &s3.AbortMultipartUploadInput{Bucket: &c.bucket, Key: &copied, UploadId: up.UploadId}); err != nil {
		all.add("abort of the actor's own upload", err)
	}
	return all
}

func sdkCopyTo(c cell) (all calls) {
	original := c.ownKey("original")
	if err := c.put(original, "copied"); err != nil {
		return calls{{"put of the actor's own object", err}}
	}
	_, err := c.actor.raw.CopyObject(c.ctx, &s3.CopyObjectInput{Bucket: &c.bucket, Key: &c.key, CopySource: c.source(original)})
	all.add("copy", err)
	all.check(c.own, "read back", c.holds(c.key, "copied"))
	return all
}

func sdkDelete(c cell) (all calls) {
	_, err := c.actor.raw.DeleteObject(c.ctx, &s3.DeleteObjectInput{Bucket: &c.bucket, Key: &c.key})
	all.add("DELETE", err)
	all.check(c.own, "is deleted", c.isListed(false))
	return all
}

// remove deletes several keys at once. The actor's own keys must be deleted. The keys of others
// must be denied, or the whole request.
func (c cell) remove(keys ...string) error {
	objects := make([]types.ObjectIdentifier, len(keys))
	for i := range keys {
		objects[i].Key = &keys[i]
	}
	out, err := c.actor.raw.DeleteObjects(c.ctx, &s3.DeleteObjectsInput{Bucket: &c.bucket, Delete: &types.Delete{Objects: objects}})
	if err != nil {
		return err
	}
	var denied deniedKeys
	for _, e := range out.Errors {
		if *e.Code != "AccessDenied" {
			return refusedKey{*e.Key, *e.Code}
		}
		denied = append(denied, *e.Key)
	}
	for _, key := range keys {
		if own := strings.HasPrefix(key, "bots/"+string(c.actor.tenant)+"/"); own == slices.Contains(denied, key) {
			return fmt.Errorf("%s: denied: %v", key, !own)
		}
	}
	if denied == nil {
		return nil
	}
	return denied
}

func sdkMultiDelete(c cell) (all calls) {
	beside := c.ownKey("beside")
	if err := c.put(beside, "own"); err != nil {
		return calls{{"put of the actor's own object", err}}
	}
	all.add("with one of its own", c.remove(beside, c.key))
	if !c.own {
		all.add("alone", c.remove(c.key))
		all.add("first", c.remove(c.key, beside))
	}
	all.check(c.own, "is deleted", c.isListed(false))
	return all
}

func sdkTeardown(c cell) (all calls) {
	out, err := c.actor.raw.ListObjectsV2(c.ctx, &s3.ListObjectsV2Input{Bucket: &c.bucket, Prefix: &c.list})
	all.add("list", err)
	keys := []string{c.key, c.list + "more.enc"}
	if err == nil {
		for _, o := range out.Contents {
			keys = append(keys, *o.Key)
		}
	}
	all.add("delete", c.remove(keys...))
	all.check(c.own, "is deleted", c.isListed(false))
	return all
}
