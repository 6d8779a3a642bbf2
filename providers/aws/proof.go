package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/internal/transport"
)

// A login page of a network, a proxy or a web server at a wrong address may respond in place of the
// service. Its 200 stores nothing, its empty page lists nothing, and its 404 proves nothing. So every
// response is checked for data that only the service sends. A response without this data is a
// [foreignError]. After a write, a foreignError proves nothing, so package vault reads the object
// back. After any other request, the error is "unavailable".

// A proof describes the required data of a successful response to an operation.
type proof struct {
	status  []int
	header  string // a required header, if not empty
	root    string // the root element of the XML body, if not empty
	element string // an element below the root that must not be empty, if not empty
	// next is the element with the marker of the next page of a truncated list. from is the request
	// parameter for this marker. Without the marker the list would be incomplete. With the marker of
	// the request it would never end.
	next, from string
	json       bool // the body must be a JSON object
	empty      bool // the body must be empty
	requestID  bool // one of the headers in requestIDs is required
}

var ok = []int{http.StatusOK}

// document returns the proof of an operation whose response is an XML document.
func document(root string) proof { return proof{status: ok, root: root} }

// proofs contains every operation of S3 that this package or the driver of gocloud.dev uses.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
var proofs = map[string]proof{
	"PutObject":               {status: ok, header: "ETag", empty: true},
	"UploadPart":              {status: ok, header: "ETag", empty: true},
	"CreateMultipartUpload":   {status: ok, root: "InitiateMultipartUploadResult", element: "UploadId"},
	"CompleteMultipartUpload": document("CompleteMultipartUploadResult"),
	"CopyObject":              document("CopyObjectResult"),
	"UploadPartCopy":          {status: ok, root: "CopyPartResult", element: "ETag"},
	"AbortMultipartUpload":    {status: []int{http.StatusNoContent, http.StatusOK}, empty: true},

	"DeleteObject":  {status: []int{http.StatusNoContent, http.StatusOK}, empty: true},
	"DeleteObjects": document("DeleteResult"),

	"GetObject":  {status: []int{http.StatusOK, http.StatusPartialContent}, header: "ETag"},
	"HeadObject": {status: []int{http.StatusOK, http.StatusPartialContent}, header: "ETag"},
	"HeadBucket": {status: ok, requestID: true},

	"ListObjects":          document("ListBucketResult"), // the marker of the next page is the last key
	"ListObjectsV2":        {status: ok, root: "ListBucketResult", next: "NextContinuationToken", from: "continuation-token"},
	"ListObjectVersions":   {status: ok, root: "ListVersionsResult", next: "NextKeyMarker", from: "key-marker"},
	"ListMultipartUploads": {status: ok, root: "ListMultipartUploadsResult", next: "NextKeyMarker", from: "key-marker"},
	"ListParts":            {status: ok, root: "ListPartsResult", next: "NextPartNumberMarker", from: "part-number-marker"},
	"ListBuckets":          document("ListAllMyBucketsResult"),

	"GetBucketAcl":                    document("AccessControlPolicy"),
	"GetBucketEncryption":             document("ServerSideEncryptionConfiguration"),
	"GetBucketLifecycleConfiguration": document("LifecycleConfiguration"),
	"GetBucketLocation":               document("LocationConstraint"),
	"GetBucketOwnershipControls":      document("OwnershipControls"),
	"GetBucketLogging":                document("BucketLoggingStatus"),
	"GetBucketPolicy":                 {status: ok, json: true},
	"GetBucketPolicyStatus":           document("PolicyStatus"),
	"GetBucketVersioning":             document("VersioningConfiguration"),
	"GetObjectLockConfiguration":      document("ObjectLockConfiguration"),
	"GetPublicAccessBlock":            document("PublicAccessBlockConfiguration"),
}

// proofsOfSTS contains every operation of STS that this package uses.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html
var proofsOfSTS = map[string]proof{
	"AssumeRoleWithWebIdentity": document("AssumeRoleWithWebIdentityResponse"),
	"GetCallerIdentity":         document("GetCallerIdentityResponse"),
}

// requestIDs lists the headers with the request ID: of AWS and most other services, of Google and of
// Alibaba Cloud. They prove a response to HEAD, which has no body.
var requestIDs = []string{"X-Amz-Request-Id", "X-Amz-Id-2", "X-Guploader-Uploadid", "X-Oss-Request-Id"}

// A foreignError means that a response does not come from the service.
type foreignError struct {
	service string // S3 or STS
	status  int
	kind    string // the content type
	lacks   string // the missing data; empty if the start of the body is clear enough
	page    string // the start of the body, without possible secrets
	where   string // the host of a redirect
}

func (e *foreignError) Error() string {
	text := fmt.Sprintf("this is not an %s response: status %d, ", e.service, e.status)
	if e.kind == "" {
		text += "no content type"
	} else {
		text += e.kind
	}
	if e.where != "" {
		text += ", a redirect to " + e.where
	}
	if e.lacks != "" {
		text += ", " + e.lacks
	}
	if e.page != "" {
		text += ": " + e.page
	}
	return text
}

// HTTPStatusCode returns the status. The SDK uses it to decide whether to repeat a read.
func (e *foreignError) HTTPStatusCode() int { return e.status }

// ErrorCode implements [smithy.APIError]. Without it, the driver of gocloud.dev would use the status,
// for example a 404 as "not found".
func (e *foreignError) ErrorCode() string { return "ForeignResponse" }

// ErrorMessage implements [smithy.APIError].
func (e *foreignError) ErrorMessage() string { return e.Error() }

// ErrorFault implements [smithy.APIError].
func (e *foreignError) ErrorFault() smithy.ErrorFault { return smithy.FaultUnknown }

// isTemporary reports whether the status means that the failure is temporary.
func (e *foreignError) isTemporary() bool {
	return e.status >= 500 || e.status == http.StatusTooManyRequests || e.status == http.StatusRequestTimeout || e.status == http.StatusTooEarly
}

// prove adds a middleware that returns a [foreignError] for a response that proves nothing. The
// middleware runs before any other code parses the response.
func prove(s *middleware.Stack) error {
	return s.Deserialize.Add(middleware.DeserializeMiddlewareFunc(proveID, func(
		ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
	) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, meta, err := next.HandleDeserialize(ctx, in)
		resp, isHTTP := out.RawResponse.(*smithyhttp.Response)
		request, _ := in.Request.(*smithyhttp.Request)
		if err != nil || !isHTTP || request == nil {
			return out, meta, err
		}
		x := exchanged{service: "S3", operation: awsmiddleware.GetOperationName(ctx), request: request, response: resp}
		want, known := proofs[x.operation]
		if awsmiddleware.GetServiceID(ctx) == "STS" {
			x.service = "STS"
			want, known = proofsOfSTS[x.operation]
		}
		if !known {
			return out, meta, fmt.Errorf("providers/aws: there is no rule to check a response to %s", x.operation)
		}
		if err := x.check(want); err != nil {
			resp.Body.Close()
			return out, meta, err
		}
		return out, meta, nil
	}), middleware.After)
}

// proveID names the middleware.
const proveID = "objectvault:Prove"

// An exchanged value is a request with its response.
type exchanged struct {
	service, operation string
	request            *smithyhttp.Request
	response           *smithyhttp.Response
}

// confirmAbsence returns a middleware for a HEAD with a 404 but without a request ID. Any server may
// have sent this response, so a list of that key decides. client returns the client for the list.
func confirmAbsence(client func() *s3.Client) func(*middleware.Stack) error {
	return func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("objectvault:ConfirmAbsence", func(
			ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
		) (middleware.InitializeOutput, middleware.Metadata, error) {
			out, meta, err := next.HandleInitialize(ctx, in)
			head, isHead := in.Parameters.(*s3.HeadObjectInput)
			var foreign *foreignError
			if !isHead || head.VersionId != nil || !errors.As(err, &foreign) || foreign.status != http.StatusNotFound {
				return out, meta, err
			}
			list, lerr := client().ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: head.Bucket, Prefix: head.Key, MaxKeys: aws.Int32(1)})
			if lerr != nil || len(list.Contents) > 0 && aws.ToString(list.Contents[0].Key) == aws.ToString(head.Key) {
				return out, meta, err
			}
			return out, meta, &types.NotFound{Message: aws.String("the object is not in a list")}
		}), middleware.After)
	}
}

// maxProof limits the part of a body that is read to check it. A page of a list may be this large.
const maxProof = maxPage

// check returns a [foreignError] if the response proves nothing.
func (x exchanged) check(want proof) error {
	if x.response.StatusCode >= 300 {
		return x.checkError()
	}
	if !slices.Contains(want.status, x.response.StatusCode) {
		return x.foreign("", nil)
	}
	if want.header != "" && x.response.Header.Get(want.header) == "" {
		return x.foreign("no "+want.header, nil)
	}
	if want.requestID && !x.hasRequestID() {
		return x.foreign("no request ID", nil)
	}
	if want.header == "ETag" && x.isPage(want) {
		return x.foreign("", nil)
	}
	if x.operation == "GetObject" {
		return transport.CheckRange(x.request.Request, x.response.Response)
	}
	if want.root == "" && !want.json && !want.empty {
		return nil
	}
	body, err := x.body()
	if err != nil {
		return cut(err)
	}
	switch {
	case want.empty && len(bytes.TrimSpace(body)) > 0:
		return x.foreign("", body)
	case want.json && !isJSONObject(body):
		return x.foreign("", body)
	case want.root == "":
		return nil
	}
	return x.checkDocument(want, body)
}

// A cutError means that the response ended early. The SDK repeats a read, such as a list, after this
// error; it repeats no write: see [newThrottleRetryer].
type cutError struct{ err error }

func (e *cutError) Error() string { return e.err.Error() }
func (e *cutError) Unwrap() error { return e.err }

// RetryableError reports to the SDK that a read may be repeated.
func (e *cutError) RetryableError() bool { return true }

// cut returns a [cutError] for an error of reading the response, unless the context has ended.
func cut(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &cutError{err}
}

// isPage reports whether a response with an ETag looks like a page of a web server. Web frameworks send
// a weak ETag with each page, and S3 never does. An object of another program may also be a web page,
// but then the response has a request ID.
func (x exchanged) isPage(want proof) bool {
	weak := strings.HasPrefix(x.response.Header.Get("ETag"), "W/")
	if want.empty {
		return weak
	}
	kind, _, _ := mime.ParseMediaType(x.response.Header.Get("Content-Type"))
	return !x.hasRequestID() && (weak || kind == "text/html" || kind == "application/xhtml+xml")
}

// checkDocument checks the XML document of a successful response.
func (x exchanged) checkDocument(want proof, body []byte) error {
	d, err := readDocument(withoutEntries(body))
	if err != nil {
		d, err = readDocument(body)
	}
	switch {
	case d.root == "Error" && d.text["Code"] != "":
		// AWS documents this for CompleteMultipartUpload and CopyObject, because it sends the status
		// before the outcome is known.
		x.response.StatusCode = http.StatusInternalServerError
		return nil
	case d.root != want.root:
		return x.foreign("", body)
	case err != nil:
		return x.foreign("a truncated or malformed document", body)
	case want.element != "" && d.text[want.element] == "":
		return x.foreign("no "+want.element, body)
	case want.next == "" || d.text["IsTruncated"] == "":
		return nil
	}
	truncated, err := strconv.ParseBool(strings.TrimSpace(d.text["IsTruncated"])) // as the SDK reads it
	switch {
	case err != nil:
		return x.foreign("a list with an invalid IsTruncated", body)
	case !truncated:
		return nil
	case d.text[want.next] == "":
		return x.foreign("a truncated list without a marker for the next page", body)
	case d.text[want.next] == x.request.URL.Query().Get(want.from) && d.text["NextVersionIdMarker"] == x.request.URL.Query().Get("version-id-marker"):
		return x.foreign("a list whose next page is the same page", body)
	}
	return nil
}

// checkError checks an error response. It must have an error document or, if it cannot have a body, a
// request ID.
func (x exchanged) checkError() error {
	if x.request.Method == http.MethodHead {
		if !x.hasRequestID() {
			return x.foreign("no request ID", nil)
		}
		return nil
	}
	body, err := x.body()
	if err != nil {
		return cut(err)
	}
	if len(body) == 0 && x.hasRequestID() && (x.service != "STS" || x.response.StatusCode >= 500) {
		return nil
	}
	d, _ := readDocument(body)
	if x.service == "STS" && d.root == "Error" && x.response.StatusCode < 500 && x.response.StatusCode != http.StatusConflict && !isErrorOfCeph(d) {
		return x.foreign("an error of S3", body) // the server does not support STS
	}
	if (d.root == "Error" || d.root == "ErrorResponse") && d.text["Code"] != "" {
		return nil
	}
	return x.foreign("", body)
}

// isErrorOfCeph reports whether an error in the format of S3 may come from the STS of Ceph, which uses
// this format. Its AccessDenied has no message, in contrast to S3.
func isErrorOfCeph(d shallow) bool {
	code := d.text["Code"]
	return code == "AccessDenied" && d.text["Message"] == "" || codesOfSTS[code] || throttleCodes[code]
}

// codesOfSTS contains the error codes of AssumeRoleWithWebIdentity, except AccessDenied.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html#API_AssumeRoleWithWebIdentity_Errors
var codesOfSTS = map[string]bool{
	"ExpiredToken": true, "ExpiredTokenException": true, "IDPCommunicationError": true, "IDPRejectedClaim": true,
	"InvalidIdentityToken": true, "MalformedPolicyDocument": true, "PackedPolicyTooLarge": true, "RegionDisabledException": true,
}

func (x exchanged) hasRequestID() bool {
	return slices.ContainsFunc(requestIDs, func(h string) bool { return x.response.Header.Get(h) != "" })
}

// body reads the body and puts it back.
func (x exchanged) body() ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(x.response.Body, maxProof+1))
	x.response.Body.Close()
	x.response.Body = io.NopCloser(bytes.NewReader(body))
	if err == nil && len(body) > maxProof {
		return nil, x.foreign(fmt.Sprintf("more than %d bytes", maxProof), body)
	}
	return body, err
}

// foreign returns the error for a response that proves nothing. body is nil if it was not read.
func (x exchanged) foreign(lacks string, body []byte) error {
	if body == nil && x.request.Method != http.MethodHead {
		body, _ = io.ReadAll(io.LimitReader(x.response.Body, 4<<10+1))
	}
	e := &foreignError{service: x.service, status: x.response.StatusCode, lacks: lacks, page: text.Excerpt(body)}
	if kind, _, err := mime.ParseMediaType(x.response.Header.Get("Content-Type")); err == nil {
		e.kind = kind
	}
	if to, err := url.Parse(x.response.Header.Get("Location")); err == nil && to.Host != "" {
		e.where = (&url.URL{Scheme: to.Scheme, Host: to.Host}).String()
	}
	return e
}

func isJSONObject(body []byte) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal(body, &object) == nil && object != nil
}

// A shallow document contains the elements directly below the root of an XML document, and those of an
// error of STS, which are one level deeper.
type shallow struct {
	root string
	text map[string]string // the text of the elements, by name
}

// withoutEntries returns a list without its objects and versions. The SDK parses them after the check, so
// parsing them here, too, would take a quarter of the time of a long list.
func withoutEntries(body []byte) []byte {
	if bytes.Contains(body, []byte("<!")) { // a comment, or text that may look like an element
		return body
	}
	for _, name := range []string{"Contents", "Version"} {
		start, end := []byte("<"+name+">"), []byte("</"+name+">")
		var rest []byte
		for {
			from := bytes.Index(body, start)
			if from < 0 {
				break
			}
			to := bytes.Index(body[from:], end)
			if to < 0 {
				break
			}
			rest, body = append(rest, body[:from]...), body[from+to+len(end):]
		}
		body = append(rest, body...)
	}
	return body
}

// readDocument reads the well-formed part of a document.
func readDocument(body []byte) (shallow, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	s := shallow{text: make(map[string]string)}
	var path []string
	for {
		token, err := d.RawToken()
		switch {
		case err == io.EOF && len(path) == 0 && s.root != "":
			return s, nil
		case err == io.EOF:
			return s, io.ErrUnexpectedEOF
		case err != nil:
			return s, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(path) == 0 {
				if s.root != "" {
					return s, errors.New("two documents")
				}
				s.root = t.Name.Local
			}
			path = append(path, t.Name.Local)
		case xml.EndElement:
			if len(path) == 0 || path[len(path)-1] != t.Name.Local {
				return s, fmt.Errorf("</%s> has no start tag", t.Name.Local)
			}
			path = path[:len(path)-1]
		case xml.CharData:
			switch {
			case len(path) == 0 && len(bytes.TrimSpace(t)) > 0:
				return s, errors.New("text outside of the document")
			case len(path) == 2, len(path) == 3 && path[0] == "ErrorResponse":
				s.text[path[len(path)-1]] += string(t)
			}
		}
	}
}
