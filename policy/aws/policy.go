// Package aws generates the policies with which AWS or a Ceph RADOS Gateway isolates tenants, and
// checks policies for known weaknesses.
//
// [Generate] returns the documents that an operator applies:
//
//	docs, err := aws.Generate(aws.Options{
//		Bucket: "vault", Account: "123456789012", Role: "vault",
//		Issuer: "https://broker.example", Tag: "agentkeys_user_wallet",
//	})
//	os.Stdout.Write(docs.JSON())
//
// The objects of a tenant are under bots/<tenant>/. With [ByTag], all tenants share one role, and
// the tag of a session decides which prefix the session can access. With [ByRole], each tenant has
// its own role, for issuers whose tokens have no tags.
//
// [Parse] and [Check] find weaknesses in generated documents, and in policies that were
// written by hand:
//
//	docs, err := aws.Parse("role.json", data)
//	for _, f := range aws.Check(docs, aws.CheckOptions{}) {
//		fmt.Println(f.Where(), f.Weakness, f.Message)
//	}
//
// The package does no I/O and imports no SDK. A later version may add statements to the
// generated documents. The ids of weaknesses are never renamed.
package aws

import (
	"fmt"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// A Dialect is the service that evaluates the documents.
type Dialect string

// The dialects. The empty value means AWS.
const (
	AWS Dialect = "aws"
	RGW Dialect = "rgw" // Ceph RADOS Gateway 16.2: no variables in a resource, and Null ignores its value
)

// An Isolation is the mechanism that isolates tenants.
type Isolation string

// The isolations. The empty value means ByTag.
const (
	ByTag  Isolation = "tag"  // one role; the session tag names the tenant
	ByRole Isolation = "role" // a role for each tenant; its trust policy names the token's subject
)

// Grants selects the policy that contains the Allow statements.
type Grants string

// The values of Grants. The empty value means InRole. Operators of agentKeys use InBucket. In this
// case, the role policy may grant more than the bucket policy shows.
const (
	InRole   Grants = "role"
	InBucket Grants = "bucket"
)

// Options are the input of [Generate]. Bucket, Role and Issuer are required; at AWS, Account
// is required too.
type Options struct {
	Dialect   Dialect
	Isolation Isolation
	Grants    Grants

	Partition string // aws (empty), aws-cn or aws-us-gov
	Account   string // 12 digits; empty at RGW
	Bucket    string
	Role      string // with ByRole the start of each role's name
	Issuer    string // exactly as the tokens' iss
	Audience  string // the tokens' aud; empty is sts.amazonaws.com
	Subject   string // ByTag: only this sub may assume the role; empty means any sub
	Tag       string // ByTag: the key of the session tag; empty means agentkeys_user_wallet

	Collection string // limits each tenant to this collection; empty means all collections
	Tenants    []Tenant

	ExpireDays  int      // objects and old versions of all collections expire after this number of days; 0 means never
	Thumbprints []string // SHA-1 of the issuer's certificates, 40 hexadecimal digits each
	KMSKey      string   // ARN of the key of a key source (awskms://ARN), with which tenants seal objects
	BucketKey   string   // ARN of the key with which S3 encrypts the bucket
	Region      string   // region of the bucket, for the commands
	Endpoint    string   // URL of an RGW, for the commands

	AuditBucket string      // AWS: the bucket in which the cloud records all requests; empty means no audit
	AuditMethod AuditMethod // empty means CloudTrail
	AuditDays   int         // logs expire after this number of days; 0 means DefaultAuditDays

	AllowPurge  bool // lets tenants delete old versions permanently
	AllowDoctor bool // lets tenants read the settings of the bucket
	TLS         bool // RGW: deny plain http, as is always done for AWS
}

// DefaultAudience is the audience of tokens for AWS STS.
const DefaultAudience = "sts.amazonaws.com"

// DefaultTag is the session tag in the tokens of agentKeys' broker.
const DefaultTag = "agentkeys_user_wallet"

// Documents is everything that an operator applies. Each part has the form of the input of
// the cloud's own API. A part that is not needed is nil.
type Documents struct {
	OIDCProvider      *OIDCProvider              `json:"oidc_provider"`
	RoleName          string                     `json:"role_name,omitempty"`
	RoleARN           string                     `json:"role_arn,omitempty"`
	TrustPolicy       *Policy                    `json:"trust_policy,omitempty"`
	RolePolicy        *Policy                    `json:"role_policy,omitempty"`
	BucketPolicy      *Policy                    `json:"bucket_policy,omitempty"`
	Tenants           map[string]TenantDocuments `json:"tenants,omitempty"`
	Lifecycle         *Lifecycle                 `json:"lifecycle"`
	PublicAccessBlock *PublicAccessBlock         `json:"public_access_block"`
	Versioning        *Versioning                `json:"versioning"`
	Audit             *Audit                     `json:"audit,omitempty"`
	Commands          []string                   `json:"commands"` // shell commands; they read the parts from policy.json, which must contain JSON()
	Notes             []string                   `json:"notes,omitempty"`

	o Options
}

// An OIDCProvider is the input of iam CreateOpenIDConnectProvider.
type OIDCProvider struct {
	URL         string   `json:"Url"`
	ClientIDs   []string `json:"ClientIDList"`
	Thumbprints []string `json:"ThumbprintList,omitempty"`
}

// Generate returns the documents for o. The error wraps [policy.ErrOptions] if the options
// are invalid, or if a document would be longer than the cloud accepts.
func Generate(o Options) (*Documents, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	d := &Documents{
		o:            o,
		OIDCProvider: &OIDCProvider{URL: o.Issuer, ClientIDs: []string{o.Audience}, Thumbprints: o.Thumbprints},
		Lifecycle:    o.lifecycle(),
		Versioning:   &Versioning{Status: "Enabled"},
	}
	var inBucket []Statement
	switch {
	case o.Isolation == ByRole:
		inBucket = d.roles()
	case o.Dialect == RGW:
		inBucket = d.pairs()
	default:
		inBucket = d.variable()
	}
	d.BucketPolicy = newPolicy(append(o.denies(), inBucket...))
	d.PublicAccessBlock = o.publicAccessBlock(d.BucketPolicy)
	d.Audit = d.audit()
	d.Commands, d.Notes = d.commands(), d.notes()
	if err := d.fits(); err != nil {
		return nil, err
	}
	return d, nil
}

// variable generates the form for AWS: a variable in the statements stands for the tenant. It
// returns the statements for the bucket policy.
func (d *Documents) variable() []Statement {
	o := d.o
	tenant := "${aws:PrincipalTag/" + o.Tag + "}"
	guard := policy.Conditions{"Null": {"aws:PrincipalTag/" + o.Tag: {"false"}}}
	d.RoleName, d.RoleARN = o.Role, o.roleARN(o.Role)
	d.TrustPolicy = newPolicy([]Statement{o.trust("", policy.Conditions{
		"Null": {"aws:RequestTag/" + o.Tag: {"false"}},
		// A negated operator is true if the tag is missing, but then the Null condition is false.
		"StringNotLike": {"aws:RequestTag/" + o.Tag: {"*/*", "*${*}*", "*${?}*"}},
	})})
	return d.place(d.RoleARN, append(o.allows("", tenant, guard), o.kms(guard)...))
}

// pairs generates the form for an RGW: one role has a pair of statements for each tenant. It returns
// the statements for the bucket policy.
func (d *Documents) pairs() []Statement {
	o := d.o
	d.RoleName, d.RoleARN = o.Role, o.roleARN(o.Role)
	d.TrustPolicy = newPolicy([]Statement{o.trust("", policy.Conditions{"StringLike": {"aws:RequestTag/" + o.Tag: {"?*"}}})})
	var all []Statement
	for i, t := range o.Tenants {
		pair := o.allows(fmt.Sprint(i+1), t.ID, policy.Conditions{
			"StringEquals": {"aws:PrincipalTag/" + o.Tag: {t.ID}},
			"StringLike":   {"aws:PrincipalTag/" + o.Tag: {"?*"}},
		})
		all = append(all, pair...)
		if o.Grants == InRole {
			d.tenant(t.ID, TenantDocuments{RolePolicy: newPolicy(pair)})
		}
	}
	return d.place(d.RoleARN, all)
}

// roles generates the form for issuers without tags: a role for each tenant. It returns the
// statements for the bucket policy.
func (d *Documents) roles() []Statement {
	o := d.o
	var inBucket []Statement
	for i, t := range o.Tenants {
		name := o.roleName(t.ID)
		one := &Documents{o: o}
		// A Sid must be unique in its document. Only a bucket policy contains several tenants.
		nth := ""
		if o.Grants == InBucket {
			nth = fmt.Sprint(i + 1)
		}
		inBucket = append(inBucket, one.place(o.roleARN(name), append(o.allows(nth, literal(o.Dialect, t.ID), nil), o.kms(nil)...))...)
		d.tenant(t.ID, TenantDocuments{
			RoleName: name, RoleARN: o.roleARN(name),
			TrustPolicy: newPolicy([]Statement{o.trust(t.Subject, nil)}),
			RolePolicy:  one.RolePolicy,
		})
	}
	return inBucket
}

func (d *Documents) tenant(id string, t TenantDocuments) {
	if d.Tenants == nil {
		d.Tenants = make(map[string]TenantDocuments)
	}
	d.Tenants[id] = t
}

// place adds the statements to the role policy, or returns them for the bucket policy. A bucket
// policy cannot grant access to a KMS key.
func (d *Documents) place(role string, allows []Statement) (inBucket []Statement) {
	var inRole []Statement
	for _, s := range allows {
		if d.o.Grants == InBucket && strings.HasPrefix(s.Action[0], "s3:") {
			s.Principal = policy.Principal{"AWS": {role}}
			inBucket = append(inBucket, s)
		} else {
			inRole = append(inRole, s)
		}
	}
	d.RolePolicy = newPolicy(inRole)
	return inBucket
}

// trust lets tokens of the issuer assume the role.
func (o *Options) trust(subject string, also policy.Conditions) Statement {
	host := o.issuerKey()
	equals := map[string][]string{host + ":aud": {o.Audience}}
	if subject == "" {
		subject = o.Subject
	}
	if subject != "" {
		equals[host+":sub"] = []string{subject}
	}
	s := Statement{
		Sid: "AssumeWithToken", Effect: "Allow",
		Principal: policy.Principal{"Federated": {o.providerARN()}},
		Action:    []string{"sts:AssumeRoleWithWebIdentity"},
		Condition: policy.Conditions{"StringEquals": equals},
	}
	if o.Isolation == ByTag {
		s.Sid, s.Action = "AssumeWithTag", append(s.Action, "sts:TagSession")
	}
	for op, keys := range also {
		s.Condition[op] = keys
	}
	return s
}

// allows returns the statements that allow a tenant access to its own prefix, and nothing else.
func (o *Options) allows(nth, tenant string, guard policy.Conditions) []Statement {
	prefix := o.prefix(tenant)
	objects := Statement{
		Sid: "OwnObjects" + nth, Effect: "Allow",
		Action:    []string{"s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"},
		Resource:  []string{o.bucketARN() + "/" + prefix},
		Condition: with(guard, "", "", ""),
	}
	if o.AllowPurge {
		objects.Action = append(objects.Action, "s3:DeleteObjectVersion")
	}
	// s3:prefix exists only for lists, so the other actions must be in a separate statement.
	list := Statement{
		Sid: "OwnList" + nth, Effect: "Allow",
		Action:    []string{"s3:ListBucket", "s3:ListBucketVersions"},
		Resource:  []string{o.bucketARN()},
		Condition: with(guard, "StringLike", "s3:prefix", prefix),
	}
	all := []Statement{objects, list}
	if o.Dialect == RGW {
		// RGW 16.2.15 requires this permission on the bucket for DeleteObjects, in addition to the
		// permission for each object.
		many := Statement{
			Sid: "DeleteMany" + nth, Effect: "Allow",
			Action:    []string{"s3:DeleteObject"},
			Resource:  []string{o.bucketARN()},
			Condition: with(guard, "", "", ""),
		}
		if o.AllowPurge {
			many.Action = append(many.Action, "s3:DeleteObjectVersion")
		}
		all = append(all, many)
	}
	if o.AllowDoctor {
		all = append(all, Statement{
			Sid: "Doctor" + nth, Effect: "Allow",
			Action:    slices.Clone(settings),
			Resource:  []string{o.bucketARN()},
			Condition: with(guard, "", "", ""),
		})
	}
	return all
}

// settings are the actions that read the settings of the bucket.
var settings = []string{"s3:GetBucketVersioning", "s3:GetLifecycleConfiguration", "s3:GetBucketPolicy"}

// kms lets the tenant use the key of its key source. It lets S3, and no other service, use the key of
// the bucket on behalf of the tenant.
func (o *Options) kms(guard policy.Conditions) []Statement {
	var list []Statement
	if o.KMSKey != "" {
		list = append(list, Statement{
			Sid: "SealingKey", Effect: "Allow",
			Action:    []string{"kms:Encrypt", "kms:Decrypt"},
			Resource:  []string{o.KMSKey},
			Condition: with(guard, "", "", ""),
		})
	}
	if o.BucketKey != "" {
		list = append(list, Statement{
			Sid: "BucketKey", Effect: "Allow",
			Action:    []string{"kms:GenerateDataKey", "kms:Decrypt"},
			Resource:  []string{o.BucketKey},
			Condition: with(guard, "StringEquals", "kms:ViaService", "s3."+strings.Split(o.BucketKey, ":")[3]+"."+o.domain()),
		})
	}
	return list
}

// denies returns statements that take precedence over all other policies. With AWS and isolation by
// tag, they limit the role to the tenant's prefix and to reading the bucket's settings, so that no
// tenant can remove the limits. A role for each tenant, and a role at an RGW, are limited only by
// their Allow statements.
func (o *Options) denies() []Statement {
	bucket := o.bucketARN()
	all := []string{bucket, bucket + "/*"}
	var list []Statement
	if o.Dialect == AWS || o.TLS {
		insecure := "Bool"
		if o.Dialect == RGW {
			insecure = "BoolIfExists" // over http, RGW 16.2.15 does not set the condition key
		}
		list = append(list, Statement{
			Sid: "DenyInsecureTransport", Effect: "Deny", Principal: policy.AnyPrincipal(), Action: []string{"s3:*"}, Resource: all,
			Condition: policy.Conditions{insecure: {"aws:SecureTransport": {"false"}}},
		})
	}
	if o.Dialect != AWS || o.Isolation != ByTag {
		return list
	}
	// The role is a condition, not the principal: S3 replaces the ARN of a principal by the id
	// of the existing role, which a recreated role does not have.
	role := policy.Conditions{"ArnEquals": {"aws:PrincipalArn": {o.roleARN(o.Role)}}}
	prefix := o.prefix("${aws:PrincipalTag/" + o.Tag + "}")
	return append(list,
		Statement{
			Sid: "DenyWithoutTag", Effect: "Deny", Principal: policy.AnyPrincipal(), Action: []string{"s3:*"}, Resource: all,
			Condition: with(role, "Null", "aws:PrincipalTag/"+o.Tag, "true"),
		},
		Statement{
			Sid: "DenyOutsideOwnPrefix", Effect: "Deny", Principal: policy.AnyPrincipal(), Action: []string{"s3:*"},
			NotResource: []string{bucket, bucket + "/" + prefix},
			Condition:   with(role, "", "", ""),
		},
		Statement{ // also true if the request has no prefix
			Sid: "DenyListOutsideOwnPrefix", Effect: "Deny", Principal: policy.AnyPrincipal(),
			Action: []string{"s3:ListBucket", "s3:ListBucketVersions"}, Resource: []string{bucket},
			Condition: with(role, "StringNotLike", "s3:prefix", prefix),
		},
		Statement{ // does not affect requests for objects, because their resource is not the bucket
			Sid: "DenyBucketItself", Effect: "Deny", Principal: policy.AnyPrincipal(),
			NotAction: append([]string{"s3:ListBucket", "s3:ListBucketVersions"}, settings...), Resource: []string{bucket},
			Condition: with(role, "", "", ""),
		})
}

// prefix returns the prefix of a tenant's objects.
func (o *Options) prefix(tenant string) string {
	if o.Collection != "" {
		return "bots/" + tenant + "/" + literal(o.Dialect, o.Collection) + "/*"
	}
	return "bots/" + tenant + "/*"
}

func (o *Options) arn(service, rest string) string {
	return "arn:" + o.Partition + ":" + service + "::" + rest
}

func (o *Options) bucketARN() string          { return o.arn("s3", ":"+o.Bucket) }
func (o *Options) roleARN(name string) string { return o.arn("iam", o.Account+":role/"+name) }
func (o *Options) providerARN() string {
	return o.arn("iam", o.Account+":oidc-provider/"+o.issuerKey())
}

// issuerKey returns the issuer in the form of ARNs and condition keys.
func (o *Options) issuerKey() string {
	_, rest, _ := strings.Cut(o.Issuer, "://")
	return rest
}

func (o *Options) domain() string {
	if o.Partition == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

func (o *Options) roleName(tenant string) string { return policy.RoleName(o.Role, tenant, maxRoleName) }

// literal escapes s so that it contains no wildcard and no variable. RGW does not support such
// escapes, so values that need one are rejected for RGW.
func literal(d Dialect, s string) string {
	if d == RGW {
		return s
	}
	return strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(s)
}
