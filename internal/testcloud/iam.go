package testcloud

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// ErrNoRole means that there is no role with this name.
var ErrNoRole = errors.New("no such role")

// CreateProvider registers an issuer and returns the ARN that trust policies contain. Ceph reads
// the issuer's keys at each exchange, and does not compare the thumbprint. CreateProvider first
// deletes an older provider with the same URL, which had the same port.
func (r *RGW) CreateProvider(ctx context.Context, issuerURL, thumbprint string, audiences ...string) (arn string, err error) {
	input := &iam.CreateOpenIDConnectProviderInput{Url: &issuerURL, ThumbprintList: []string{thumbprint}, ClientIDList: audiences}
	out, err := r.IAM().CreateOpenIDConnectProvider(ctx, input)
	if e := (*awshttp.ResponseError)(nil); errors.As(err, &e) && e.HTTPStatusCode() == http.StatusConflict {
		if err := r.DeleteProvider(ctx, "arn:aws:iam:::oidc-provider/"+strings.TrimPrefix(issuerURL, "http://")); err != nil {
			return "", err
		}
		out, err = r.IAM().CreateOpenIDConnectProvider(ctx, input)
	}
	if err != nil {
		return "", r.explain("create provider "+issuerURL, err)
	}
	return aws.ToString(out.OpenIDConnectProviderArn), nil
}

// DeleteProvider deletes the provider of an issuer.
func (r *RGW) DeleteProvider(ctx context.Context, arn string) error {
	_, err := r.IAM().DeleteOpenIDConnectProvider(ctx, &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn})
	return r.explain("delete provider "+arn, err)
}

// CreateRole creates a role with a trust policy and returns its ARN.
func (r *RGW) CreateRole(ctx context.Context, name, trustPolicy string) (arn string, err error) {
	trust, err := compact(trustPolicy)
	if err != nil {
		return "", fmt.Errorf("create role %s: %w", name, err)
	}
	out, err := r.IAM().CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		return "", r.explain("create role "+name, err)
	}
	return aws.ToString(out.Role.Arn), nil
}

// PutRolePolicy sets one of the policies of a role. A role may have several.
func (r *RGW) PutRolePolicy(ctx context.Context, role, name, policy string) error {
	text, err := compact(policy)
	if err != nil {
		return fmt.Errorf("put policy %s of role %s: %w", name, role, err)
	}
	_, err = r.IAM().PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &text})
	return r.explain(fmt.Sprintf("put policy %s of role %s", name, role), err)
}

// DeleteRole deletes a role and its policies. If there is none, the error wraps [ErrNoRole].
func (r *RGW) DeleteRole(ctx context.Context, name string) error {
	client := r.IAM()
	list, err := client.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &name})
	if err != nil {
		if e := (*awshttp.ResponseError)(nil); errors.As(err, &e) && e.HTTPStatusCode() == http.StatusNotFound {
			err = fmt.Errorf("%w: %w", ErrNoRole, err)
		}
		return r.explain("delete role "+name, err)
	}
	for _, policy := range list.PolicyNames {
		if _, err := client.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: &policy}); err != nil {
			return r.explain(fmt.Sprintf("delete policy %s of role %s", policy, name), err)
		}
	}
	_, err = client.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &name})
	return r.explain("delete role "+name, err)
}

// PutBucketPolicy sets the policy of a bucket that belongs to the owner.
func (r *RGW) PutBucketPolicy(ctx context.Context, bucket, policy string) error {
	text, err := compact(policy)
	if err != nil {
		return fmt.Errorf("put policy of bucket %s: %w", bucket, err)
	}
	_, err = S3Client(r.URL, r.Owner).PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &text})
	return r.explain("put policy of bucket "+bucket, err)
}

// compact removes the white space from a policy, because Ceph decodes a space in a form as a plus
// sign.
func compact(policy string) (string, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(policy)); err != nil {
		return "", fmt.Errorf("policy: %w", err)
	}
	if strings.Contains(b.String(), " ") {
		return "", errors.New("policy: a string contains a space, which this gateway cannot parse")
	}
	return b.String(), nil
}

// explain adds the reason of an error to the error of the SDK. The gateway sends IAM errors in a
// form that the SDK does not parse, and writes some reasons only to its log.
func (r *RGW) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	var resp *awshttp.ResponseError
	if !errors.As(err, &resp) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: http %d: %w%s", what, resp.HTTPStatusCode(), err, r.log())
}

// log returns what the gateway logged about its latest responses. The gateway writes its log late,
// but in order. Lines that only record a request are left out, because other packages may use the
// same gateway.
func (r *RGW) log() string {
	if r.group == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	mark := "end-of-log-" + strings.ToLower(rand.Text())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+"/"+mark, nil)
	if err != nil {
		return ""
	}
	client := httpClient()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return r.group.output("rgw")
	}
	resp.Body.Close()
	var text string
	poll(ctx, func() (bool, error) {
		text = r.group.logged("rgw", 1<<20)
		return strings.Contains(text, mark), nil // if the mark does not appear, use the log as it is
	})
	text, _, _ = strings.Cut(text, mark)
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		return strings.Contains(line, " ====== ") || strings.Contains(line, " beast: ")
	})
	return ":\n\t" + strings.Join(lines[max(0, len(lines)-outputLines):], "\n\t")
}
