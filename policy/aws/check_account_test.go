package aws_test

import (
	"strings"
	"testing"

	"github.com/objectvault/objectvault/policy/aws"
)

// A member is a role, user or group of an account, in the response of
// get-account-authorization-details.
func member(kind, path, name, trust, statements, more string) string {
	policies := ""
	if statements != "" {
		policies = `{"PolicyName":"p","PolicyDocument":` + role(statements) + `}`
	}
	id := map[string]string{"Role": "role", "User": "user", "Group": "group"}[kind]
	doc := `{"Path":"` + path + `","` + kind + `Name":"` + name + `","Arn":"arn:aws:iam::123456789012:` + id + path + name + `","CreateDate":"2026-01-02T03:04:05Z","` + kind + `PolicyList":[` + policies + `]`
	if trust != "" {
		doc += `,"AssumeRolePolicyDocument":` + trust
	}
	if more == "" {
		more = `"AttachedManagedPolicies":[]`
	}
	return doc + "," + more + `}`
}

// byService is the trust of a role that a service assumes.
func byService(service, actions string) string {
	return role(`{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":` + actions + `}`)
}

// twoTenants are the roles of two tenants.
func twoTenants() []string {
	statements := func(tenant string) string {
		doc := own(tenant)
		return doc[strings.Index(doc, "[")+1 : strings.LastIndex(doc, "]")]
	}
	return []string{
		member("Role", "/", "vault-acme", subjectTrust("StringEquals", "acme"), statements("acme"), ""),
		member("Role", "/", "vault-globex", subjectTrust("StringEquals", "globex"), statements("globex"), ""),
	}
}

// accountOf is the response about an account with the roles of two tenants, and other members.
func accountOf(users, roles []string, policies ...string) file {
	return file{"f", `{"UserDetailList":[` + strings.Join(users, ",") + `],"GroupDetailList":[],"RoleDetailList":[` + strings.Join(append(twoTenants(), roles...), ",") +
		`],"Policies":[` + strings.Join(policies, ",") + `],"IsTruncated":false}`}
}

// app is a role of an application with one statement.
func app(effect string) []string {
	return []string{member("Role", "/", "app", byService("ec2.amazonaws.com", `"sts:AssumeRole"`), effect, "")}
}

func allow(action, resource, more string) string {
	return `{"Effect":"Allow","Action":` + action + `,"Resource":` + resource + more + `}`
}

// TestAccountEscalation: a role or user whose policies do not name the bucket of the tenants, but whose
// permissions can give it access to their objects.
func TestAccountEscalation(t *testing.T) {
	for _, tc := range []struct{ name, statement, want string }{
		{"change the bucket policy", allow(`"s3:PutBucketPolicy"`, `"arn:aws:s3:::vault"`, ""), "f excess_action"},
		{"change the bucket ACL", allow(`"s3:PutBucketAcl"`, `"*"`, ""), "f excess_action"},
		{"replicate the bucket", allow(`["s3:PutReplicationConfiguration","iam:PassRole"]`, `"*"`, ""), "f excess_action"},
		{"expire objects with a lifecycle rule", allow(`"s3:PutLifecycleConfiguration"`, `"arn:aws:s3:::vaul?"`, ""), "f excess_action"},
		{"change bucket settings, action pattern", allow(`"s3:PutBucket*"`, `"*"`, ""), "f excess_action"},
		{"create an access point", allow(`["s3:CreateAccessPoint","s3:PutAccessPointPolicy"]`, `"*"`, ""), "f excess_action"},
		{"change role policies", allow(`"iam:PutRolePolicy"`, `"*"`, ""), "f excess_action"},
		{"change role policies, action in another case", allow(`"IAM:putrolepolicy"`, `"*"`, ""), "f excess_action"},
		{"attach policies to some roles", allow(`"iam:AttachRolePolicy"`, `"arn:aws:iam::123456789012:role/app-*"`, ""), "f excess_action"},
		{"change the version of policies", allow(`["iam:CreatePolicyVersion","iam:SetDefaultPolicyVersion"]`, `"*"`, ""), "f excess_action"},
		{"change trust policies", allow(`"iam:UpdateAssumeRolePolicy"`, `"*"`, ""), "f excess_action"},
		{"change an OIDC provider", allow(`"iam:AddClientIDToOpenIDConnectProvider"`, `"*"`, ""), "f excess_action"},
		{"create access keys of users", allow(`"iam:CreateAccessKey"`, `"*"`, ""), "f excess_action"},
		{"change its own policies", allow(`"iam:PutUserPolicy"`, `"arn:aws:iam::*:user/${aws:username}"`, ""), "f excess_action"},
		{"all IAM actions", allow(`"iam:*"`, `"*"`, ""), "f excess_action"},
		{"all IAM actions except one", `{"Effect":"Allow","NotAction":"iam:CreateUser","Resource":"arn:aws:iam::123456789012:role/*"}`, "f not_element"},
		{"all IAM resources except one role", `{"Effect":"Allow","Action":"iam:PutRolePolicy","NotResource":"arn:aws:iam::123456789012:role/admin"}`, "f excess_action"},
		{"assume a tenant's role", allow(`"sts:AssumeRole"`, `"arn:aws:iam::123456789012:role/vault-acme"`, ""), "f excess_action"},
		{"assume tenants' roles, resource pattern", allow(`"sts:AssumeRole"`, `"arn:aws:iam::*:role/v*"`, ""), "f excess_action"},
		{"assume any role", allow(`"sts:AssumeRole"`, `"*"`, ""), "f excess_action"},
		{"assume a role from a variable", allow(`"sts:AssumeRole"`, `"arn:aws:iam::123456789012:role/${aws:PrincipalTag/role}"`, ""), "f excess_action"},
		{"decrypt with any key", allow(`"kms:Decrypt"`, `"*"`, ""), "f excess_action"},
		{"decrypt with any key of the account", allow(`["kms:Decrypt"]`, `"arn:aws:kms:eu-west-1:123456789012:key/*"`, ""), "f excess_action"},
		{"decrypt with any key through S3", allow(`["kms:Decrypt"]`, `"*"`, `,"Condition":{"StringEquals":{"kms:ViaService":["ec2.eu-west-1.amazonaws.com","s3.eu-west-1.amazonaws.com"]}}`), "f excess_action"},
		{"decrypt with any key, ViaService with IfExists", allow(`["kms:Decrypt"]`, `"*"`, `,"Condition":{"StringEqualsIfExists":{"kms:ViaService":"ec2.eu-west-1.amazonaws.com"}}`), "f excess_action"},
		{"change organization policies", allow(`"organizations:AttachPolicy"`, `"*"`, ""), "f excess_action"},
		{"change permission sets", allow(`["sso:PutInlinePolicyToPermissionSet","sso:CreateAccountAssignment"]`, `"*"`, ""), "f excess_action"},
		{"add group members in Identity Center", allow(`"identitystore:CreateGroupMembership"`, `"*"`, ""), "f excess_action"},
		{"restore backups", allow(`["backup:StartRestoreJob","iam:PassRole"]`, `"*"`, ""), "f excess_action"},
		{"transfer objects with DataSync", allow(`"datasync:*"`, `"*"`, ""), "f excess_action"},
		{"service pattern", allow(`"i*:*"`, `"*"`, ""), "f excess_action"},
	} {
		for kind, f := range map[string]file{
			"role": accountOf(nil, app(tc.statement)),
			"user": accountOf([]string{member("User", "/", "eve", "", tc.statement, `"GroupList":[]`)}, nil),
		} {
			if g := strings.Join(weaknesses(t, aws.CheckOptions{}, f), ", "); g != tc.want {
				t.Errorf("%s, as a %s:\n got %s\nwant %s", tc.name, kind, g, tc.want)
			}
			for _, operators := range [][]string{{roleARN + "app", "arn:aws:iam::123456789012:user/eve"}} {
				if g := weaknesses(t, aws.CheckOptions{Operators: operators}, f); len(g) > 0 {
					t.Errorf("%s, as a %s that is an operator: %s", tc.name, kind, g)
				}
			}
		}
	}
	t.Run("through a group", func(t *testing.T) {
		f := file{"f", `{"UserDetailList":[` + member("User", "/", "eve", "", "", `"GroupList":["g"]`) + `],"GroupDetailList":[` +
			member("Group", "/", "g", "", allow(`"iam:PutUserPolicy"`, `"*"`, ""), "") + `],"RoleDetailList":[` + strings.Join(twoTenants(), ",") + `]}`}
		if g := strings.Join(weaknesses(t, aws.CheckOptions{}, f), ", "); g != "f excess_action" {
			t.Errorf("got %s", g)
		}
	})
	t.Run("attached policy missing in the response", func(t *testing.T) {
		f := accountOf(nil, []string{member("Role", "/", "ops", byService("ec2.amazonaws.com", `"sts:AssumeRole"`), "", `"AttachedManagedPolicies":[{"PolicyName":"AdministratorAccess","PolicyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}]`)})
		if g := strings.Join(weaknesses(t, aws.CheckOptions{}, f), ", "); g != "f unseen_policy" {
			t.Errorf("got %s", g)
		}
	})
	t.Run("assume an operator's role", func(t *testing.T) {
		f := accountOf(nil, append(app(allow(`"sts:AssumeRole"`, `"arn:aws:iam::123456789012:role/admin"`, "")),
			member("Role", "/", "admin", byService("ec2.amazonaws.com", `"sts:AssumeRole"`), allow(`"*"`, `"*"`, ""), "")))
		if g := strings.Join(weaknesses(t, aws.CheckOptions{Operators: []string{roleARN + "admin"}}, f), ", "); g != "f excess_action" {
			t.Errorf("got %s", g)
		}
	})
}

// TestAccountGood: the other roles of the account have usual permissions, and no access to the objects
// of tenants.
func TestAccountGood(t *testing.T) {
	const ec2 = "ec2.amazonaws.com"
	podIdentity := byService("pods.eks.amazonaws.com", `["sts:AssumeRole","sts:TagSession"]`)
	oidc := func(host, condition string) string {
		return role(`{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/` + host + `"},"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession"],"Condition":` + condition + `}`)
	}
	managed := func(name, arn, statements string) string {
		return `{"PolicyName":"` + name + `","Arn":"` + arn + `","DefaultVersionId":"v1","AttachmentCount":1,"IsAttachable":true,"PolicyVersionList":[{"Document":` + role(statements) + `,"VersionId":"v1","IsDefaultVersion":true}]}`
	}
	attached := func(name, arn string) string {
		return `"AttachedManagedPolicies":[{"PolicyName":"` + name + `","PolicyArn":"` + arn + `"}]`
	}
	everywhere := `"*"`
	for _, tc := range []struct {
		name     string
		o        aws.CheckOptions
		users    []string
		roles    []string
		policies []string
	}{
		{name: "EKS Pod Identity", roles: []string{member("Role", "/", "pod", podIdentity, allow(`["dynamodb:GetItem","s3:GetObject"]`, `["arn:aws:dynamodb:eu-west-1:123456789012:table/t","arn:aws:s3:::assets/*"]`, ""), "")}},
		{name: "EKS Pod Identity by tags", roles: []string{member("Role", "/", "pod", podIdentity, allow(`"secretsmanager:GetSecretValue"`, everywhere, `,"Condition":{"StringEquals":{"secretsmanager:ResourceTag/ns":"${aws:PrincipalTag/kubernetes-namespace}"}}`), "")}},
		{name: "EKS cluster", roles: []string{member("Role", "/", "eks", byService("eks.amazonaws.com", `["sts:AssumeRole","sts:TagSession"]`), allow(`["autoscaling:UpdateAutoScalingGroup","ec2:CreateNetworkInterface","elasticloadbalancing:*","kms:DescribeKey","ec2:DescribeInstances"]`, everywhere, "")+
			","+allow(`"iam:CreateServiceLinkedRole"`, everywhere, `,"Condition":{"StringEquals":{"iam:AWSServiceName":"elasticloadbalancing.amazonaws.com"}}`), "")}},
		{name: "EKS nodes", roles: []string{member("Role", "/", "node", byService(ec2, `"sts:AssumeRole"`), "", attached("AmazonEKSWorkerNodePolicy", "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"))},
			policies: []string{managed("AmazonEKSWorkerNodePolicy", "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy", allow(`["ec2:DescribeInstances","eks:DescribeCluster","eks-auth:AssumeRoleForPodIdentity"]`, everywhere, ""))}},
		{name: "IRSA for a cluster's service accounts", roles: []string{member("Role", "/", "karpenter", oidc("oidc.eks.eu-west-1.amazonaws.com/id/ABC", `{"StringLike":{"oidc.eks.eu-west-1.amazonaws.com/id/ABC:sub":"system:serviceaccount:karpenter:*"}}`),
			allow(`["ec2:RunInstances","ec2:CreateFleet","ec2:CreateTags","ec2:TerminateInstances","iam:PassRole","iam:CreateInstanceProfile","iam:TagInstanceProfile","iam:AddRoleToInstanceProfile","iam:RemoveRoleFromInstanceProfile","iam:DeleteInstanceProfile","iam:GetInstanceProfile","ssm:GetParameter","pricing:GetProducts","sqs:*"]`, everywhere, ""), "")}},
		{name: "EBS volumes", roles: []string{member("Role", "/", "ebs", podIdentity, allow(`["kms:CreateGrant","kms:ListGrants","kms:RevokeGrant"]`, everywhere, `,"Condition":{"Bool":{"kms:GrantIsForAWSResource":"true"}}`)+
			","+allow(`["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:GenerateDataKey*","kms:DescribeKey"]`, `"arn:aws:kms:eu-west-1:123456789012:key/0a-1b"`, ""), "")}},
		{name: "KMS keys through other services", roles: app(allow(`["kms:Decrypt","kms:GenerateDataKey*"]`, everywhere, `,"Condition":{"StringLike":{"kms:ViaService":["secretsmanager.*.amazonaws.com","ssm.*.amazonaws.com"]}}`))},
		{name: "service-linked roles", roles: []string{
			member("Role", "/aws-service-role/autoscaling.amazonaws.com/", "AWSServiceRoleForAutoScaling", byService("autoscaling.amazonaws.com", `"sts:AssumeRole"`), allow(`["ec2:RunInstances","ec2:CreateFleet","iam:CreateServiceLinkedRole","iam:PassRole"]`, everywhere, ""), ""),
			member("Role", "/aws-service-role/sso.amazonaws.com/", "AWSServiceRoleForSSO", byService("sso.amazonaws.com", `"sts:AssumeRole"`), allow(`["iam:AttachRolePolicy","iam:CreateRole","iam:PutRolePolicy","iam:UpdateAssumeRolePolicy"]`, `"arn:aws:iam::*:role/aws-reserved/sso.amazonaws.com/*"`, ""), ""),
			member("Role", "/aws-service-role/guardduty.amazonaws.com/", "AWSServiceRoleForAmazonGuardDuty", byService("guardduty.amazonaws.com", `"sts:AssumeRole"`), "", attached("AmazonGuardDutyServiceRolePolicy", "arn:aws:iam::aws:policy/aws-service-role/AmazonGuardDutyServiceRolePolicy")),
			member("Role", "/aws-service-role/config.amazonaws.com/", "AWSServiceRoleForConfig", byService("config.amazonaws.com", `"sts:AssumeRole"`), allow(`["s3:GetBucket*","s3:ListBucket","kms:Describe*"]`, everywhere, ""), ""),
		}},
		{name: "CI", roles: []string{member("Role", "/", "ci", oidc("token.actions.githubusercontent.com", `{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"},"StringLike":{"token.actions.githubusercontent.com:sub":"repo:acme/*"}}`),
			allow(`["ec2:*","ecr:*","logs:*","ecs:UpdateService","ecs:RegisterTaskDefinition","lambda:UpdateFunctionCode","cloudformation:*","iam:PassRole","iam:GetRole","sts:GetServiceBearerToken","sts:GetCallerIdentity","ssm:GetParameters","codebuild:StartBuild"]`, everywhere, "")+
				","+allow(`"sts:AssumeRole"`, `["arn:aws:iam::123456789012:role/cdk-*","arn:aws:iam::210987654321:role/deploy"]`, "")+","+allow(`"s3:*"`, `["arn:aws:s3:::ci-artifacts","arn:aws:s3:::ci-artifacts/*"]`, ""), "")}},
		{name: "CI of a team, by tag", roles: []string{member("Role", "/", "ci", byService("codebuild.amazonaws.com", `"sts:AssumeRole"`), allow(`["ec2:StartInstances","ec2:StopInstances"]`, everywhere, `,"Condition":{"StringEquals":{"ec2:ResourceTag/team":"${aws:PrincipalTag/team}","aws:PrincipalTag/env":"dev"}}`), "")}},
		{name: "SAML sessions with tags", roles: []string{member("Role", "/", "staff", role(`{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:saml-provider/idp"},"Action":["sts:AssumeRoleWithSAML","sts:TagSession"],"Condition":{"StringEquals":{"SAML:aud":"https://signin.aws.amazon.com/saml"},"Null":{"aws:RequestTag/team":"false"}}}`), allow(`"ec2:Describe*"`, everywhere, ""), "")}},
		{name: "auditors", roles: app(allow(`["s3:GetBucket*","s3:ListAllMyBuckets","s3:GetEncryptionConfiguration","s3:GetLifecycleConfiguration","s3:GetReplicationConfiguration","s3:GetAccountPublicAccessBlock","s3:ListAccessPoints","s3:GetAccessPoint*",
			"iam:Get*","iam:List*","iam:GenerateCredentialReport","iam:SimulatePrincipalPolicy","kms:Describe*","kms:Get*","kms:List*","organizations:Describe*","organizations:List*","sso:List*","sso:Describe*","identitystore:List*","account:GetAlternateContact","backup:List*","backup:Describe*","datasync:List*"]`, everywhere, ""))},
		{name: "logs in the bucket, outside bots", roles: app(allow(`["s3:PutObject","s3:PutObjectTagging","s3:GetObject"]`, `"arn:aws:s3:::vault/logs/*"`, "") + "," + allow(`"s3:ListBucket"`, `"arn:aws:s3:::vault"`, `,"Condition":{"StringLike":{"s3:prefix":"logs/*"}}`))},
		{name: "users who manage their own credentials", users: []string{member("User", "/", "bob", "", allow(`["iam:ChangePassword","iam:CreateAccessKey","iam:DeleteAccessKey","iam:UpdateAccessKey","iam:GetUser","iam:EnableMFADevice","iam:ResyncMFADevice","iam:UpdateLoginProfile","iam:UploadSSHPublicKey"]`, `["arn:aws:iam::*:user/${aws:username}","arn:aws:iam::*:user/*/${aws:username}"]`, "")+
			","+allow(`["iam:CreateVirtualMFADevice","sts:GetSessionToken"]`, everywhere, "")+
			`,{"Effect":"Deny","NotAction":["iam:ListMFADevices","sts:GetSessionToken"],"Resource":"*","Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}`, `"GroupList":[]`)}},
		{name: "operator", o: aws.CheckOptions{Operators: []string{roleARN + "admin"}}, roles: []string{
			member("Role", "/", "admin", role(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":["sts:AssumeRole","sts:TagSession"]}`), "", attached("AdministratorAccess", "arn:aws:iam::aws:policy/AdministratorAccess")),
		}, policies: []string{managed("AdministratorAccess", "arn:aws:iam::aws:policy/AdministratorAccess", allow(`"*"`, everywhere, ""))}},
		{name: "Identity Center operator, by tag", o: aws.CheckOptions{Operators: []string{roleARN + "aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_1"}}, roles: []string{
			member("Role", "/aws-reserved/sso.amazonaws.com/", "AWSReservedSSO_Admin_1", goodRoleTrust, allow(`"s3:*"`, everywhere, `,"Condition":{"StringEquals":{"aws:PrincipalTag/team":"ops"}}`), "")}},
	} {
		if g := weaknesses(t, tc.o, accountOf(tc.users, tc.roles, tc.policies...)); len(g) > 0 {
			t.Errorf("%s: %s", tc.name, g)
		}
		// The other roles do not change the findings about the roles of tenants.
		shared := accountOf(tc.users, append(tc.roles, member("Role", "/", "vault-hooli", subjectTrust("StringEquals", "acme"), allow(`"s3:GetObject"`, `"arn:aws:s3:::vault/bots/hooli/*"`, ""), "")), tc.policies...)
		if g := strings.Join(weaknesses(t, tc.o, shared), ", "); g != "f shared_subject" {
			t.Errorf("%s, and a shared subject: %s", tc.name, g)
		}
	}
}

// TestOtherAccount: a principal is a tenant's role only if its account is the same, because another
// account may have a role with the same name.
func TestOtherAccount(t *testing.T) {
	grantTo := func(principal, tenant string) file { return file{"bucket", read(principal, tenant)} }
	byTag := []file{{"t", getRole("vault", goodTrust)}, {"r", getRolePolicy("vault", "p", goodRole)}}
	for _, tc := range []struct {
		name  string
		o     aws.CheckOptions
		files []file
		want  string
	}{
		{"same role name in another account", aws.CheckOptions{}, twoRoles(grantTo(`{"AWS":"arn:aws:iam::999999999999:role/vault-acme"}`, "acme")), "bucket unbound_prefix"},
		{"matching role name in another account", aws.CheckOptions{}, twoRoles(grantTo(`{"AWS":"arn:aws:iam::999999999999:role/x-acme"}`, "acme")), "bucket unbound_prefix"},
		{"user of another account", aws.CheckOptions{}, twoRoles(grantTo(`{"AWS":"arn:aws:iam::999999999999:user/acme"}`, "acme")), "bucket unbound_prefix"},
		{"session of another account", aws.CheckOptions{}, twoRoles(grantTo(`{"AWS":"arn:aws:sts::999999999999:assumed-role/vault-acme/s"}`, "acme")), "bucket unbound_prefix"},
		{"roles of both accounts", aws.CheckOptions{}, twoRoles(grantTo(`{"AWS":["`+roleARN+`vault-acme","arn:aws:iam::999999999999:role/vault-acme"]}`, "acme")), "bucket unbound_prefix"},
		{"role of another account than the provider's", aws.CheckOptions{}, []file{{"t", subjectTrust("StringEquals", "acme")}, {"r", own("acme")}, grantTo(`{"AWS":"arn:aws:iam::999999999999:role/vault-acme"}`, "acme")}, "bucket unbound_prefix"},
		{"role of another account than the account details", aws.CheckOptions{}, []file{accountOf(nil, nil), grantTo(`{"AWS":"arn:aws:iam::999999999999:role/vault-acme"}`, "acme")}, "bucket unbound_prefix"},
		{"operator role of another account", aws.CheckOptions{Operators: []string{"arn:aws:iam::999999999999:role/x-acme"}}, twoRoles(grantTo(`{"AWS":"arn:aws:iam::999999999999:role/x-acme"}`, "acme")), ""},
		{"role of another account, by tag", aws.CheckOptions{}, append(byTag, file{"bucket", tagged(`{"AWS":"arn:aws:iam::999999999999:role/vault"}`)}), "bucket other_principal"},
		{"role of the same account, by tag", aws.CheckOptions{}, append(byTag, file{"bucket", tagged(arn("vault"))}), ""},
		{"role of the same account", aws.CheckOptions{}, twoRoles(grantTo(arn("vault-acme"), "acme")), ""},
		{"role with a path", aws.CheckOptions{}, twoRoles(grantTo(arn("team/vault-acme"), "acme")), ""},
		{"session of the role", aws.CheckOptions{}, twoRoles(grantTo(`{"AWS":"arn:aws:sts::123456789012:assumed-role/vault-acme/s"}`, "acme")), ""},
		{"two accounts, each role with its documents", aws.CheckOptions{}, append(twoRoles(
			file{"trust-hooli", strings.ReplaceAll(getRole("vault-hooli", subjectTrust("StringEquals", "hooli")), "123456789012", "999999999999")}, file{"hooli", getRolePolicy("vault-hooli", "own", own("hooli"))}),
			grantTo(`{"AWS":"arn:aws:iam::999999999999:role/vault-hooli"}`, "hooli")), ""},
		{"two accounts, role of the other account", aws.CheckOptions{}, append(twoRoles(
			file{"trust-hooli", strings.ReplaceAll(getRole("vault-hooli", subjectTrust("StringEquals", "hooli")), "123456789012", "999999999999")}, file{"hooli", getRolePolicy("vault-hooli", "own", own("hooli"))}),
			grantTo(`{"AWS":"arn:aws:iam::999999999999:role/vault-acme"}`, "acme")), "bucket unbound_prefix"},
	} {
		if g := strings.Join(weaknesses(t, tc.o, tc.files...), ", "); g != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, g, tc.want)
		}
	}
}

// TestOtherOperators: a condition whose operator does not compare strings restricts neither the subject
// nor the audience.
func TestOtherOperators(t *testing.T) {
	const subject = `"StringEquals":{"broker.example:aud":"x","broker.example:sub":"a"}`
	for condition, want := range map[string]string{
		`{` + subject + `}`: "",
		`{"StringEquals":{"broker.example:aud":"x"},"NumericGreaterThan":{"broker.example:sub":"1"}}`:            "0 no_subject",
		`{"StringEquals":{"broker.example:aud":"x"},"DateGreaterThan":{"broker.example:sub":"2020-01-01"}}`:      "0 no_subject",
		`{"StringEquals":{"broker.example:aud":"x"},"ArnEquals":{"broker.example:sub":"arn:aws:iam::1:role/*"}}`: "0 wildcard_subject",
		`{"StringEquals":{"broker.example:sub":"a"},"NumericGreaterThan":{"broker.example:aud":"1"}}`:            "0 no_audience",
	} {
		if g := strings.Join(check(t, trust(`"sts:AssumeRoleWithWebIdentity"`, condition), aws.CheckOptions{Isolation: aws.ByRole}), ", "); g != want {
			t.Errorf("%s:\n got %s\nwant %s", condition, g, want)
		}
	}
}

// TestServicesOfBucket: a bucket policy may let a service write logs, but not change the bucket.
func TestServicesOfBucket(t *testing.T) {
	to := func(action, resource string) string {
		return bucket(`{"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},"Action":` + action + `,"Resource":` + resource + `}`)
	}
	for doc, want := range map[string]string{
		to(`["s3:GetBucketAcl","s3:ListBucketMultipartUploads","s3:PutObject"]`, `["arn:aws:s3:::vault","arn:aws:s3:::vault/logs/*"]`): "",
		to(`"s3:PutBucketPolicy"`, `"arn:aws:s3:::vault"`):             "0 excess_action",
		to(`"s3:PutReplicationConfiguration"`, `"arn:aws:s3:::vault"`): "0 excess_action",
		to(`"s3:Put*"`, `"arn:aws:s3:::vault"`):                        "0 excess_action",
	} {
		if g := strings.Join(check(t, doc, aws.CheckOptions{}), ", "); g != want {
			t.Errorf("%s:\n got %s\nwant %s", doc, g, want)
		}
	}
}

// TestOtherServices: actions of other services that copy objects, or that use a tenant's role, are a
// weakness.
func TestOtherServices(t *testing.T) {
	beside := func(actions string) string {
		return edit(goodRole, `"Statement":[`, `"Statement":[`+allow(actions, `"*"`, "")+",")
	}
	for _, action := range []string{
		"backup:StartRestoreJob", "backup:*", "datasync:*", "datasync:CreateTask", "transfer:CreateUser", "cloudformation:*", "cloudformation:CreateStack", "cloudformation:Create*",
		"lambda:CreateFunction", "lambda:Update*", "ssm:SendCommand", "ssm:*", "ec2:RunInstances", "ecs:RunTask", "glue:StartJobRun", "codebuild:StartBuild", "states:*", "eks:CreateAccessEntry",
	} {
		if g := strings.Join(check(t, beside(`"`+action+`"`), aws.CheckOptions{}), ", "); g != "0 excess_action" {
			t.Errorf("%s: %s", action, g)
		}
	}
	harmless := `["lambda:InvokeFunction","ssm:GetParameter","ssm:GetParametersByPath","states:StartExecution","bedrock:InvokeModel","sqs:*","dynamodb:*","ecr:*","logs:*","ec2:CreateNetworkInterface","backup:List*","datasync:DescribeTask","sso:ListInstances","kms:GetPublicKey"]`
	if g := check(t, beside(harmless), aws.CheckOptions{}); len(g) > 0 {
		t.Errorf("%s: %s", harmless, g)
	}
}
