// Package tencent generates the policies with which Tencent Cloud (CAM and COS) isolates tenants,
// and checks policies for known weaknesses.
//
// [Generate] returns the documents that an operator applies:
//
//	docs, err := tencent.Generate(tencent.Options{
//		Bucket: "vault-1250000000", Region: "ap-guangzhou", Account: "100000000001",
//		Role: "vault", Provider: "broker", Issuer: "https://broker.example", Audience: "vault",
//		Tenants: []tencent.Tenant{{ID: "0xabc", Subject: "agentkeys:agent:0xabc"}},
//	})
//	os.Stdout.Write(docs.JSON())
//
// The objects of a tenant are under bots/<tenant>/. Each tenant has its own CAM role, because
// Tencent Cloud does not convert claims of a token to session tags, and COS does not support
// variables in a path. The role's trust policy requires the iss, the aud and the exact sub of the
// tenant's token. The role policy allows access to the tenant's prefix.
//
// [Parse] and [Check] find weaknesses in generated documents, and in policies that were
// written by hand. Numbers such as (598/10603) refer to pages of Tencent's documentation:
// /document/product/598/10603.
//
// The package does no I/O and imports no SDK. A later version may add statements to the
// generated documents. The ids of weaknesses are never renamed.
package tencent

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

// Options are the input of [Generate]. All fields of the first group are required.
type Options struct {
	Bucket   string // NAME-APPID
	Region   string // of the bucket, such as ap-guangzhou
	Account  string // the uin of the account that owns bucket and roles
	Role     string // the start of each role's name
	Provider string // the name of the OIDC provider in CAM, which is also its id in STS
	Issuer   string // exactly as the tokens' iss
	Audience string // the tokens' aud
	Tenants  []Tenant

	JWKS       []byte // the issuer's key set (RFC 7517); empty: the commands download it
	Collection string // limits each tenant to this collection; empty means all collections
	KMSKey     string // the KMS key of a key source (tencentkms://REGION/ID): its id, or its resource qcs::kms:…
	ExpireDays int    // objects and old versions expire after this number of days; 0 means never

	AuditBucket string // NAME-APPID of the bucket in which COS records all requests; empty means no audit
	AuditDays   int    // logs expire after this number of days; 0 means DefaultAuditDays

	// Versioned enables versioning, and lets tenants list and delete their own versions: a
	// create or a compare-and-swap that lost a race is undone by deleting its version.
	Versioned bool
	// ForbidOverwrite denies each write without x-cos-forbid-overwrite. It has no effect in a
	// bucket in which versioning was ever enabled.
	ForbidOverwrite bool
	AllowDoctor     bool // lets tenants read the settings of the bucket
}

// Documents is everything that an operator applies. Each part has the form of the input of
// the cloud's own API. There is no bucket policy, because a bucket policy of COS can only
// grant more.
type Documents struct {
	OIDCProvider    *OIDCProvider              `json:"oidc_provider"`
	Tenants         map[string]TenantDocuments `json:"tenants"`
	Lifecycle       string                     `json:"lifecycle"`            // XML body of COS PUT ?lifecycle
	Versioning      string                     `json:"versioning,omitempty"` // XML body of COS PUT ?versioning
	StrictSignature string                     `json:"strict_signature"`     // XML body of COS PUT ?strict-signature; recommended
	Audit           *Audit                     `json:"audit,omitempty"`
	Commands        []string                   `json:"commands"` // they read the parts from policy.json
	Comments        []string                   `json:"comments"` // additional requests, for which there is no command
	Notes           []string                   `json:"notes,omitempty"`

	o Options
}

// An OIDCProvider is the input of CAM CreateOIDCConfig (598/47115).
type OIDCProvider struct {
	Name          string
	IdentityURL   string   `json:"IdentityUrl"`
	ClientIDs     []string `json:"ClientId"`
	IdentityKey   string   `json:",omitempty"` // the key set in base64; empty if Options.JWKS is empty
	AutoRotateKey int      // 1 means that CAM downloads new keys itself
}

// Generate returns the documents for o. The error wraps [policy.ErrOptions] if the options
// are invalid, or if a policy would be longer than CAM accepts.
func Generate(o Options) (*Documents, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	d := &Documents{
		o:               o,
		OIDCProvider:    &OIDCProvider{Name: o.Provider, IdentityURL: o.Issuer, ClientIDs: []string{o.Audience}, AutoRotateKey: 1},
		Tenants:         make(map[string]TenantDocuments),
		Lifecycle:       o.lifecycle(),
		StrictSignature: strictSignature,
		Audit:           o.audit(),
	}
	if len(o.JWKS) > 0 {
		d.OIDCProvider.IdentityKey = base64.StdEncoding.EncodeToString(o.JWKS)
	}
	if o.Versioned {
		d.Versioning = versioning
	}
	for _, t := range o.Tenants {
		name := o.roleName(t.ID)
		d.Tenants[t.ID] = TenantDocuments{
			RoleName: name, RoleARN: "qcs::cam::uin/" + o.Account + ":roleName/" + name,
			TrustPolicy: newPolicy(o.trust(t.Subject)),
			RolePolicy:  newPolicy(slices.Concat(o.allows(t.ID), o.kms(), o.denies(t.ID), o.auditDenies())...),
		}
	}
	d.Commands, d.Comments, d.Notes = d.commands(), d.comments(), d.notes()
	if err := d.fits(); err != nil {
		return nil, err
	}
	return d, nil
}

// trust lets the tokens of one subject assume the role, and no others.
func (o *Options) trust(subject string) Statement {
	return Statement{
		Effect:    "allow",
		Principal: policy.Principal{"federated": {"qcs::cam::uin/" + o.Account + ":oidc-provider/" + o.Provider}},
		Action:    []string{"name/sts:AssumeRoleWithWebIdentity"},
		Condition: policy.Conditions{"string_equal": {"oidc:iss": {o.Issuer}, "oidc:aud": {o.Audience}, "oidc:sub": {subject}}},
	}
}

// objectActions are the actions of a tenant on its own objects.
var objectActions = []string{
	"name/cos:GetObject", "name/cos:HeadObject", "name/cos:PutObject", "name/cos:DeleteObject",
	"name/cos:InitiateMultipartUpload", "name/cos:UploadPart", "name/cos:CompleteMultipartUpload",
	"name/cos:AbortMultipartUpload", "name/cos:ListParts",
}

// writeActions are the actions that create an object. Their requests may contain the headers that
// make the object public.
var writeActions = []string{"name/cos:PutObject", "name/cos:InitiateMultipartUpload"}

func (o *Options) listActions() []string {
	if o.Versioned {
		return []string{"name/cos:GetBucket", "name/cos:GetBucketObjectVersions"}
	}
	return []string{"name/cos:GetBucket"}
}

// bucketActions returns the actions that read the settings of the bucket. Every tenant may read its
// versioning, because create-only depends on it.
func (o *Options) bucketActions() []string {
	list := []string{"name/cos:GetBucketVersioning"}
	if o.AllowDoctor {
		list = append(list, "name/cos:HeadBucket", "name/cos:GetBucketACL", "name/cos:GetBucketPolicy", "name/cos:GetBucketLifecycle")
	}
	return list
}

// allows returns the statements that allow a tenant access to its own prefix, and nothing else.
func (o *Options) allows(tenant string) []Statement {
	prefix := o.prefix(tenant)
	tls := map[string][]string{"cos:secure-transport": {"true"}}
	return []Statement{
		{
			Effect: "allow", Action: objectActions, Resource: []string{o.resource(prefix)},
			Condition: policy.Conditions{"bool_equal": tls},
		}, { // cos:prefix exists only for lists, so the other actions must be in a separate statement
			Effect: "allow", Action: o.listActions(), Resource: []string{o.resource("*")},
			Condition: policy.Conditions{"string_like": {"cos:prefix": {encoded(prefix)}}, "bool_equal": tls},
		}, {
			Effect: "allow", Action: o.bucketActions(), Resource: []string{o.resource("*")},
			Condition: policy.Conditions{"bool_equal": tls},
		},
	}
}

// kms lets the tenant use the key of its key source.
func (o *Options) kms() []Statement {
	if o.KMSKey == "" {
		return nil
	}
	return []Statement{{Effect: "allow", Action: []string{"name/kms:Encrypt", "name/kms:Decrypt"}, Resource: []string{o.keyResource()}}}
}

// keyResource returns the key in six segments (598/57129). A key that is given by its id belongs to
// the region of the bucket, and was created by the owner of the account.
func (o *Options) keyResource() string {
	if strings.HasPrefix(o.KMSKey, "qcs::") {
		return o.KMSKey
	}
	return "qcs::kms:" + o.Region + ":uin/" + o.Account + ":key/creatorUin/" + o.Account + "/" + o.KMSKey
}

// denies returns statements that take precedence over all other permissions of the role. Each has a
// condition with one key, because several keys would all have to match.
func (o *Options) denies(tenant string) []Statement {
	bucket := []string{o.resource("*")}
	var list []Statement
	deny := func(actions []string, op, key, value string) {
		list = append(list, Statement{
			Effect: "deny", Action: actions, Resource: bucket,
			Condition: policy.Conditions{op: {key: {value}}},
		})
	}
	// List every action, because according to the documentation, requests fail if an action contains
	// * and the statement has a condition.
	deny(append(append(append([]string{}, objectActions...), o.listActions()...), o.bucketActions()...), "bool_equal", "cos:secure-transport", "false")
	// A writer could publish its objects with these headers. Without the suffix _if_exist,
	// string_not_equal is false if the header is absent.
	deny(writeActions, "string_not_equal", "cos:x-cos-acl", "private")
	for _, key := range grantKeys {
		deny(writeActions, "string_like", key, "*")
	}
	if !o.Versioned {
		deny([]string{"name/cos:DeleteObject"}, "string_not_equal", "cos:versionid", "")
	}
	if o.ForbidOverwrite {
		deny(writeActions, "string_not_equal_if_exist", "cos:x-cos-forbid-overwrite", "true")
	}
	return list
}

// grantKeys are the condition keys of the headers that grant access to an object.
var grantKeys = []string{"cos:x-cos-grant-read", "cos:x-cos-grant-write", "cos:x-cos-grant-read-acp", "cos:x-cos-grant-write-acp", "cos:x-cos-grant-full-control"}

// prefix returns the prefix of a tenant's objects.
func (o *Options) prefix(tenant string) string {
	if o.Collection != "" {
		return root + tenant + "/" + o.Collection + "/*"
	}
	return root + tenant + "/*"
}

// encoded returns a prefix in the form of cos:prefix: URL-encoded, except for the wildcard at
// the end.
func encoded(prefix string) string {
	return url.QueryEscape(strings.TrimSuffix(prefix, "*")) + "*"
}

// resource returns a key, or a pattern of keys, as a resource in six segments.
func (o *Options) resource(key string) string {
	return "qcs::cos:" + o.Region + ":uid/" + o.appID() + ":" + o.Bucket + "/" + key
}

func (o *Options) appID() string { return appIDOf(o.Bucket) }

func appIDOf(bucket string) string { return bucket[strings.LastIndex(bucket, "-")+1:] }

func (o *Options) roleName(tenant string) string { return policy.RoleName(o.Role, tenant, maxRoleName) }
