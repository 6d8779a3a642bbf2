package vaulturl_test

import (
	"strings"
	"testing"

	"github.com/objectvault/objectvault/vaulturl"
)

// TestEnvironmentEndpoint: an endpoint that is refused is named by the variable that it comes from.
func TestEnvironmentEndpoint(t *testing.T) {
	for _, tc := range []struct{ url, name, value, want string }{
		{"s3://bucket?region=us-east-1", "AWS_ENDPOINT_URL", "http://s3.example.com", "AWS_ENDPOINT_URL is plain http"},
		{"s3://bucket?region=us-east-1", "AWS_ENDPOINT_URL_S3", "http://s3.example.com", "AWS_ENDPOINT_URL_S3 is plain http"},
		{"s3://bucket?region=us-east-1", "AWS_ENDPOINT_URL_S3", "s3.example.com", "AWS_ENDPOINT_URL_S3 is not a URL"},
		{"s3://bucket?region=us-east-1", "AWS_ENDPOINT_URL_STS", "http://sts.example.com", "AWS_ENDPOINT_URL_STS is plain http"},
		{"s3://bucket?region=us-east-1&insecure=true", "AWS_ENDPOINT_URL", "http://s3.example.com", ""},
		{"s3://bucket?region=us-east-1&endpoint=https://s3.example.com", "AWS_ENDPOINT_URL", "http://s3.example.com", ""},
	} {
		l, err := vaulturl.ParseStore(tc.url, &vaulturl.Options{Getenv: func(k string) string {
			if k == tc.name {
				return tc.value
			}
			return ""
		}})
		if err == nil {
			_, err = l.Open(t.Context(), nil)
		}
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s, %s=%s: %v, want %q", tc.url, tc.name, tc.value, err, tc.want)
		}
	}
}
