package doctor_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// A recorded is a cloud with a log bucket.
type recorded struct {
	set
	logs *vault.Store
	err  error
}

func (r recorded) OpenBucket(context.Context, string) (*vault.Store, error) { return r.logs, r.err }

// The doctor finds the newest log below date folders, and beside others. It says when there is none, and
// when it cannot know.
func TestAudit(t *testing.T) {
	const on = `<BucketLoggingStatus xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>access/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>`
	for name, tc := range map[string]struct {
		setting string
		keys    []string
		err     error
		want    string
	}{
		"off":                {"<BucketLoggingStatus/>", nil, nil, "not proven: audit: the bucket has no server access log"},
		"no setting":         {"", nil, nil, "not proven: audit: the bucket has no server access log"},
		"another document":   {"<html/>", nil, nil, "not proven: audit: the response is not from"},
		"no log":             {on, []string{"other/2026"}, nil, `warning: requests are recorded in the bucket logs, below "access/", but there is no record yet`},
		"plain names":        {on, []string{"access/2026-11-30-01-02-03-AB"}, nil, `ok: requests are recorded in the bucket logs, below "access/"; the newest record was delivered`},
		"folders":            {on, []string{"access/1/eu/b/2025/01/01/x", "access/1/eu/b/2026/11/30/y"}, nil, "ok: requests are recorded"},
		"cannot be opened":   {on, nil, vault.ErrPermission, `not proven: requests are recorded in the bucket logs, below "access/"; the age of the newest record is not proven: permission denied`},
		"many in one folder": {on, many("access/2026/11/30/", 21_000), nil, "not proven: requests are recorded"},
	} {
		t.Run(name, func(t *testing.T) {
			logs, err := memfs.Open(t.Context(), memfs.Config{})
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range tc.keys {
				if err := logs.Bucket.WriteAll(t.Context(), key, []byte("log"), &blob.WriterOptions{ContentType: "text/plain"}); err != nil {
					t.Fatal(err)
				}
			}
			cloud := recorded{set{"logging": tc.setting}, logs, tc.err}
			lines := doctor.Bucket(t.Context(), "s3://bucket", cloud, nil)
			l := lines[len(lines)-1]
			if got := string(l.Status) + ": " + l.Message; l.Check != "audit" || !strings.HasPrefix(got, tc.want) || (l.Status == doctor.OK) != (l.Hint == "") {
				t.Errorf("%s, hint %q; want %s", got, l.Hint, tc.want)
			}
		})
	}
}

func many(prefix string, n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("%s%06d", prefix, i))
	}
	return keys
}
