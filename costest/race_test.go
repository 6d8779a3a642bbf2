package costest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/objectvault/objectvault/costest"
)

// Many clients use few keys at the same time, while versioning changes and the bucket is deleted.
// Every response must be a possible one. With -race, the test finds unintended sharing.
func TestManyClients(t *testing.T) {
	s := start(t, nil)
	c := sdk(t, s, s.Bucket())
	other := sdk(t, s, "other-1250000000")
	large := bytesOf(300 << 10) // stored in a file
	expected := []string{"no error", "404", "404 NoSuchKey", "404 NoSuchUpload", "404 NoSuchBucket", "404 NoSuchCopySource", "404 NoSuchTagSet", "409 BucketAlreadyOwnedByYou", "409 BucketNotEmpty"}
	var wg sync.WaitGroup
	for worker := range 8 {
		r := rand.New(rand.NewPCG(1, uint64(worker)))
		wg.Go(func() {
			for i := range 60 {
				client := []*cos.Client{c, other}[r.IntN(2)]
				key := fmt.Sprint("k", r.IntN(3))
				var err error
				switch what := r.IntN(10); what {
				case 0, 1:
					_, err = client.Object.Put(t.Context(), key, strings.NewReader(large[:r.IntN(len(large))]), nil)
				case 2:
					_, err = get(client, key)
				case 3:
					_, err = client.Object.Delete(t.Context(), key)
				case 4:
					_, _, err = client.Bucket.Get(t.Context(), &cos.BucketGetOptions{MaxKeys: 1})
				case 5:
					_, _, err = client.Bucket.GetObjectVersions(t.Context(), nil)
				case 6:
					var out *cos.InitiateMultipartUploadResult
					if out, _, err = client.Object.InitiateMultipartUpload(t.Context(), key, nil); err == nil {
						var resp *cos.Response
						if resp, err = client.Object.UploadPart(t.Context(), key, out.UploadID, 1, strings.NewReader(large), nil); err == nil {
							_, _, err = client.Object.CompleteMultipartUpload(t.Context(), key, out.UploadID, &cos.CompleteMultipartUploadOptions{
								Parts: []cos.Object{{PartNumber: 1, ETag: resp.Header.Get("Etag")}},
							})
						}
					}
				case 7:
					_, _, err = client.Object.Copy(t.Context(), "copy", sourceOf(s, s.Bucket(), key), nil)
				case 8:
					_, err = client.Object.PutTagging(t.Context(), key, &cos.ObjectPutTaggingOptions{TagSet: []cos.ObjectTaggingTag{{Key: "a", Value: "b"}}})
				case 9:
					if _, err = other.Bucket.Put(t.Context(), nil); i%2 == 0 {
						_, err = other.Bucket.Delete(t.Context())
					}
				}
				if got := code(err); !slices.Contains(expected, got) {
					t.Errorf("worker %d: %s", worker, got)
				}
			}
		})
	}
	wg.Go(func() {
		for _, state := range []string{"Enabled", "Suspended", "Enabled"} {
			check(t, s.SetVersioning(s.Bucket(), state))
		}
	})
	wg.Wait()
	for _, u := range s.Uploads(s.Bucket()) {
		t.Errorf("an upload remains: %+v", u)
	}
}

// Exactly one of many concurrent completes of an upload succeeds.
func TestCompleteHasOneWinner(t *testing.T) {
	s := start(t, &costest.Options{Versioning: "Enabled"})
	c := sdk(t, s, s.Bucket())
	id := initiate(t, c, "k")
	part := uploadPart(t, c, "k", id, 1, "v")
	got := make([]string, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			_, _, err := c.Object.CompleteMultipartUpload(t.Context(), "k", id, &cos.CompleteMultipartUploadOptions{Parts: []cos.Object{part}})
			got[i] = code(err)
		})
	}
	wg.Wait()
	won := 0
	for _, one := range got {
		switch one {
		case "no error":
			won++
		case "404 NoSuchUpload":
		default:
			t.Errorf("%s", one)
		}
	}
	if won != 1 || walkVersions(t, c, cos.BucketGetObjectVersionsOptions{}) != "k! " {
		t.Errorf("%d winners", won)
	}
}
