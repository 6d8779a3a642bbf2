package aws

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/objectvault/objectvault/vault"
)

// An order is the order of the entries in one page of ListObjectVersions. S3 mixes versions and
// delete markers, newest first. The SDK returns two lists, and their times, in whole seconds, do not
// show how to merge them.
type order struct {
	markers  []bool
	mayGroup bool // the server is not AWS
}

// maxPage is the maximum size of a page of 1000 entries. A key has up to 1024 bytes, which may be
// escaped.
const maxPage = 16 << 20

// capture makes one call record the order of the entries in its response.
func (o *order) capture(options *s3.Options) {
	captureBody(maxPage, func(body []byte) (err error) {
		o.markers, err = readOrder(bytes.NewReader(body))
		return err
	})(options)
}

// readOrder reports for each entry of a ListVersionsResult whether it is a delete marker.
func readOrder(r io.Reader) (markers []bool, err error) {
	d := xml.NewDecoder(r)
	depth := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			return markers, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: a list of versions is not well-formed XML: %w", vault.ErrUnavailable, err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth == 2 && (t.Name.Local == "Version" || t.Name.Local == "DeleteMarker") {
				markers = append(markers, t.Name.Local == "DeleteMarker")
			}
		case xml.EndElement:
			depth--
		}
	}
}

// merge merges the two lists of out in the order of the response.
func (o *order) merge(out *s3.ListObjectVersionsOutput) ([]version, error) {
	page := make([]version, 0, len(o.markers))
	versions, markers := out.Versions, out.DeleteMarkers
	for _, marker := range o.markers {
		switch {
		case marker && len(markers) > 0:
			m := markers[0]
			markers = markers[1:]
			page = append(page, version{aws.ToString(m.Key), vault.Version{
				ID: aws.ToString(m.VersionId), Modified: aws.ToTime(m.LastModified), Deleted: true, Current: aws.ToBool(m.IsLatest),
			}})
		case !marker && len(versions) > 0:
			v := versions[0]
			versions = versions[1:]
			page = append(page, version{aws.ToString(v.Key), vault.Version{
				ID: aws.ToString(v.VersionId), Modified: aws.ToTime(v.LastModified), Size: aws.ToInt64(v.Size), Current: aws.ToBool(v.IsLatest),
			}})
		}
	}
	if len(versions)+len(markers) > 0 || len(page) != len(o.markers) {
		return nil, fmt.Errorf("%w: the entries of a list of versions do not match its XML", vault.ErrUnavailable)
	}
	if o.mayGroup && o.isGrouped() {
		slices.SortStableFunc(page, compareVersions)
	}
	return page, nil
}

// isGrouped reports whether all markers come before all versions, or after them. Some servers send
// such lists, which must be merged by time. A list of AWS must not be sorted by time, because the
// time of a multipart upload is the time of its start.
func (o *order) isGrouped() bool {
	changes := 0
	for i := 1; i < len(o.markers); i++ {
		if o.markers[i] != o.markers[i-1] {
			changes++
		}
	}
	return changes == 1
}

// compareVersions sorts by key. The versions of a key are sorted newest first, with the current
// version before all others.
func compareVersions(a, b version) int {
	current := func(v version) int {
		if v.Current {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(current(a), current(b)), b.Modified.Compare(a.Modified))
}
