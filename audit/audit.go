// Package audit reads the access logs of a cloud: who read, wrote, listed or deleted which object of a
// vault, when, from where, and what the cloud answered.
//
// The logs are written by the store, not by the programs that use it. They also contain the attempts
// that the store denied, and those of programs that are not objectvault. [Read] decodes one log:
//
//	for r, err := range audit.Read(file, nil) {
//		var malformed *audit.ParseError
//		switch {
//		case errors.As(err, &malformed):
//			continue // this record is lost, and the next one follows
//		case err != nil:
//			return err
//		}
//		fmt.Println(r.Time, r.Tenant, r.Name, r.Verb, r.Principal, r.Denied)
//	}
//
// # Dialects
//
//   - [CloudTrail]: files of AWS CloudTrail with data events of S3.
//   - [S3]: server access logs of S3.
//   - [COS]: access logs of Tencent COS.
//   - [RGW]: the ops log of Ceph RGW, from a file or a socket.
//   - [Versity]: the access log of versitygw.
//   - [Weed]: the audit log of SeaweedFS.
//   - [Client]: the log of the command vault, whose requests are found in the other logs by their ids.
//
// The comment of each constant lists what its logs do not contain. The tests run RGW, versitygw and
// SeaweedFS. The other parsers follow the documentation of the vendors, and were not run on logs of their clouds.
//
// # What a log proves
//
// A log is as reliable as the store and the delivery. AWS delivers server access logs with best effort:
// a record may come hours late, or never. CloudTrail files come after some minutes, COS's every five
// minutes. So the absence of a record proves nothing, and the last minutes are always incomplete.
//
// Clients choose object keys and user agents, and the text formats do not escape them completely. A
// line that can be read in two ways is not guessed: its record has the fields that are certain, and is
// marked as Ambiguous.
//
// Ceph RGW also counts its requests. [ReadUsage] reads these numbers, which show whether an ops log has a line
// for each request.
package audit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// A Record is one request, or one object of a request for several objects. A field is empty if the log
// does not contain it.
type Record struct {
	Time    time.Time
	Dialect Dialect
	Bucket  string
	// Key is the decoded key of the object. It is empty for a request about the bucket.
	Key string
	// Prefix is the prefix of a list.
	Prefix string

	// Tenant is the owner of Key, or of Prefix for a list. It is empty if they do not start with the
	// prefix of one tenant.
	Tenant     vault.Tenant
	Collection vault.Collection
	// Name is set only if Object is.
	Name vault.Name
	// Object reports whether Key is the key of an object of a vault. Other programs may have stored
	// other objects below the prefix of a tenant.
	Object bool

	Verb Verb
	// Operation is the operation as the log names it, such as REST.GET.OBJECT.
	Operation string
	// Version is the version that was requested or created.
	Version string
	// Bytes is the number of bytes of the object that were sent for [VerbRead], or received for
	// [VerbWrite], as far as the log contains it.
	Bytes int64

	// Principal is the authenticated caller: the ARN of a role or user, the user of RGW or versitygw,
	// or the two ids of a caller of COS. It is empty for an anonymous request, and if the
	// authentication failed.
	Principal string
	// Session is the name of the session of a role.
	Session string
	// Subject is the subject of the OIDC token with which the role was assumed.
	Subject string
	// AccessKeyID is the public part of the key that signed the request. If the authentication failed,
	// the client only claimed to have the key.
	AccessKeyID string
	Address     string
	UserAgent   string
	// Duration is how long the request took, for [RGW]. Time is when it began.
	Duration time.Duration

	// Status is the HTTP status. CloudTrail does not contain it.
	Status int
	// Code is the error code of the store.
	Code string
	// Denied reports whether the store refused the request for lack of permission or authentication.
	// S3 also denies reading an object that does not exist, if the caller may not list.
	Denied    bool
	RequestID string
	// Ambiguous means that the line can be read in two ways, for example because the user agent looks like
	// the fields after it. The record then has only the fields that are certain. If Status is 0, the result
	// is unknown, and the authentication of Principal may have failed. If Tenant is empty, the request may
	// concern any tenant.
	Ambiguous bool
	// RequestIDs are those of the requests of an operation, for [Client]. The log of the store has them as
	// RequestID.
	RequestIDs []string
	// RequestsWithoutID is how many further requests the store may have received, for [Client]: those without
	// a response with an id, for example because the connection was lost.
	RequestsWithoutID int
}

// Failed reports whether the store did not fulfil the request.
func (r Record) Failed() bool { return r.Denied || r.Status >= 400 || r.Status == 0 && r.Code != "" }

// A Dialect is the format of a log.
type Dialect string

// The dialects.
const (
	// CloudTrail logs DeleteObjects without keys, if its trail is from before June 2025 or the request
	// was denied. It contains no HTTP status.
	CloudTrail Dialect = "cloudtrail"
	// S3 logs one record for each key of DeleteObjects, and a copy as two records.
	S3 Dialect = "s3"
	// COS logs neither the name of a session, nor the source of a copy, nor the keys of
	// DeleteMultipleObjects, whose response is 200 although each key may have been denied. The second id
	// of a principal is that of the role, or of the sub-account.
	COS Dialect = "cos"
	// RGW logs the source of a copy only with "rgw log http headers = http_x_amz_copy_source", and no keys
	// if it denies a whole DeleteObjects. If it denies some keys, there is a record for each key. Bucket is
	// TENANT/BUCKET if the bucket belongs to a tenant of RGW.
	//
	// The socket ("rgw ops log socket path") sends the same records as the file, as the elements of a list
	// without an end. Ceph 16.2.15 serves one connection at a time, and sends what no connection has read,
	// up to "rgw ops log data backlog" (5 MiB), and then each new record.
	RGW Dialect = "rgw"
	// Versity logs neither the source of a copy nor the keys of DeleteObjects, whose response is 200
	// although each key may have been denied. Its number of bytes is the length of the response
	// without the object.
	Versity Dialect = "versitygw"
	// Weed is the records that SeaweedFS sends to Fluentd, one JSON object in each line. They contain
	// neither the query of a request, such as the prefix of a list, nor versions, nor the source of a copy,
	// nor numbers of bytes. Listing the parts of an upload looks like reading the object, and aborting an
	// upload like deleting it.
	Weed Dialect = "seaweedfs"
	// Client is the log that the command vault writes with --log, one JSON object in each line. A record is
	// an operation, not a request: it has RequestIDs, and neither a key nor a caller nor an address.
	Client Dialect = "vault"
)

// A Verb is what a request wanted to do.
type Verb string

// The verbs.
const (
	VerbRead      Verb = "read"      // the content of an object
	VerbStat      Verb = "stat"      // the existence or the settings of an object or bucket
	VerbList      Verb = "list"      // names, versions, uploads or parts
	VerbWrite     Verb = "write"     // an object, a part of one, or the start or end of an upload
	VerbDelete    Verb = "delete"    // an object or a version
	VerbConfigure Verb = "configure" // the settings of an object or bucket
	VerbOther     Verb = "other"
)

// Options configures [Read]. Nil, or the zero value, is ready to use.
type Options struct {
	// Dialect is the format of the log. If it is empty, Read detects it.
	Dialect Dialect
	// MaxRecord is the maximum length of a record in bytes; 0 means 1 MiB. A longer record is a
	// [ParseError].
	MaxRecord int
}

// ErrDialect means that a log has no known format.
var ErrDialect = errors.New("not a log of a known format")

// A ParseError is a record that cannot be read. Its text contains nothing of the record.
type ParseError struct {
	Dialect Dialect
	Line    int    // the number of the line, from 1; 0 for CloudTrail, which has no lines
	Offset  int64  // where the record starts, in bytes of the uncompressed log
	Problem string // in words
}

func (e *ParseError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s log, line %d: %s", e.Dialect, e.Line, e.Problem)
	}
	return fmt.Sprintf("%s log, offset %d: %s", e.Dialect, e.Offset, e.Problem)
}

// Read returns the records of a log, which may be compressed with gzip. The memory that it needs is
// limited by the longest record, not by the log.
//
// A malformed record is a [*ParseError], and the next records follow. Any other error is the last one:
// [ErrDialect], an error of r, or damaged compression. An empty log has no records.
func Read(r io.Reader, o *Options) iter.Seq2[Record, error] {
	if o == nil {
		o = new(Options)
	}
	limit := o.MaxRecord
	if limit <= 0 {
		limit = 1 << 20
	}
	return func(yield func(Record, error) bool) {
		b, err := uncompressed(r)
		if err != nil {
			yield(Record{}, err)
			return
		}
		d := o.Dialect
		if d == "" {
			// A log that cannot be read to its end has records, too. If head shows the dialect, the error
			// follows them.
			head, err := b.Peek(detectSize)
			if d = Detect(head); d == "" {
				switch {
				case err != nil && err != io.EOF:
					yield(Record{}, err)
				case len(bytes.TrimSpace(head)) > 0:
					yield(Record{}, ErrDialect)
				}
				return
			}
		}
		parse, ok := parsers[d]
		if !ok {
			yield(Record{}, fmt.Errorf("%w: %q", ErrDialect, string(d)))
			return
		}
		split := lines
		switch d {
		case CloudTrail:
			split = elements
		case RGW, Weed:
			split = objects
		}
		for raw, err := range split(b, d, limit) {
			if err != nil {
				if !yield(Record{}, err) {
					return
				}
				continue
			}
			records, problem := parse(raw.text)
			if problem != "" {
				if !yield(Record{}, &ParseError{Dialect: d, Line: raw.line, Offset: raw.offset, Problem: problem}) {
					return
				}
				continue
			}
			for _, rec := range records {
				rec.Dialect = d
				rec.place()
				if !yield(rec, nil) {
					return
				}
			}
		}
	}
}

// parsers parse one record. A record without an object of interest, such as a comment, is an empty list.
// problem is empty if there is none, and contains nothing of the record.
var parsers = map[Dialect]func(text []byte) (records []Record, problem string){
	CloudTrail: parseCloudTrail,
	S3:         parseS3,
	COS:        parseCOS,
	RGW:        parseRGW,
	Versity:    parseVersity,
	Weed:       parseWeed,
	Client:     parseClient,
}

func uncompressed(r io.Reader) (*bufio.Reader, error) {
	b := bufio.NewReaderSize(&untilError{r: r}, detectSize)
	head, err := b.Peek(2)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(z, detectSize), nil
}

// An untilError is a reader that returns an error of r again at the next call. A bufio.Reader forgets the
// error that Peek has returned.
type untilError struct {
	r   io.Reader
	err error
}

func (u *untilError) Read(p []byte) (n int, err error) {
	if u.err == nil {
		n, u.err = u.r.Read(p)
	}
	return n, u.err
}

// place fills in the fields that follow from others: above all what Key and Prefix mean in a vault.
func (r *Record) place() {
	if r.Dialect == Client { // it has names, and no keys
		return
	}
	if r.Key != "" {
		r.Tenant, r.Collection, r.Name, r.Object = vault.ParseKey(r.Key)
	} else if r.Verb == VerbList {
		r.Tenant, r.Collection, _, _ = vault.ParseKey(r.Prefix)
	}
	if r.Failed() {
		r.Bytes = 0 // those of the error, or of nothing
	}
}
