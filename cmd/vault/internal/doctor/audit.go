package doctor

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/vault"
)

// An auditTarget is where a bucket records its requests: the response to GET ?logging of S3 and COS.
type auditTarget struct {
	XMLName xml.Name
	Bucket  string `xml:"LoggingEnabled>TargetBucket"`
	Prefix  string `xml:"LoggingEnabled>TargetPrefix"`
}

// checkAudit reports whether the bucket records its requests, where, and since when nothing was recorded.
// off is the result if it does not.
func checkAudit(ctx context.Context, source string, s vault.Setting, cloud vault.Cloud, hint func(error, string) string, off Line) Line {
	const check = "audit"
	if s.Err != nil {
		return unknown(check, s.Err, hint, "run {prog} doctor as the auditor: {prog} policy aws and policy tencent print its policy with --audit-bucket")
	}
	var target auditTarget
	if s.Document != "" && (xml.Unmarshal([]byte(s.Document), &target) != nil || target.XMLName.Local != "BucketLoggingStatus") {
		return Line{check, NotProven, "audit: the response is not from the cloud", "check the endpoint"}
	}
	if target.Bucket == "" {
		off.Check = check
		return off
	}
	where := fmt.Sprintf("requests are recorded in the bucket %s, below %s", target.Bucket, quoted(target.Prefix))
	newest, err := newestLog(ctx, cloud, source, target)
	switch {
	case err != nil:
		return Line{check, NotProven, where + "; the age of the newest record is not proven: " + reasonOf(err), "run {prog} audit as someone who may read that bucket"}
	case newest.IsZero():
		return Line{check, Warning, where + ", but there is no record yet", "wait for the delivery, which takes minutes to hours; if nothing comes, check the permission of the delivery"}
	}
	age := time.Since(newest)
	message := fmt.Sprintf("%s; the newest record was delivered %s ago", where, age.Round(time.Second))
	if age > oldRecord {
		message = fmt.Sprintf("%s; the newest record was delivered %s ago, although the requests of this check are recorded, too", where, text.Count(int(age/(24*time.Hour)), "day", "days"))
		return Line{check, Warning, message, "check the permission of the delivery"}
	}
	return Line{Check: check, Status: OK, Message: message}
}

// oldRecord is the age of the newest record from which the delivery has probably stopped.
const oldRecord = 24 * time.Hour

// maxLevels limits the folders between the prefix of logs and a log, and maxLogPages the pages of its folder.
const (
	maxLevels   = 10
	maxLogPages = 20
)

var errTooManyLogs = errors.New("the newest folder has too many logs")

// newestLog returns the time of the newest log, or zero if there is none. It descends into the last folder
// of each level, which has the latest date. Where the logs of several buckets have their own folders, it is the
// one of the source.
func newestLog(ctx context.Context, cloud vault.Cloud, source string, target auditTarget) (newest time.Time, err error) {
	opener, ok := cloud.(vault.BucketOpener)
	if !ok {
		return newest, errors.New("this store cannot open another bucket")
	}
	store, err := opener.OpenBucket(ctx, target.Bucket)
	if err != nil {
		return newest, err
	}
	defer store.Close()
	explained := func(err error) error {
		if store.Explain != nil {
			if cause := store.Explain(err); cause != nil {
				return cause
			}
		}
		return err
	}
	prefix := target.Prefix
	for range maxLevels {
		folder, own, pages := "", prefix+source+"/", 0
		for token := blob.FirstPageToken; len(token) > 0; pages++ {
			if pages == maxLogPages {
				return newest, errTooManyLogs
			}
			page, next, err := store.Bucket.ListPage(ctx, token, 1000, &blob.ListOptions{Prefix: prefix, Delimiter: "/"})
			if err != nil {
				return newest, explained(err)
			}
			for _, o := range page {
				if o.IsDir && (o.Key > folder || o.Key == own) && folder != own {
					folder = o.Key
				} else if !o.IsDir && !strings.HasSuffix(o.Key, "/") && o.ModTime.After(newest) {
					newest = o.ModTime
				}
			}
			token = next
		}
		if folder == "" {
			break
		}
		prefix = folder
	}
	return newest, nil
}
