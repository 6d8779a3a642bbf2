package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/objectvault/objectvault/audit"
	"github.com/objectvault/objectvault/vault"
)

func auditCommand(s *session) *cli.Command {
	flags := func(since string, more ...cli.Flag) []cli.Flag {
		return append([]cli.Flag{
			&cli.StringSliceFlag{Name: "from", Usage: "where the logs are: a `FILE`, a directory, - for standard input, or the URL of a bucket, such as s3://BUCKET/PREFIX; may be repeated"},
			&cli.StringFlag{Name: "since", Usage: "read records since `TIME`: a duration such as 36h or 7d before now, a date, an RFC 3339 time, or all", Value: since},
			&cli.StringFlag{Name: "until", Usage: "read records before `TIME`"},
			&cli.StringFlag{Name: "bucket", Usage: "only requests for the bucket `NAME`"},
		}, more...)
	}
	return &cli.Command{
		Name:      "audit",
		Usage:     "show who used which object, from the access logs of the store",
		UsageText: s.prog + " audit [NAME|PREFIX/] --from URL|FILE|DIR [--since 24h] [--failed]",
		Description: "Reads access logs, and prints a line for each request: its time, tenant, caller and session, verb,\n" +
			"collection, name, version, bytes, address, user agent, result and remarks. It reads files of AWS\n" +
			"CloudTrail, access logs of S3, Tencent COS, versitygw and SeaweedFS, and the ops log of Ceph RGW,\n" +
			"compressed or not. It needs no key. The tenant of the flags, the environment or the profile selects the\n" +
			"requests for its objects, and the lists that contain them; without one, all are printed. Those without\n" +
			"a key that concern no tenant, such as changes of the bucket, are counted at the end. A collection\n" +
			"selects in the same way. An argument that ends with / selects the names that start with it, and any\n" +
			"other one is a name. The remarks are:\n\n" +
			"   denied        the store refused the request\n" +
			"   other-tenant  the caller tried to use the objects of another tenant: its token names a\n" +
			"                 wallet that is not the tenant; or, without a token in the log, its role or session\n" +
			"                 does; or it was denied after it had used another tenant's. The caller chooses the\n" +
			"                 name of a session. A request without this remark can be another tenant's\n" +
			"   anonymous     the request was not authenticated\n" +
			"   unknown       no --known names the caller\n" +
			"   new-address   a read from an address that no earlier read of the tenant in this range came from\n" +
			"   not-vault     none of the logs of the command has the request\n" +
			"   ambiguous     the record can be read in two ways, because the client has sent text that looks like\n" +
			"                 fields of the log; the line has the fields that are certain\n\n" +
			"On a terminal, the result and the remarks of a line with remarks are bold, and also red with denied or\n" +
			"other-tenant.\n\n" +
			"The files that the flag --log writes can be given, too. Their requests are found in the logs of the\n" +
			"store by their ids. Every other request gets the remark not-vault, if it is not older than the first\n" +
			"operation of these files, nor newer than the last one. So give the files of all machines, also FILE.1\n" +
			"to FILE.3. Without other logs, their operations are printed.\n\n" +
			"What radosgw-admin usage show prints can be given, too, as a file or through a pipe: how many requests of\n" +
			"each operation RGW has counted for each bucket. If the ops log has fewer, the exit code is 3. Run usage\n" +
			"show with --start-date and --end-date in whole hours, and use the same times as --since and --until.\n\n" +
			"The logs of a bucket may be below date folders (YYYY/MM/DD), or their names may start with a date;\n" +
			"then only those of the range are read. A URL takes the same parameters as --store, and the same\n" +
			"identity. At the end, " + s.prog + " prints the time of the newest record. Logs are delivered minutes to hours late,\n" +
			"so that later requests may be missing. If records could not be read, or can be read in two ways, the\n" +
			"exit code is 3. If there is no log, it is 10.\n\n" +
			"Commands (" + s.prog + " help audit COMMAND describes each):\n" +
			"   summary  count the requests of each name and caller\n\n" +
			"Examples:\n" +
			"   " + s.prog + " audit --from 's3://acme-logs/AWSLogs/?region=eu-central-1' --failed\n" +
			"   " + s.prog + " audit openai --since 7d --from 'cos://logs-1250000000/vault/?region=ap-guangzhou'\n" +
			"   " + s.prog + " audit --from /var/log/ceph/ops.log --from vault.log --json",
		Flags: flags("24h",
			&cli.BoolFlag{Name: "failed", Usage: "only requests that were denied or failed", DisableDefaultText: true},
			&cli.StringSliceFlag{Name: "known", Usage: "`CALLER` that is expected, as the log names it; other callers are marked. May be repeated"}),
		Action: s.action(s.audit),
		Subcommands: []*cli.Command{{
			Name:      "summary",
			Usage:     "count the requests of each name and caller",
			UsageText: s.prog + " audit summary [NAME|PREFIX/] --from URL|FILE|DIR [--since 90d] [--all-names] [--details]",
			HelpName:  s.prog + " audit summary",
			Description: "Prints a line for each name and caller: tenant, collection, name, caller, reads, reads per day, writes,\n" +
				"deletions, denied requests, last read, last write and a remark. The remark is unread if no caller\n" +
				"read the name in the range, which is 90 days by default. It is omitted for all names if a read can be\n" +
				"missing: because the logs of a bucket with objects begin more than a day later than the range, a log\n" +
				"or a record could not be read, a record may be the read of any object, or the logs have fewer\n" +
				"requests than RGW counted. If one log has the requests of several buckets, use --bucket. Lists and\n" +
				"requests for the existence of an object are not counted. --json also prints the reads of each day.\n\n" +
				"--all-names also opens the store, and adds the names of the tenant that no log mentions. --details\n" +
				"also opens the store and adds the expiry and the labels of each name of the tenant, which are sealed\n" +
				"with the value. It needs the key, and sends a request for each name.\n\n" +
				"Examples:\n" +
				"   " + s.prog + " audit summary --from 's3://acme-logs/AWSLogs/?region=eu-central-1'\n" +
				"   " + s.prog + " audit summary team/ --from logs/ --since 30d --json",
			Flags: flags("90d",
				&cli.BoolFlag{Name: "details", Usage: "also print the expiry and the labels of each name", DisableDefaultText: true},
				&cli.BoolFlag{Name: "all-names", Usage: "also print the names of the store that no log mentions", DisableDefaultText: true}),
			Action: s.action(s.auditSummary),
		}},
	}
}

// An auditing is one run of the command.
type auditing struct {
	*session
	auditCounts
	since, until time.Time // since is zero for all
	tenant       vault.Tenant
	name         vault.Name // "": all
	prefix       bool       // name is a prefix
	collection   vault.Collection
	bucket       string
	failed       bool
	sources      []logSource
	client       clientLog
	usage        usageCheck
	starts       map[string]*bucketStart
	omitted      int // requests that the summary does not contain
}

// auditCounts is the last line of audit --json, in a member of its own.
type auditCounts struct {
	Records        int        `json:"records"`                    // of the range
	Shown          int        `json:"shown"`                      // of these, the ones that were selected
	Unreadable     int        `json:"unreadable"`                 // records that could not be parsed
	Ambiguous      int        `json:"ambiguous,omitempty"`        // records that can be read in two ways
	NoTenant       int        `json:"no_tenant,omitempty"`        // not shown, because they concern no tenant
	NoTenantDenied int        `json:"no_tenant_denied,omitempty"` // of these, the ones that were denied
	Logs           int        `json:"logs"`                       // that were read
	NotLogs        int        `json:"not_logs,omitempty"`         // files of other kinds
	Failed         int        `json:"failed,omitempty"`           // logs that could not be read to their end
	Newest         *time.Time `json:"newest,omitempty"`           // time of the newest record

	Usage *usageCounts `json:"usage,omitempty"` // the requests that RGW counted
}

func (s *session) audit(ctx context.Context) error {
	a, err := s.newAuditing(ctx)
	if err != nil {
		return err
	}
	defer a.closeSources()
	p := a.newAuditPrinter(a.c.StringSlice("known"))
	if err := a.each(ctx, p.add); err != nil {
		return errors.Join(p.flush(), err)
	}
	if err := p.flush(); err != nil {
		return err
	}
	return a.finish()
}

// newAuditing checks the flags before it opens the first source.
func (s *session) newAuditing(ctx context.Context) (*auditing, error) {
	args, err := s.arguments(0, 1)
	if err != nil {
		return nil, err
	}
	a := &auditing{session: s, bucket: s.c.String("bucket"), failed: s.c.Bool("failed"), starts: make(map[string]*bucketStart)}
	if len(args) == 1 {
		text, prefix := strings.CutSuffix(args[0], "/")
		if a.name, err = s.name(text); err != nil {
			return nil, err
		}
		if s.subject, a.prefix = "", prefix; prefix {
			a.name += "/"
		}
	}
	set, err := s.settings()
	if err != nil {
		return nil, err
	}
	if set.Tenant.Text != "" {
		if a.tenant, err = vault.ParseTenant(set.Tenant.Text); err != nil {
			return nil, from(set.Tenant, err)
		}
	}
	if set.Collection.Text != "" {
		if a.collection, err = vault.ParseCollection(set.Collection.Text); err != nil {
			return nil, from(set.Collection, err)
		}
	}
	now := s.now()
	if a.since, err = pointInTime(s.c.String("since"), now); err != nil {
		return nil, usagef("--since: %v", err)
	}
	a.until = now
	if text := s.c.String("until"); text != "" {
		if a.until, err = pointInTime(text, now); err != nil || a.until.IsZero() {
			return nil, usagef("--until must be a duration such as 36h or 7d before now, a date or an RFC 3339 time")
		}
	}
	if !a.since.Before(a.until) {
		return nil, usagef("--since must be before --until")
	}
	places := s.c.StringSlice("from")
	if len(places) == 0 {
		return nil, hint(usagef("--from is missing: it names the place of the logs"),
			"turn on the access log of the bucket or server, and pass its place: --from FILE, --from DIR or --from s3://BUCKET/PREFIX")
	}
	for _, place := range places {
		source, err := a.openSource(ctx, place)
		if err != nil {
			a.closeSources()
			return nil, err
		}
		a.sources = append(a.sources, source)
	}
	if err := a.readAhead(ctx); err != nil {
		a.closeSources()
		return nil, err
	}
	var end time.Time
	if s.c.String("until") != "" {
		end = a.until
	}
	a.usage.split(end)
	return a, nil
}

func (a *auditing) closeSources() {
	for _, s := range a.sources {
		s.close()
	}
}

// pointInTime parses a time, or a duration before now. "all" is the zero time.
func pointInTime(text string, now time.Time) (time.Time, error) {
	if text == "all" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 36500 {
			return now.AddDate(0, 0, -n).UTC(), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d).UTC(), nil
	}
	return time.Time{}, errors.New("it must be a duration such as 36h or 7d before now, a date, an RFC 3339 time, or all")
}

// selects reports whether a record of the range is one that the user asked for.
func (a *auditing) selects(r audit.Record) bool {
	switch {
	case a.tenant != "" && !a.concerns(r), a.failed && !r.Failed() && !r.Ambiguous:
		return false
	case a.collection != "" && r.Collection != a.collection && (r.Collection != "" || r.Object):
		return false
	case a.name == "":
		return true
	case a.prefix:
		return strings.HasPrefix(string(r.Name), string(a.name))
	}
	return r.Name == a.name
}

// concerns reports whether a record concerns the tenant. A list of a shorter prefix than the tenant's also has
// its names.
func (a *auditing) concerns(r audit.Record) bool {
	switch {
	case r.Tenant != "" || r.Key != "":
		return r.Tenant == a.tenant
	case r.Ambiguous:
		return true
	}
	return r.Verb == audit.VerbList && strings.HasPrefix("bots/"+string(a.tenant)+"/", r.Prefix)
}

// inRange counts a record, and reports whether it is in the range.
func (a *auditing) inRange(r audit.Record) bool {
	if a.bucket != "" && r.Bucket != a.bucket {
		return false
	}
	at := r.Time // a pointer into r would keep the whole line
	if a.Newest == nil || at.After(*a.Newest) {
		a.Newest = &at
	}
	a.sawBucket(r)
	if at.Before(a.since) || !at.Before(a.until) {
		return false
	}
	a.Records++
	if r.Ambiguous {
		a.Ambiguous++
	}
	return true
}

// unreadable counts a record that could not be read, and shows the first ones.
func (a *auditing) unreadable(log string, err error) {
	const most = 5
	if a.Unreadable++; a.Unreadable <= most || a.verbose {
		a.note("%s: %v", log, err)
	} else if a.Unreadable == most+1 {
		a.note("further records cannot be read, either; --verbose shows each")
	}
}

// finish reports how complete the result is.
func (a *auditing) finish() error {
	if a.json {
		if err := a.print(struct {
			Summary auditCounts `json:"summary"`
		}{a.auditCounts}); err != nil {
			return err
		}
	}
	if a.NotLogs > 0 {
		a.note("%s not read: no access log of a known format", plural(a.NotLogs, "file was", "files were"))
	}
	if a.Logs == 0 && a.Failed == 0 {
		return hint(tagged{errors.New("there are no logs of this time range"), vault.ErrNotFound},
			"check --from and --since; if the store does not write logs yet, turn them on: for AWS a trail with data events or server access logging, for COS the logging of the bucket, for Ceph rgw_enable_ops_log")
	}
	newest := "there is no record yet"
	if a.Newest != nil {
		newest = "the newest record has the time " + timestamp(*a.Newest)
	}
	a.note("%s in %s, %d shown; %s, and later requests may not have been delivered yet", plural(a.Records, "record", "records"), plural(a.Logs, "log", "logs"), a.Shown, newest)
	if a.NoTenant > 0 {
		a.note("%s no tenant (%d denied); omit --tenant to see all requests", plural(a.NoTenant, "request without a key concerns", "requests without a key concern"), a.NoTenantDenied)
	}
	if a.c.Command.Name == "audit" { // the summary has no remark not-vault
		a.finishClient()
	}
	a.finishUsage()
	var problems []string
	if a.Unreadable > 0 {
		problems = append(problems, plural(a.Unreadable, "record", "records")+" could not be read")
	}
	if a.Ambiguous > 0 {
		problems = append(problems, plural(a.Ambiguous, "record", "records")+" can be read in two ways")
	}
	if a.omitted > 0 {
		problems = append(problems, plural(a.omitted, "request", "requests")+" of further names and callers are not in the summary; select some names, or a shorter range")
	}
	if a.Failed > 0 {
		problems = append(problems, plural(a.Failed, "log", "logs")+" could not be read to the end")
	}
	if a.Usage != nil && a.Usage.Missing > 0 {
		problems = append(problems, plural(int(a.Usage.Missing), "request that RGW counted is", "requests that RGW counted are")+" not in the logs")
	}
	if problems != nil {
		return fmt.Errorf("%w: %s", errPartial, strings.Join(problems, ", "))
	}
	return nil
}
