package aws

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
)

// TestVersionOrder: for AWS, versions keep the order of the list, whatever their times are. For example,
// a delete marker can be newer than a multipart upload that was started before the older version was
// written. For other servers, versions are sorted by time.
func TestVersionOrder(t *testing.T) {
	const key = "bots/acme/credentials/a.enc"
	entry := func(kind, id, second, latest string) string {
		return "<" + kind + "><Key>" + key + "</Key><VersionId>" + id + "</VersionId><IsLatest>" + latest + "</IsLatest><LastModified>2026-01-02T03:04:" + second + "Z</LastModified></" + kind + ">"
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "<ListVersionsResult>"+entry("DeleteMarker", "3", "09", "true")+entry("Version", "2", "01", "false")+entry("Version", "1", "05", "false")+"</ListVersionsResult>")
	}))
	defer server.Close()
	st, err := Open(t.Context(), Config{Bucket: "bucket", Endpoint: server.URL, Static: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for groups, want := range map[bool]string{false: "3 2 1", true: "3 1 2"} {
		st.History.(*store).other = groups // as for an endpoint that is not AWS
		var got []string
		for v, err := range st.History.Versions(t.Context(), key) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, v.ID)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("groups %v: versions (-want +got):\n%s", groups, diff)
		}
	}
}
