package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/objectvault/objectvault/internal/text"
)

// A Usage is how many requests of one operation RGW has counted for a bucket. RGW counts a request when it ends,
// in the hour of that time, right before it writes the line of the ops log, and stores the numbers in the cluster.
// Ceph 16.2.15 also counts requests without a bucket, such as list_buckets, which it does not log. It
// neither counts nor logs a request for a bucket that does not exist.
type Usage struct {
	// Owner is the owner of the bucket, and not the caller. For create_bucket it is the caller. It starts
	// with "TENANT$" if the user belongs to a tenant of RGW.
	Owner string
	// Payer is the caller, if the bucket has requester pays and the caller is not the owner.
	Payer string
	// Bucket is the name without the tenant of RGW. "-" has the requests that failed with status 404, of all
	// buckets of the owner. "" has those without a bucket, such as list_buckets.
	Bucket string
	// Hour is the start of the first hour in which requests were counted. radosgw-admin adds up the hours of a
	// bucket, up to the end of the range that it was asked for. For a single hour, its --start-date and
	// --end-date must be an hour apart.
	Hour time.Time
	// Operation is the operation as the ops log names it, such as get_obj.
	Operation string
	// Requests is the number of requests, and Successful that of those with a status below 400.
	Requests, Successful     int64
	BytesSent, BytesReceived int64
}

// usageDialect is in the errors of ReadUsage. Read does not know it, because it has no records.
const usageDialect Dialect = "rgw usage"

const (
	maxUsage       = 1 << 20 // limits the memory for the numbers of one bucket, and for what is skipped
	maxUsageDepth  = 32      // of what is skipped: the decoder needs memory for each level
	maxUsageName   = 255     // bytes of a bucket, as in S3, and of an operation
	maxUsageCaller = 1024    // bytes of an owner or payer: the id of a user of OIDC can have more than 255
)

// IsUsage reports whether a file that starts with head is one for [ReadUsage], and no log. It may be compressed
// with gzip.
func IsUsage(head []byte) bool { return usageStart.Match(uncompressedHead(head)) }

var usageStart = text.NewRegexp(`^\s*\{\s*"(entries|summary)"\s*:\s*\[\s*(\]|\{\s*"user"\s*:)`)

// ReadUsage returns the numbers that radosgw-admin usage show prints as JSON, if RGW counts requests ("rgw enable
// usage log = true"). They contain neither keys nor callers. But they show whether an ops log is complete: it must
// have as many requests. RGW adds its newest numbers every 30 seconds ("rgw usage log tick interval").
//
// Several outputs can follow each other, and the text may be compressed with gzip. The memory does not grow with
// the text: a name that is too long is an error, and so is a value that is nested too deeply. An error is the last
// result: a [*ParseError], also if an output has no entries, or an error of r.
//
// ReadUsage was tested with Ceph 16.2.15, whose radosgw-admin can add up wrong hours if "rgw usage max user shards"
// is greater than 1 and there are more than 1,000 numbers.
func ReadUsage(r io.Reader) iter.Seq2[Usage, error] {
	return func(yield func(Usage, error) bool) {
		b, err := uncompressed(r)
		if err != nil {
			yield(Usage{}, err)
			return
		}
		limited := &allowance{r: b, left: maxUsage}
		u := &usageReader{d: json.NewDecoder(limited), limited: limited, yield: yield}
		for {
			switch err := u.document(); {
			case err == io.EOF || err == errStopped:
				return
			case err != nil:
				yield(Usage{}, u.explain(err))
				return
			}
		}
	}
}

// An allowance is a reader that fails if a value of the JSON is too long.
type allowance struct {
	r    *bufio.Reader
	left int
}

var errLongValue = errors.New(tooLong)

func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, errLongValue
	}
	n, err := a.r.Read(p[:min(len(p), a.left)])
	a.left -= n
	return n, err
}

type usageReader struct {
	d       *json.Decoder
	limited *allowance
	yield   func(Usage, error) bool
}

var errStopped = errors.New("the caller has stopped")

// A usageProblem is a malformed output, in words.
type usageProblem string

func (p usageProblem) Error() string { return string(p) }

const errLongName = usageProblem("a name is too long")

// explain returns a ParseError, unless the reader failed. The errors of package json would quote the text.
func (u *usageReader) explain(err error) error {
	problem := "the JSON is malformed"
	var own usageProblem
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &own):
		problem = string(own)
	case errors.Is(err, errLongValue):
		problem = tooLong
	case errors.Is(err, io.ErrUnexpectedEOF):
		problem = "the text ends inside an output"
	case !errors.As(err, &syntax) && !errors.As(err, &wrong):
		return err
	}
	return &ParseError{Dialect: usageDialect, Offset: u.d.InputOffset(), Problem: problem}
}

// token returns the next token, and allows the one after it.
func (u *usageReader) token() (json.Token, error) {
	t, err := u.d.Token()
	u.limited.left = maxUsage
	return t, err
}

// inside is token for a place where the output must not end.
func (u *usageReader) inside() (json.Token, error) {
	t, err := u.token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return t, err
}

// document reads one output. The error is io.EOF if there is none.
func (u *usageReader) document() error {
	t, err := u.token()
	if err != nil {
		return err
	}
	found := false
	err = u.object(t, func(name string) error {
		if name != "entries" {
			return u.skip()
		}
		found = true
		return u.array(u.user)
	})
	if err == nil && !found {
		err = usageProblem("there are no entries; omit --show-log-entries=false")
	}
	return err
}

// user reads the numbers of an owner, or of a caller that pays.
func (u *usageReader) user() error {
	t, err := u.inside()
	if err != nil {
		return err
	}
	return u.object(t, func(name string) error {
		if name != "buckets" {
			return u.skip()
		}
		return u.array(u.bucket)
	})
}

// A usageEntry is the numbers of a bucket. The pointers are nil if the number is missing.
type usageEntry struct {
	Bucket     *string `json:"bucket"`
	Epoch      *int64  `json:"epoch"`
	Owner      *string `json:"owner"`
	Payer      string  `json:"payer"`
	Categories []struct {
		Category      string `json:"category"`
		BytesSent     *int64 `json:"bytes_sent"`
		BytesReceived *int64 `json:"bytes_received"`
		Ops           *int64 `json:"ops"`
		Successful    *int64 `json:"successful_ops"`
	} `json:"categories"`
}

func (u *usageReader) bucket() error {
	var e usageEntry
	err := u.d.Decode(&e)
	u.limited.left = maxUsage
	switch {
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case e.Bucket == nil || e.Owner == nil || e.Epoch == nil || e.Categories == nil:
		return usageProblem("the bucket, its owner, the hour or the categories are missing")
	case len(*e.Bucket) > maxUsageName || len(*e.Owner) > maxUsageCaller || len(e.Payer) > maxUsageCaller:
		return errLongName
	case *e.Epoch < 0 || *e.Epoch > maxEpoch:
		return usageProblem("the hour is malformed")
	}
	for _, c := range e.Categories {
		if c.Category == "" || c.BytesSent == nil || c.BytesReceived == nil || c.Ops == nil || c.Successful == nil {
			return usageProblem("an operation or a number of it is missing")
		}
		if len(c.Category) > maxUsageName {
			return errLongName
		}
		if *c.BytesSent < 0 || *c.BytesReceived < 0 || *c.Successful < 0 || *c.Ops < *c.Successful || *c.Ops > maxRequests {
			return usageProblem("a number is malformed")
		}
		if !u.yield(Usage{
			Owner: *e.Owner, Payer: e.Payer, Bucket: *e.Bucket, Hour: time.Unix(*e.Epoch, 0).UTC(), Operation: c.Category,
			Requests: *c.Ops, Successful: *c.Successful, BytesSent: *c.BytesSent, BytesReceived: *c.BytesReceived,
		}, nil) {
			return errStopped
		}
	}
	return nil
}

const (
	maxEpoch    = 253402300799 // the end of the year 9999
	maxRequests = 1 << 53      // so that sums are not too large
)

// object reads the members of the object that starts with t. member reads the value.
func (u *usageReader) object(t json.Token, member func(name string) error) error {
	if t != json.Delim('{') {
		return usageProblem("an object is missing")
	}
	for u.d.More() {
		name, err := u.inside()
		if err != nil {
			return err
		}
		text, ok := name.(string)
		if !ok {
			return usageProblem("the JSON is malformed")
		}
		if err := member(text); err != nil {
			return err
		}
	}
	_, err := u.inside()
	return err
}

// array reads the array that comes next. element reads an element.
func (u *usageReader) array(element func() error) error {
	t, err := u.inside()
	if err != nil {
		return err
	}
	if t != json.Delim('[') {
		return usageProblem("a list is missing")
	}
	for u.d.More() {
		if err := element(); err != nil {
			return err
		}
	}
	_, err = u.inside()
	return err
}

// skip reads the value that comes next.
func (u *usageReader) skip() error {
	for depth := 0; ; {
		t, err := u.inside()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxUsageDepth {
				return usageProblem("the JSON is nested too deeply")
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
