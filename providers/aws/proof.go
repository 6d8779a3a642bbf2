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

// What proves that a service has answered. A login page of the network, a proxy or a web server
// at a wrong address answers as well, and its 200 stores nothing, its empty page lists nothing,
// and its 404 finds nothing. So each response is held to what the service sends in this place, and
// everything else is a [foreignError]: of a write it proves nothing, so that package vault reads
// it back; of the rest it is "unavailable".

// A proof is what a successful response to an operation has.
type proof struct {
	status []int
	header string // a header that is there, unless it is empty
	root   string // the name of the XML document in the body, unless it is empty
	holds  string // an element of it that has a text, unless it is empty
	// The element that says where a truncated list goes on, and the parameter of the request that
	// takes it. A list that is truncated without it, or that goes on where it began, would be a
	// part taken for the whole, or have no end.
	next, from string
	json       bool // the body is a JSON object
	empty      bool // the body is empty
	requestID  bool // one of the headers of requestIDs is there
}

var ok = []int{http.StatusOK}

// document is the proof of an operation that is answered with an XML document.
func document(root string) proof { return proof{status: ok, root: root} }

// proofs has every operation of S3 that is used here, or by gocloud's driver.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
var proofs = map[string]proof{
	"PutObject":               {status: ok, header: "ETag", empty: true},
	"UploadPart":              {status: ok, header: "ETag", empty: true},
	"CreateMultipartUpload":   {status: ok, root: "InitiateMultipartUploadResult", holds: "UploadId"},
	"CompleteMultipartUpload": document("CompleteMultipartUploadResult"),
	"CopyObject":              document("CopyObjectResult"),
	"UploadPartCopy":          document("CopyPartResult"),
	"AbortMultipartUpload":    {status: []int{http.StatusNoContent, http.StatusOK}, empty: true},

	"DeleteObject":  {status: []int{http.StatusNoContent, http.StatusOK}, empty: true},
	"DeleteObjects": document("DeleteResult"),

	"GetObject":  {status: []int{http.StatusOK, http.StatusPartialContent}, header: "ETag"},
	"HeadObject": {status: []int{http.StatusOK, http.StatusPartialContent}, header: "ETag"},
	"HeadBucket": {status: ok, requestID: true},

	"ListObjects":          document("ListBucketResult"), // goes on after its last key
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
	"GetBucketPolicy":                 {status: ok, json: true},
	"GetBucketPolicyStatus":           document("PolicyStatus"),
	"GetBucketVersioning":             document("VersioningConfiguration"),
	"GetObjectLockConfiguration":      document("ObjectLockConfiguration"),
	"GetPublicAccessBlock":            document("PublicAccessBlockConfiguration"),
}

// proofsOfSTS has every operation of STS that is used here.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html
var proofsOfSTS = map[string]proof{
	"AssumeRoleWithWebIdentity": document("AssumeRoleWithWebIdentityResponse"),
	"GetCallerIdentity":         document("GetCallerIdentityResponse"),
}

// requestIDs are the headers in which services name a request: AWS and most others, Google, Alibaba
// Cloud. A response to HEAD has no body that could prove anything.
var requestIDs = []string{"X-Amz-Request-Id", "X-Amz-Id-2", "X-Guploader-Uploadid", "X-Oss-Request-Id"}

// A foreignError means that a response is not one of the service.
type foreignError struct {
	service string // S3 or STS
	status  int
	kind    string // the content type
	lacks   string // what is missing; empty where the page itself says enough
	page    string // the start of the body, without what may be secret
	where   string // the host that a redirect leads to
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

// HTTPStatusCode is by which the SDK decides whether to try a read again.
func (e *foreignError) HTTPStatusCode() int { return e.status }

// ErrorCode makes it an error of the service's kind for gocloud's driver, which would otherwise take
// the status for the service's: a 404 for "not found".
func (e *foreignError) ErrorCode() string { return "ForeignResponse" }

// ErrorMessage implements [smithy.APIError].
func (e *foreignError) ErrorMessage() string { return e.Error() }

// ErrorFault implements [smithy.APIError].
func (e *foreignError) ErrorFault() smithy.ErrorFault { return smithy.FaultUnknown }

// temporary reports whether the responding server says that the failure is temporary.
func (e *foreignError) temporary() bool {
	return e.status >= 500 || e.status == http.StatusTooManyRequests || e.status == http.StatusRequestTimeout || e.status == http.StatusTooEarly
}

// prove is the middleware that makes a response which proves nothing a [foreignError]. It stands
// next to the wire, before anything parses the response.
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
			return out, meta, fmt.Errorf("providers/aws: nothing is known to prove a response to %s", x.operation)
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

// An exchanged request has a response.
type exchanged struct {
	service, operation string
	request            *smithyhttp.Request
	response           *smithyhttp.Response
}

// confirmAbsence is the middleware of a client whose HEAD is answered 404 without the id of a
// request: that may be any server's, and a list of that one key decides. client returns the client.
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
			return out, meta, &types.NotFound{Message: aws.String("it is not listed")}
		}), middleware.After)
	}
}

// maxProof is how much of a body is read to prove it: a page of a list may have it all.
const maxProof = maxPage

// check returns why the response proves nothing, or nil.
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
		return x.foreign("no id of the request", nil)
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
		return err
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

// isPage reports whether a response with an ETag looks like the page of a web server. Web
// frameworks give each page a weak ETag, which S3 does not have. An object of another program may
// be a page: then the service names the request.
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
	d, err := readDocument(body)
	switch {
	case d.root == "Error" && d.text["Code"] != "":
		// AWS documents it for CompleteMultipartUpload and CopyObject: the status was sent before
		// the outcome was known.
		x.response.StatusCode = http.StatusInternalServerError
		return nil
	case d.root != want.root:
		return x.foreign("", body)
	case err != nil:
		return x.foreign("a document that is cut or malformed", body)
	case want.holds != "" && d.text[want.holds] == "":
		return x.foreign("no "+want.holds, body)
	case want.next == "" || d.text["IsTruncated"] == "":
		return nil
	}
	truncated, err := strconv.ParseBool(strings.TrimSpace(d.text["IsTruncated"])) // as the SDK reads it
	switch {
	case err != nil:
		return x.foreign("a list that does not say whether it is cut", body)
	case !truncated:
		return nil
	case d.text[want.next] == "":
		return x.foreign("a list that is cut and does not say where it goes on", body)
	case d.text[want.next] == x.request.URL.Query().Get(want.from) && d.text["NextVersionIdMarker"] == x.request.URL.Query().Get("version-id-marker"):
		return x.foreign("a list that goes on where it began", body)
	}
	return nil
}

// checkError checks a response that is no success: it has an error document, or where that has
// no place, the id of the request.
func (x exchanged) checkError() error {
	if x.request.Method == http.MethodHead {
		if !x.hasRequestID() {
			return x.foreign("no id of the request", nil)
		}
		return nil
	}
	body, err := x.body()
	if err != nil {
		return err
	}
	if len(body) == 0 && x.hasRequestID() && (x.service != "STS" || x.response.StatusCode >= 500) {
		return nil
	}
	d, _ := readDocument(body)
	if x.service == "STS" && d.root == "Error" && x.response.StatusCode < 500 && x.response.StatusCode != http.StatusConflict && !isErrorOfCeph(d) {
		return x.foreign("an error of S3", body) // a server without STS
	}
	if (d.root == "Error" || d.root == "ErrorResponse") && d.text["Code"] != "" {
		return nil
	}
	return x.foreign("", body)
}

// isErrorOfCeph reports whether an error in the form of S3 may be one of an STS. That of a Ceph has this
// form; with AccessDenied it has no message, while S3 has one.
func isErrorOfCeph(d shallow) bool {
	code := d.text["Code"]
	return code == "AccessDenied" && d.text["Message"] == "" || codesOfSTS[code] || throttleCodes[code]
}

// codesOfSTS are those of AssumeRoleWithWebIdentity, without AccessDenied.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html#API_AssumeRoleWithWebIdentity_Errors
var codesOfSTS = map[string]bool{
	"ExpiredToken": true, "ExpiredTokenException": true, "IDPCommunicationError": true, "IDPRejectedClaim": true,
	"InvalidIdentityToken": true, "MalformedPolicyDocument": true, "PackedPolicyTooLarge": true, "RegionDisabledException": true,
}

func (x exchanged) hasRequestID() bool {
	return slices.ContainsFunc(requestIDs, func(h string) bool { return x.response.Header.Get(h) != "" })
}

// body reads the body and leaves it as it was.
func (x exchanged) body() ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(x.response.Body, maxProof+1))
	x.response.Body.Close()
	x.response.Body = io.NopCloser(bytes.NewReader(body))
	if err == nil && len(body) > maxProof {
		return nil, x.foreign(fmt.Sprintf("more than %d bytes", maxProof), body)
	}
	return body, err
}

// foreign returns the error of a response that proves nothing. body is nil where it was not read.
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

// A shallow document is what is directly below the root of an XML document, and the error of
// STS, which is one below.
type shallow struct {
	root string
	text map[string]string // the last one of each name
}

// readDocument reads as much of a document as is well-formed.
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
				return s, fmt.Errorf("</%s> has no beginning", t.Name.Local)
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
