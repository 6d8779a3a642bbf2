package tencent_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"
)

// A live is a real bucket. The test uses it to answer the questions that the documentation leaves
// open. The caller owns the bucket.
type live struct {
	client  *cos.Client // signs, and does not retry
	base    *url.URL
	id, key string
	token   string // "" for permanent keys
	sts     string // the URL of an STS
	prefix  string // prefix of every key
	never   bool   // versioning was never enabled
	rounds  int    // rounds of the race of creates
}

// A question is an unknown fact about the cloud. ask is nil if a bucket and its owner's keys cannot
// answer it, or if the attempt would do harm. Then why contains the reason.
type question struct {
	fact int
	text string
	why  string
	ask  func(l *live, ctx context.Context) (string, error)
}

var questions = []question{
	{1, "If-None-Match: * on PUT of an existing object", "", (*live).putCondition},
	{2, "the formula of the ETag of an upload in parts", "", (*live).multipartETag},
	{3, "a role as the principal of a bucket policy", "it would change the bucket's policy", nil},
	{4, "whether tags of AssumeRole reach the decisions of COS", "it takes a role with a policy made for it", nil},
	{5, "events of COS in CloudAudit", "a bucket does not show them", nil},
	{6, "the rate of web-identity exchanges", "finding a limit is an attack on it", nil},
	{7, "the code for a token that does not belong to the key", "", (*live).badToken},
	{8, "SigV4 on COS", "nothing here uses it", nil},
	{9, "name/sts:AssumeRole in the trust of an OIDC provider", "it takes a role made for it", nil},
	{10, "the limit of a session policy", "it takes a role", nil},
	{11, "the limit of the metadata, 2048 or 4096 bytes", "", (*live).metadataLimit},
	{12, "object lock together with versioning", "it cannot be undone", nil},
	{13, "AutoRotateKey on the international site", "it would make an OIDC provider", nil},
	{14, "what string_like takes for oidc:sub", "it takes a role made for it", nil},
	{15, "a multi-delete of which one key is refused", "nothing is refused to the owner", nil},
	{16, "several values under a negated operator", "it takes a policy made for it", nil},
	{17, "q-sign-time other than q-key-time", "", (*live).signTime},
	{18, "whether the length of a key counts before or after percent-encoding", "", (*live).keyLength},
	{19, "a web-identity exchange without Authorization", "", (*live).noAuthorization},
	{20, "the codes for parts with a gap, and out of order", "", (*live).partOrder},
	{21, "the code for the absent source of a copy", "", (*live).copySource},
	{21, "GET ?policy of a bucket without one", "", (*live).policyMissing},
	{22, "the response to writers that lose a race with x-cos-forbid-overwrite", "", (*live).createRace},
	{23, "a colon in the path of a resource", "it takes a policy made for it", nil},
	{24, "anything newer than the documents that were read", "only the documents tell", nil},
	{25, "the code for a signature that is no longer valid", "", (*live).expiredSignature},
}

// askTime limits each question.
const askTime = 3 * time.Minute

// put stores a value with headers, and returns the error code of the response, or OK.
func (l *live) put(ctx context.Context, key, value string, h http.Header) (string, error) {
	if h == nil {
		h = http.Header{}
	}
	return responseCode(l.client.Object.Put(ctx, l.prefix+key, strings.NewReader(value), &cos.ObjectPutOptions{
		ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{XOptionHeader: &h},
	}))
}

// responseCode returns the error code of a response, or OK. If there was no response, it returns the
// error.
func responseCode(resp *cos.Response, err error) (string, error) {
	if err == nil {
		resp.Body.Close()
		return "OK", nil
	}
	var tried *cos.RetryError
	if errors.As(err, &tried) && len(tried.Errs) > 0 {
		err = tried.Errs[len(tried.Errs)-1]
	}
	var e *cos.ErrorResponse
	if !errors.As(err, &e) || e.Response == nil {
		return "", err
	}
	if e.Code == "" {
		return strconv.Itoa(e.Response.StatusCode), nil
	}
	return e.Code, nil
}

func (l *live) putCondition(ctx context.Context) (string, error) {
	if got, err := l.put(ctx, "condition", "1", nil); got != "OK" {
		return got, err
	}
	switch got, err := l.put(ctx, "condition", "2", http.Header{"If-None-Match": {"*"}}); {
	case err != nil:
		return "", err
	case got == "OK":
		return "ignore", nil
	case got == "PreconditionFailed":
		return "honour", nil
	case got == "NotImplemented":
		return "not-implemented", nil
	default:
		return got, nil
	}
}

// parts starts a multipart upload and sends parts with these numbers.
func (l *live) parts(ctx context.Context, key string, numbers ...int) (id string, parts []cos.Object, sum []byte, err error) {
	up, _, err := l.client.Object.InitiateMultipartUpload(ctx, l.prefix+key, nil)
	if err != nil {
		return "", nil, nil, err
	}
	for _, n := range numbers {
		data := bytes.Repeat([]byte{byte(n)}, 1<<20)
		resp, err := l.client.Object.UploadPart(ctx, l.prefix+key, up.UploadID, n, bytes.NewReader(data), nil)
		if err != nil {
			return up.UploadID, nil, nil, err
		}
		part := md5.Sum(data)
		sum = append(sum, part[:]...)
		parts = append(parts, cos.Object{PartNumber: n, ETag: resp.Header.Get("ETag")})
	}
	return up.UploadID, parts, sum, nil
}

func (l *live) complete(ctx context.Context, key, id string, parts []cos.Object) (etag, code string, err error) {
	got, resp, err := l.client.Object.CompleteMultipartUpload(ctx, l.prefix+key, id, &cos.CompleteMultipartUploadOptions{Parts: parts})
	if err == nil {
		etag = got.ETag
	}
	code, err = responseCode(resp, err)
	return etag, code, err
}

func (l *live) multipartETag(ctx context.Context) (string, error) {
	id, parts, sums, err := l.parts(ctx, "etag", 1, 2)
	if err != nil {
		return "", err
	}
	etag, code, err := l.complete(ctx, "etag", id, parts)
	if code != "OK" {
		return code, err
	}
	whole := md5.Sum(sums)
	if strings.Trim(etag, `"`) == hex.EncodeToString(whole[:])+"-2" {
		return "s3", nil
	}
	return "opaque", nil
}

func (l *live) badToken(ctx context.Context) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base.String()+"/?prefix="+url.QueryEscape(l.prefix), nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("X-Cos-Security-Token", "of-no-key")
	return l.send(r, 0)
}

func (l *live) expiredSignature(ctx context.Context) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base.String()+"/?prefix="+url.QueryEscape(l.prefix), nil)
	if err != nil {
		return "", err
	}
	return l.sendAt(time.Now().Add(-time.Hour), r, 0)
}

// send signs a request, with a q-key-time that ends later than the q-sign-time, and returns
// the code of the response, or OK.
func (l *live) send(r *http.Request, later time.Duration) (string, error) {
	return l.sendAt(time.Now(), r, later)
}

// sendAt is [live.send] with a signature of another time.
func (l *live) sendAt(now time.Time, r *http.Request, later time.Duration) (string, error) {
	if l.token != "" && r.Header.Get("X-Cos-Security-Token") == "" {
		r.Header.Set("X-Cos-Security-Token", l.token)
	}
	cos.AddAuthorizationHeader(l.id, l.key, r.Header.Get("X-Cos-Security-Token"), r, &cos.AuthTime{
		SignStartTime: now, SignEndTime: now.Add(time.Minute), KeyStartTime: now, KeyEndTime: now.Add(time.Minute + later),
	})
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode/100 == 2 {
		return "OK", err
	}
	_, code, _ := strings.Cut(string(text), "<Code>")
	code, _, _ = strings.Cut(code, "</Code>")
	return code, nil
}

func (l *live) metadataLimit(ctx context.Context) (string, error) {
	got, err := l.put(ctx, "metadata", "", http.Header{"X-Cos-Meta-A": {strings.Repeat("a", 1500)}, "X-Cos-Meta-B": {strings.Repeat("b", 1500)}})
	if got == "OK" {
		return "4096", nil
	}
	if err != nil {
		return "", err
	}
	return "2048 (" + got + ")", nil
}

func (l *live) signTime(ctx context.Context) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base.String()+"/?prefix="+url.QueryEscape(l.prefix), nil)
	if err != nil {
		return "", err
	}
	got, err := l.send(r, time.Hour)
	if got == "OK" || err != nil {
		return "accept", err
	}
	return "refuse (" + got + ")", nil
}

func (l *live) keyLength(ctx context.Context) (string, error) {
	got, err := l.put(ctx, strings.Repeat("é", 250), "", nil) // 500 bytes, and 1500 encoded
	if got == "OK" || err != nil {
		return "decoded", err
	}
	return "encoded (" + got + ")", nil
}

func (l *live) noAuthorization(ctx context.Context) (string, error) {
	body := `{"ProviderId":"none","WebIdentityToken":"none","RoleArn":"qcs::cam::uin/1:roleName/none","RoleSessionName":"question"}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.sts, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-TC-Action": "AssumeRoleWithWebIdentity", "X-TC-Version": "2018-08-13",
		"X-TC-Timestamp": strconv.FormatInt(time.Now().Unix(), 10), "X-TC-Region": "ap-guangzhou",
	} {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var got struct {
		Response struct{ Error struct{ Code string } }
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&got); err != nil {
		return "", err
	}
	code := got.Response.Error.Code
	if strings.HasPrefix(code, "AuthFailure") || strings.HasPrefix(code, "MissingParameter") {
		return "refuse (" + code + ")", nil
	}
	return "accept (" + code + ")", nil // refused because of its content
}

func (l *live) partOrder(ctx context.Context) (string, error) {
	id, parts, _, err := l.parts(ctx, "order", 1, 2)
	if err != nil {
		return "", err
	}
	defer l.client.Object.AbortMultipartUpload(context.WithoutCancel(ctx), l.prefix+"order", id)
	gap := slices.Clone(parts)
	gap[1].PartNumber = 3
	_, gapCode, err := l.complete(ctx, "order", id, gap)
	if err != nil {
		return "", err
	}
	slices.Reverse(parts)
	_, turned, err := l.complete(ctx, "order", id, parts)
	return gapCode + " and " + turned, err
}

func (l *live) copySource(ctx context.Context) (string, error) {
	_, resp, err := l.client.Object.Copy(ctx, l.prefix+"copy", l.base.Host+"/"+l.prefix+"absent", nil)
	return responseCode(resp, err)
}

func (l *live) policyMissing(ctx context.Context) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base.String()+"/?policy", nil)
	if err != nil {
		return "", err
	}
	switch got, err := l.send(r, 0); {
	case err != nil:
		return "", err
	case got == "OK":
		return "empty, or there is one", nil
	default:
		return "404 (" + got + ")", nil
	}
}

func (l *live) createRace(ctx context.Context) (string, error) {
	if !l.never {
		return "", errors.New("the bucket is, or was, versioned, where COS ignores the header")
	}
	const writers = 16
	counts := make(map[string]int)
	several := 0
	for range l.rounds {
		var all sync.WaitGroup
		reported := make([]string, writers)
		errs := make([]error, writers)
		for i := range writers {
			all.Go(func() {
				reported[i], errs[i] = l.put(ctx, "race", strings.Repeat("x", 1000), http.Header{"X-Cos-Forbid-Overwrite": {"true"}})
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return "", err
		}
		won := 0
		for _, code := range reported {
			counts[code]++
			if code == "OK" {
				won++
			}
		}
		if won > 1 {
			several++
		}
		if _, err := l.client.Object.Delete(ctx, l.prefix+"race"); err != nil {
			return "", err
		}
	}
	var counted []string
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		counted = append(counted, fmt.Sprintf("%d %s", counts[code], code))
	}
	return fmt.Sprintf("%s; in %d of %d rounds of %d creators more than one succeeded", strings.Join(counted, ", "), several, l.rounds, writers), nil
}

// answers asks every question, and returns a line for each.
func (l *live) answers(ctx context.Context) (lines []string) {
	for _, q := range questions {
		line := fmt.Sprintf("fact %d: %s: ", q.fact, q.text)
		if q.ask == nil {
			lines = append(lines, line+"not asked: "+q.why)
			continue
		}
		once, cancel := context.WithTimeout(ctx, askTime)
		got, err := q.ask(l, once)
		cancel()
		if err != nil {
			got = "not known: " + err.Error()
		}
		lines = append(lines, line+got)
	}
	return lines
}
