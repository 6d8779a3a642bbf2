package aws

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzWithoutEntries: if a list without its entries is well-formed, the elements that are checked are those of the
// whole list, unless an entry is malformed, which the SDK reports.
func FuzzWithoutEntries(f *testing.F) {
	const entry = "<Contents><Key>a</Key><Size>1</Size></Contents>"
	for _, seed := range []string{
		"<ListBucketResult><IsTruncated>true</IsTruncated>" + strings.Repeat(entry, 3) + "<NextContinuationToken>b</NextContinuationToken></ListBucketResult>",
		"<ListBucketResult>" + entry + "<IsTruncated>false</IsTruncated><CommonPrefixes><Prefix>p</Prefix></CommonPrefixes></ListBucketResult>",
		"<ListVersionsResult><Version><Key>a</Key></Version><DeleteMarker/><Version></Version><NextKeyMarker>b</NextKeyMarker></ListVersionsResult>",
		"<R>" + entry + entry[:20],
		"<R><Contents><Contents></Contents></Contents></R>",
		"<R><A><![CDATA[<Contents>]]></A><IsTruncated>true</IsTruncated><A><![CDATA[</Contents>]]></A></R>",
		"<R><!-- <Contents> --><IsTruncated>true</IsTruncated><!-- </Contents> --></R>",
		"<R><Contents a=''></Contents><Contents/></R>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		whole, err := readDocument([]byte(body))
		short, serr := readDocument(withoutEntries([]byte(body)))
		if err != nil || serr != nil {
			return
		}
		for _, d := range []shallow{whole, short} { // blanks between the elements of an entry, and the version of a document
			delete(d.text, "Contents")
			delete(d.text, "Version")
		}
		if diff := cmp.Diff(whole, short, cmp.AllowUnexported(shallow{})); diff != "" {
			t.Errorf("%s: whole and without entries differ:\n%s", body, diff)
		}
	})
}

// TestWithoutEntries: entries are left out, so that this check costs the same for each list.
func TestWithoutEntries(t *testing.T) {
	list := "<ListBucketResult>" + strings.Repeat("<Contents><Key>a</Key></Contents>", 1000) + "<IsTruncated>false</IsTruncated></ListBucketResult>"
	if got, want := string(withoutEntries([]byte(list))), "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"; got != want {
		t.Errorf("%.200s", got)
	}
}
