package aws_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/vault"
)

// An entry is an entry of a list of versions. A delete marker has no size.
func entry(kind, key, id, modified string, latest bool) string {
	size := ""
	if kind == "Version" {
		size = "<Size>7</Size>"
	}
	return fmt.Sprintf("<%[1]s><Key>%[2]s</Key><VersionId>%[3]s</VersionId><IsLatest>%[5]v</IsLatest><LastModified>2026-01-01T00:00:%[4]sZ</LastModified>%[6]s</%[1]s>",
		kind, key, id, modified, latest, size)
}

// TestVersionsInOrder: S3 lists versions and delete markers together, newest first. The SDK
// separates them.
func TestVersionsInOrder(t *testing.T) {
	const key = "bots/acme/credentials/a.enc"
	for name, tc := range map[string]struct {
		pages []string
		want  string
	}{
		"mixed, equal times": {[]string{
			entry("Version", key, "5", "01", true) + entry("DeleteMarker", key, "4", "01", false) + entry("Version", key, "3", "01", false) +
				entry("DeleteMarker", key, "2", "01", false) + entry("Version", key, "1", "01", false),
		}, "5+ 4x 3 2x 1"},
		// The time of a multipart upload is the time of its initiate.
		"mixed, times in another order": {[]string{
			entry("Version", key, "3", "01", true) + entry("DeleteMarker", key, "2", "09", false) + entry("Version", key, "1", "05", false),
		}, "3+ 2x 1"},
		"delete markers listed first, as by versitygw": {[]string{
			entry("DeleteMarker", key, "2", "02", false) + entry("Version", key, "3", "03", true) + entry("Version", key, "1", "01", false),
		}, "3+ 2x 1"},
		"deleted object": {[]string{
			entry("DeleteMarker", key, "2", "02", true) + entry("Version", key, "1", "01", false),
		}, "2x+ 1"},
		"longer key with the same prefix": {[]string{
			entry("Version", key, "1", "01", true) + entry("Version", key+"x", "9", "09", true),
		}, "1+"},
		"two pages": {[]string{
			entry("Version", key, "2", "02", true), entry("Version", key, "1", "01", false),
		}, "2+ 1"},
		"empty list": {[]string{""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				page := 0
				fmt.Sscan(r.URL.Query().Get("version-id-marker"), &page)
				more := page+1 < len(tc.pages)
				fmt.Fprintf(w, "<ListVersionsResult><IsTruncated>%v</IsTruncated>", more)
				if more {
					fmt.Fprintf(w, "<NextKeyMarker>%s</NextKeyMarker><NextVersionIdMarker>%d</NextVersionIdMarker>", key, page+1)
				}
				io.WriteString(w, tc.pages[page]+"</ListVersionsResult>")
			})
			var got []string
			for v, err := range s.History.Versions(t.Context(), key) {
				if err != nil {
					t.Fatal(err)
				}
				text := v.ID
				if v.Deleted {
					text += "x"
				}
				if v.Current {
					text += "+"
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("versions (-want +got):\n%s", diff)
			}
		})
	}
}

// TestVersionsMalformed uses lists that no server should return.
func TestVersionsMalformed(t *testing.T) {
	for name, body := range map[string]string{
		"truncated XML":               "<ListVersionsResult><IsTruncated>",
		"no marker of the next page":  "<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>",
		"page of 17 MiB":              "<ListVersionsResult>" + strings.Repeat(" ", 17<<20) + "</ListVersionsResult>",
		"invalid nesting of elements": "<ListVersionsResult><X><Version/></X><Version></ListVersionsResult>",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := answering(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) })
			var err error
			for _, err = range s.History.Versions(t.Context(), "key") {
			}
			if err == nil {
				t.Error("accepted as a list of versions")
			}
		})
	}
}

// TestConcurrentConditions: if another conditional write is in progress, S3 responds with 409, and
// the client does not know whether the condition is true.
func TestConcurrentConditions(t *testing.T) {
	fill := func(w io.Writer) error { _, err := io.WriteString(w, "value"); return err }
	for _, tc := range []struct {
		name   string
		etag   string // etag of the object after the 409; "": no object
		create error
		swap   error
	}{
		{"another object exists", `"theirs"`, vault.ErrExist, vault.ErrConflict},
		{"no object exists", "", vault.ErrUnavailable, vault.ErrConflict},
		{"the object is unchanged", `"mine"`, vault.ErrExist, vault.ErrUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				switch {
				case r.Method == http.MethodPut:
					refuse(w, 409, "ConditionalRequestConflict")
				case tc.etag == "":
					refuse(w, 404, "NoSuchKey")
				default:
					w.Header().Set("ETag", tc.etag)
					w.Header().Set("Content-Range", "bytes 0-0/5")
					w.WriteHeader(http.StatusPartialContent)
					io.WriteString(w, "v")
				}
			})
			_, err := s.Create.Create(t.Context(), "key", fill)
			if kind(s, err) != tc.create {
				t.Errorf("create: %v, want %v", err, tc.create)
			}
			_, err = s.Swap.Swap(t.Context(), "key", `"mine"`, fill)
			if kind(s, err) != tc.swap {
				t.Errorf("swap: %v, want %v", err, tc.swap)
			}
		})
	}
}
