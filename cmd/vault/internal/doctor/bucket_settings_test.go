package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/vault"
)

// A set is a cloud that returns bucket settings by name.
type set map[string]string

func (s set) Settings(context.Context) (all []vault.Setting) {
	for name, doc := range s {
		all = append(all, vault.Setting{Name: name, Document: doc})
	}
	return all
}

func (s set) ServerTime(context.Context) (time.Time, error) {
	return time.Time{}, errors.ErrUnsupported
}

func (s set) Caller(context.Context) (vault.Caller, error) {
	return vault.Caller{Account: "123456789012"}, nil
}

// lineOf returns the result of one check as "STATUS: MESSAGE", or "" if there is none.
func lineOf(t *testing.T, store, check string, s set) string {
	t.Helper()
	for _, l := range doctor.Bucket(t.Context(), store, s, nil) {
		if l.Check == check {
			if l.Status == doctor.Warning && l.Hint == "" {
				t.Errorf("%+v has no hint", l)
			}
			return string(l.Status) + ": " + l.Message
		}
	}
	return ""
}

// TestLifecycleRules: the same rules give the same result on both clouds, and only rules that apply to
// tenants' objects count.
func TestLifecycleRules(t *testing.T) {
	const (
		abort  = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
		expire = "<Expiration><Days>30</Days></Expiration>"
		old    = "<NoncurrentVersionExpiration><NoncurrentDays>7</NoncurrentDays></NoncurrentVersionExpiration>"
		date   = "<Expiration><Date>2030-01-02T00:00:00Z</Date></Expiration>"
		none   = "warning: no lifecycle rule removes parts of unfinished uploads"
		some   = "ok: a lifecycle rule removes parts of unfinished uploads"
	)
	rule := func(filter, rest string) string {
		return "<Rule>" + filter + "<Status>Enabled</Status>" + rest + "</Rule>"
	}
	prefix := func(p string) string { return "<Filter><Prefix>" + p + "</Prefix></Filter>" }
	for _, tc := range []struct{ name, rules, want string }{
		{"none", "", none},
		{"on bots/", rule(prefix("bots/"), abort+expire), some + "; objects expire after 30 days"},
		{"on everything", rule(prefix(""), abort+expire), some + "; objects expire after 30 days"},
		{"an empty filter", rule("<Filter/>", abort+expire), some + "; objects expire after 30 days"},
		{"on a prefix of bots/", rule(prefix("bot"), abort), some},
		{"on logs/", rule(prefix("logs/"), abort+expire+old), none},
		{"on bots-old/", rule(prefix("bots-old/"), abort+expire), none},
		{"on logs/ and bots/", rule(prefix("logs/"), expire) + rule(prefix("bots/"), abort), some},
		{"on one tenant", rule(prefix("bots/acme/"), abort+expire), none + `; objects expire after 30 days (only the objects under "bots/acme/")`},
		{"by the old form", rule("<Prefix>bots/</Prefix>", abort+expire), some + "; objects expire after 30 days"},
		{"by the old form, on logs/", rule("<Prefix>logs/</Prefix>", abort+expire), none},
		{"by the old form, on everything", rule("<Prefix></Prefix>", abort+date), some + "; objects expire on 2030-01-02"},
		{"on a tag", rule("<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>", abort+expire), none + `; objects expire after 30 days (only some objects under "")`},
		{"on logs/ with a tag", rule("<Filter><And><Prefix>logs/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>", abort+expire), none},
		{"on bots/ with a tag", rule("<Filter><And><Prefix>bots/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>", abort+expire), none + `; objects expire after 30 days (only some objects under "bots/")`},
		{"a date", rule(prefix("bots/"), date), none + "; objects expire on 2030-01-02"},
		{"old versions", rule(prefix("bots/"), abort+old), some + "; old versions expire after 7 days"},
		{"old versions but some", rule(prefix("bots/"), abort+"<NoncurrentVersionExpiration><NoncurrentDays>7</NoncurrentDays><NewerNoncurrentVersions>3</NewerNoncurrentVersions></NoncurrentVersionExpiration>"), some + "; old versions expire after 7 days, except the newest 3"},
		{"both", rule(prefix("bots/"), abort+expire+old), some + "; old versions expire after 7 days; objects expire after 30 days"},
		{"delete markers", rule(prefix("bots/"), abort+"<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"), some},
		{"disabled", strings.ReplaceAll(rule(prefix("bots/"), abort+expire), "Enabled", "Disabled"), none},
	} {
		for _, store := range []string{"s3://vault", "cos://vault-1250000000"} {
			got := lineOf(t, store, "lifecycle", set{"lifecycle": "<LifecycleConfiguration>" + tc.rules + "</LifecycleConfiguration>"})
			if got != tc.want {
				t.Errorf("%s, %s:\n got %s\nwant %s", store, tc.name, got, tc.want)
			}
		}
	}
}

// TestGrantsAtCOS: a grant outside the owner's account is not ok.
func TestGrantsAtCOS(t *testing.T) {
	const owner = "qcs::cam::uin/100000000001:uin/100000000001"
	grant := func(grantee, permission string) string {
		return "<Grant><Grantee>" + grantee + "</Grantee><Permission>" + permission + "</Permission></Grant>"
	}
	acl := func(grants string) string {
		return "<AccessControlPolicy><Owner><ID>" + owner + "</ID></Owner><AccessControlList>" + grant("<ID>"+owner+"</ID>", "FULL_CONTROL") + grants + "</AccessControlList></AccessControlPolicy>"
	}
	statement := func(principal, action, path string) string {
		return `{"version":"2.0","Statement":[{"Effect":"Allow","Principal":{"qcs":["` + principal + `"]},"Action":["` + action + `"],
			"Resource":["qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/` + path + `"],"Condition":{"bool_equal":{"cos:secure-transport":"true"}}}]}`
	}
	const staff, missingTenant = "qcs::cam::uin/100000000001:uin/100000000099", "qcs::cam::uin/200000000002:uin/200000000002"
	for _, tc := range []struct{ name, acl, policy, want string }{
		{"the owner", acl(""), "", "ok: public: neither"},
		{"everyone", acl(grant("<URI>http://cam.qcloud.com/groups/global/AllUsers</URI>", "READ")), "", "warning: public: the ACL of the bucket grants READ to everyone"},
		{"another group", acl(grant("<URI>http://example.com/group</URI>", "READ")), "", "warning: public: the ACL of the bucket grants READ to http://example.com/group"},
		{"FULL_CONTROL", acl(grant("<ID>"+missingTenant+"</ID>", "FULL_CONTROL")), "", "warning: public: the ACL of the bucket grants FULL_CONTROL to " + missingTenant},
		{"READ", acl(grant("<ID>"+missingTenant+"</ID>", "READ")), "", "warning: public: the ACL of the bucket grants READ to " + missingTenant},
		{"WRITE_ACP", acl(grant("<ID>"+missingTenant+"</ID>", "WRITE_ACP")), "", "warning: public: the ACL of the bucket grants WRITE_ACP to " + missingTenant},
		{"an account by its number", acl(grant("<ID>200000000002</ID>", "FULL_CONTROL")), "", "warning: public: the ACL of the bucket grants FULL_CONTROL to 200000000002"},
		{"the owner's staff", acl(grant("<ID>"+staff+"</ID>", "FULL_CONTROL")), "", "ok: public: neither"},
		{"no owner", strings.Replace(acl(""), owner, "", 1), "", "not proven: public: the response is not from COS"},
		{"cos:*", acl(""), statement(missingTenant, "name/cos:*", "*"), "warning: public: the bucket policy grants name/cos:* to " + missingTenant},
		{"one tenant's objects", acl(""), statement(missingTenant, "name/cos:GetObject", "bots/acme/*"), "warning: public: the bucket policy grants name/cos:GetObject to " + missingTenant},
		{"the root of another account", acl(""), statement("qcs::cam::uin/200000000002:root", "name/cos:PutBucketPolicy", "*"), "warning: public: the bucket policy grants name/cos:PutBucketPolicy to qcs::cam::uin/200000000002:root"},
		{"objects of no tenant", acl(""), statement(missingTenant, "name/cos:GetObject", "site/*"), "ok: public: neither"},
		{"the staff by policy", acl(""), statement(staff, "name/cos:*", "*"), "ok: public: neither"},
		{"a role by policy", acl(""), statement("qcs::cam::uin/100000000001:roleName/vault-acme", "name/cos:*", "*"), "warning: public: the bucket policy has a weakness: a role"},
		{"anyone by policy", acl(""), statement("qcs::cam::anyone:anyone", "name/cos:GetObject", "*"), "warning: public: the bucket policy has a weakness: an Allow for anyone"},
		{"all but one by policy", acl(""), strings.Replace(statement(staff, "name/cos:GetObject", "*"), `"Principal"`, `"NotPrincipal"`, 1), "warning: public: the bucket policy has a weakness: an Allow with NotAction, NotResource or NotPrincipal"},
	} {
		got := lineOf(t, "cos://vault-1250000000", "public", set{"acl": tc.acl, "policy": tc.policy})
		if !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, got, tc.want)
		}
	}
}

// TestGrantsAtS3: a bucket policy that makes the bucket public is reported.
func TestGrantsAtS3(t *testing.T) {
	statement := func(principal, more string) string {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",%s,%s},{"Effect":"Deny","Principal":"*","Action":"s3:*",
			"Resource":["arn:aws:s3:::vault","arn:aws:s3:::vault/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`, principal, more)
	}
	const all = `"Action":"s3:*","Resource":["arn:aws:s3:::vault","arn:aws:s3:::vault/*"]`
	for _, tc := range []struct{ name, policy, want string }{
		{"none", "", ""},
		{"a role of the account", statement(`"Principal":{"AWS":"arn:aws:iam::123456789012:role/vault"}`, all), ""},
		{"a role of another account", statement(`"Principal":{"AWS":"arn:aws:iam::210987654321:role/x"}`, all), "warning: public: the bucket policy grants s3:* to arn:aws:iam::210987654321:role/x, which is a different account"},
		{"another account by its number", statement(`"Principal":{"AWS":["123456789012","210987654321"]}`, all), "warning: public: the bucket policy grants s3:* to 210987654321, which"},
		{"one tenant's objects", statement(`"Principal":{"AWS":"210987654321"}`, `"Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/bots/acme/*"`), "warning: public: the bucket policy grants s3:GetObject to 210987654321"},
		{"objects of no tenant", statement(`"Principal":{"AWS":"210987654321"}`, `"Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/site/*"`), ""},
		{"everyone", statement(`"Principal":"*"`, `"Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/bots/*"`), "warning: public: the bucket policy has a weakness: an Allow for every principal"},
		{"all but one", statement(`"NotPrincipal":{"AWS":"arn:aws:iam::123456789012:role/vault"}`, all), "warning: public: the bucket policy has a weakness: an Allow with NotAction, NotResource or NotPrincipal"},
		{"a role at an RGW", statement(`"Principal":{"AWS":"arn:aws:iam:::role/vault"}`, all), ""},
	} {
		got := lineOf(t, "s3://vault", "public", set{"policy": tc.policy})
		if got != tc.want && (tc.want == "" || !strings.HasPrefix(got, tc.want)) {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, got, tc.want)
		}
		if want := map[bool]string{true: "warning: ", false: "ok: "}[tc.policy == ""]; !strings.HasPrefix(lineOf(t, "s3://vault", "tls", set{"policy": tc.policy}), want) {
			t.Errorf("%s: tls is %s, want %s", tc.name, lineOf(t, "s3://vault", "tls", set{"policy": tc.policy}), want)
		}
	}
	other := strings.ReplaceAll(statement(`"Principal":{"AWS":"123456789012"}`, all), "vault", "logs")
	if got := lineOf(t, "s3://vault", "tls", set{"policy": other}); !strings.HasPrefix(got, "not proven: ") {
		t.Errorf("the policy of another bucket: tls is %s", got)
	}
}
