package objectvault_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSDKClients: clients of the AWS SDK are created only where they get our transport.
// With the SDK's own transport, a response is sometimes lost on a busy machine, and the
// test fails.
func TestSDKClients(t *testing.T) {
	made := regexp.MustCompile(`\b(s3|sts|iam)\.New(FromConfig)?\(`)
	places := []string{"providers/aws/", "internal/testcloud/testcloud.go", "internal/bench/testdata/rawsdk/main.go"} // the last is no test
	found := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if path == ".git" && d != nil && d.IsDir() {
			return fs.SkipDir // git may change it meanwhile
		}
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "clients_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, call := range made.FindAllString(string(text), -1) {
			found++
			path := filepath.ToSlash(path)
			if strings.HasPrefix(path, places[0]) && !strings.HasSuffix(path, "_test.go") || path == places[1] || path == places[2] {
				continue
			}
			t.Errorf("%s calls %s…): use S3Client, STSClient or IAM of package testcloud", path, call)
		}
		return nil
	})
	if err != nil || found < 5 {
		t.Errorf("only %d calls were found (%v)", found, err)
	}
}
