package aws

import (
	"slices"
	"strings"

	"github.com/objectvault/objectvault/policy"
)

var (
	// rightsServices are services whose actions grant permissions or keys, or move objects.
	rightsServices = []string{"s3", "s3-object-lambda", "iam", "sts", "kms", "organizations", "sso", "sso-directory", "identitystore", "account",
		"backup", "datasync", "storagegateway", "transfer"}
	// runActions are actions that run code with the permissions of another role. If the file lists
	// all roles of an account, these roles are checked themselves.
	runActions = strings.Fields(`cloudformation:createstack cloudformation:updatestack cloudformation:createchangeset cloudformation:executechangeset
		cloudformation:createstackset cloudformation:updatestackset cloudformation:createstackinstances
		lambda:createfunction lambda:updatefunctioncode lambda:updatefunctionconfiguration lambda:addpermission lambda:createeventsourcemapping
		ssm:sendcommand ssm:startsession ssm:resumesession ssm:startautomationexecution ssm:createassociation ssm:updateassociation ssm:createactivation
		ec2:runinstances ec2:associateiaminstanceprofile ec2:replaceiaminstanceprofileassociation ec2:requestspotinstances ec2:requestspotfleet
		ec2:createfleet ec2:createlaunchtemplate ec2:createlaunchtemplateversion ec2:modifyinstanceattribute ec2-instance-connect:sendsshpublickey
		autoscaling:createautoscalinggroup autoscaling:createlaunchconfiguration
		ecs:registertaskdefinition ecs:runtask ecs:starttask ecs:executecommand ecs:createservice ecs:updateservice
		eks:createaccessentry eks:associateaccesspolicy eks:createpodidentityassociation eks:updatepodidentityassociation
		codebuild:createproject codebuild:updateproject codebuild:startbuild codebuild:startbuildbatch
		codepipeline:createpipeline codepipeline:updatepipeline codepipeline:startpipelineexecution codedeploy:createdeployment
		glue:createjob glue:updatejob glue:startjobrun glue:createdevendpoint glue:updatedevendpoint glue:createsession
		sagemaker:createnotebookinstance sagemaker:createpresignednotebookinstanceurl sagemaker:createtrainingjob sagemaker:createprocessingjob
		batch:registerjobdefinition batch:submitjob states:createstatemachine states:updatestatemachine events:puttargets
		scheduler:createschedule scheduler:updateschedule pipes:createpipe pipes:updatepipe elasticmapreduce:runjobflow elasticmapreduce:addjobflowsteps
		emr-serverless:startjobrun datapipeline:createpipeline datapipeline:putpipelinedefinition servicecatalog:provisionproduct
		imagebuilder:createimage apprunner:createservice rolesanywhere:createprofile rolesanywhere:createtrustanchor
		cognito-identity:setidentitypoolroles iot:createrolealias fsx:createdatarepositoryassociation fsx:createdatarepositorytask
		redshift-data:executestatement cloudtrail:createtrail config:putdeliverychannel`)
	// readPrefixes are the prefixes of actions that only read, in all rightsServices except S3.
	readPrefixes = []string{"get", "list", "describe", "search"}
)

// excess reports allowed actions that no tenant needs, if they apply to the buckets or can grant
// permissions.
func (c *checker) excess(s Statement) {
	keys := !slices.ContainsFunc(s.Resource, func(r string) bool {
		service, name := serviceOf(r)
		return service != "kms" || !strings.HasPrefix(name, "key/") || strings.ContainsAny(r, "*?$")
	})
	// Services, such as the one that writes logs, may have actions that do not change the bucket.
	services := func(action string) bool {
		name, ok := strings.CutPrefix(action, "s3:")
		reads := strings.HasPrefix(name, "get") || strings.HasPrefix(name, "list")
		return len(s.Principal) == 1 && s.Principal["Service"] != nil && ok && (reads || !strings.ContainsAny(name, "*?") && !ofBucket(name))
	}
	for _, a := range s.Action {
		action := strings.ToLower(a)
		switch {
		case slices.Contains(needed, action):
		case services(action) || !c.matters(action, s):
		case action == "s3:deleteobjectversion" && c.o.AllowPurge:
		case keys && (action == "kms:encrypt" || action == "kms:decrypt" || action == "kms:generatedatakey"):
		case action == "s3:deleteobjectversion":
			c.Report(ExcessAction, "%s, unless tenants should be able to purge their history", a)
		default:
			c.Report(ExcessAction, "%s", a)
		}
	}
	if s.NotAction != nil && slices.ContainsFunc(s.Resource, func(r string) bool {
		service, _ := serviceOf(r)
		return service != "s3" && slices.ContainsFunc(rightsServices, func(known string) bool { return glob(service, known) })
	}) {
		c.Report(NotElement, "")
	}
}

// serviceOf returns the service of an ARN, and the name in it.
func serviceOf(arn string) (service, name string) {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		return parts[2], parts[5]
	}
	return "", ""
}

// matters reports whether an action, in lower case, can access the buckets or obtain permissions.
// Other actions, such as logs:PutLogEvents, do not affect tenants.
func (c *checker) matters(action string, s Statement) bool {
	service, name, ok := strings.Cut(action, ":")
	if !ok {
		return true // "*"
	}
	applies, harmless := c.concerns, func(string, string, Statement) bool { return false }
	if c.unrelated[c.Nth] {
		applies, harmless = c.reachesTenants, c.harmless
	}
	grantsRights := slices.ContainsFunc(rightsServices, func(known string) bool { return glob(service, known) && (known != "s3" || applies(s)) })
	return grantsRights && !reads(service, name) && !harmless(service, name, s) ||
		!c.unrelated[c.Nth] && slices.ContainsFunc(runActions, func(known string) bool { return glob(action, known) })
}

// reads reports whether an action only reads settings.
func reads(service, name string) bool {
	switch service {
	case "s3", "s3-object-lambda":
		return false
	case "sts":
		return slices.Contains([]string{"getcalleridentity", "decodeauthorizationmessage", "getaccesskeyinfo", "getservicebearertoken"}, name)
	case "iam":
		if strings.HasPrefix(name, "simulate") || strings.HasPrefix(name, "generate") { // reports
			return true
		}
	}
	return !strings.ContainsAny(service, "*?") && slices.ContainsFunc(readPrefixes, func(start string) bool { return strings.HasPrefix(name, start) })
}

// harmless reports whether an action is common and does not affect tenants, if the role that has it
// cannot access any tenant.
func (c *checker) harmless(service, name string, s Statement) bool {
	matches := func(list string) bool {
		return slices.ContainsFunc(strings.Fields(list), func(pattern string) bool { return glob(pattern, name) })
	}
	elsewhere := s.Resource != nil && !slices.ContainsFunc(s.Resource, c.used.matches)
	switch service {
	case "s3":
		return strings.HasPrefix(name, "get") || strings.HasPrefix(name, "list")
	case "sts":
		return matches("tagsession setsourceidentity getsessiontoken") || matches("assumerole") && elsewhere
	case "iam": // passrole is harmless, because a passed role must trust the service that gets it
		return matches("passrole createservicelinkedrole deleteservicelinkedrole *instanceprofile *instanceprofiles changepassword createvirtualmfadevice") ||
			matches("*accesskey *mfadevice *loginprofile *sshpublickey *signingcertificate *servicespecificcredential") && ownUser(s)
	case "kms":
		return elsewhere && !slices.ContainsFunc(s.Resource, func(r string) bool { return strings.ContainsAny(r, "*?$") }) || viaService(s) ||
			matches("creategrant revokegrant") && slices.ContainsFunc(conditions(s), func(cond policy.Condition) bool {
				return cond.Key == "kms:grantisforawsresource" && requires(cond) && slices.Contains(cond.Values, "true")
			})
	}
	return false
}

// ownUser reports whether a statement applies only to the user who sends the request.
func ownUser(s Statement) bool {
	return s.Resource != nil && !slices.ContainsFunc(s.Resource, func(r string) bool {
		service, name := serviceOf(r)
		return service != "iam" || !strings.HasPrefix(name, "mfa/") && !(strings.HasPrefix(name, "user/") && strings.HasSuffix(name, "/${aws:username}"))
	})
}

// viaService reports whether only services other than S3 can use the keys.
func viaService(s Statement) bool {
	return slices.ContainsFunc(conditions(s), func(cond policy.Condition) bool {
		return cond.Key == "kms:viaservice" && requires(cond) && strings.HasPrefix(cond.Base, "String") && !slices.ContainsFunc(cond.Values, func(v string) bool {
			service, _, _ := strings.Cut(strings.ToLower(v), ".")
			return service == "s3" || strings.ContainsAny(service, "*?$")
		})
	})
}

// arns are ARNs, or names such as role/NAME.
type arns []string

// usedBy returns the operators, and the roles and keys of tenants.
func usedBy(related []Document, operators []string) arns {
	all := slices.Clone(operators)
	for _, d := range related {
		if d.Origin.Owner != "" {
			all = append(all, d.Origin.Owner)
		}
		for _, s := range d.Policy.Statement {
			for _, r := range s.Resource {
				if service, _ := serviceOf(r); service == "kms" && d.Part == policy.RolePolicy && s.Effect == "Allow" {
					all = append(all, r)
				}
			}
		}
	}
	return all
}

// matches reports whether a resource pattern matches one of the ARNs, or anything.
func (all arns) matches(resource string) bool {
	pattern := resource
	if i := strings.Index(pattern, "${"); i >= 0 {
		pattern = pattern[:i] + "*"
	}
	_, name := serviceOf(pattern)
	return strings.Trim(pattern, "*") == "" || slices.ContainsFunc(all, func(arn string) bool {
		return glob(pattern, arn) || !strings.Contains(arn, ":") && glob(name, arn)
	})
}

// serviceLinked reports whether a document belongs to a service-linked role. Only a service of AWS
// can assume such a role, and only AWS writes its policies. Customers cannot create a role with
// this path.
func serviceLinked(d Document) bool {
	return strings.Contains(d.Origin.Owner, ":role/aws-service-role/")
}

// affectsTenants reports whether a statement allows or denies access to objects of tenants.
func (v *survey) affectsTenants(s Statement) bool {
	lists, objects := kinds(s)
	if s.NotAction != nil {
		lists, objects = true, true
	}
	return (objects || lists) && v.concerns(s) && (s.NotResource != nil || objects && v.reachesTenants(s) || lists && !v.listsElsewhere(s))
}

// reachesTenants reports whether a statement applies to one of the buckets as a whole, or to objects
// of tenants in it.
func (v *survey) reachesTenants(s Statement) bool {
	if s.NotResource != nil {
		return true
	}
	return slices.ContainsFunc(s.Resource, func(r string) bool {
		res, ok := parseResource(r, v.buckets)
		reach, _ := reachOf(tokens(res.key, true), "", false)
		return ok && (res.all || !res.object || reach != noTenant)
	})
}

// listsElsewhere reports whether a statement cannot list objects of tenants, because it applies to
// objects, or to prefixes outside the tenants' prefix.
func (v *survey) listsElsewhere(s Statement) bool {
	if !slices.ContainsFunc(s.Resource, func(r string) bool {
		res, ok := parseResource(r, v.buckets)
		return ok && (res.all || !res.object)
	}) {
		return true
	}
	return slices.ContainsFunc(conditions(s), func(cond policy.Condition) bool {
		return cond.Key == "s3:prefix" && requires(cond) && strings.HasPrefix(cond.Base, "String") && !slices.ContainsFunc(cond.Values, func(value string) bool {
			if ignoresCase(cond) {
				value = strings.ToLower(value)
			}
			reach, _ := reachOf(tokens(value, wild(cond)), "", true)
			return reach != noTenant
		})
	})
}

// acceptsTokens reports whether a statement of a trust policy applies to OIDC tokens.
func acceptsTokens(s Statement) bool {
	return slices.ContainsFunc(s.Principal["Federated"], func(p string) bool { return !strings.Contains(p, ":saml-provider/") }) || grants(s, "sts:AssumeRoleWithWebIdentity")
}

// accountsOf returns the accounts of the roles and users that own the documents, by short name. The
// name "" contains all these accounts, and the accounts of the trusted providers.
func accountsOf(docs []Document) map[string][]string {
	all := make(map[string][]string)
	add := func(name, arn string) {
		if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 && !slices.Contains(all[name], parts[4]) {
			all[name] = append(all[name], parts[4])
		}
	}
	for _, d := range docs {
		if name := policy.ShortName(d.Origin.Owner); d.Part != policy.BucketPolicy && !strings.HasPrefix(name, "policy/") {
			add(name, d.Origin.Owner)
			add("", d.Origin.Owner)
		}
		for _, s := range d.Policy.Statement {
			for _, p := range s.Principal["Federated"] {
				if d.Part == policy.TrustPolicy {
					add("", p)
				}
			}
		}
	}
	return all
}

// foreign reports whether a principal belongs to another account than the role with the same name.
// If the account of this role is not known, foreign compares with the accounts of all roles.
func (v *survey) foreign(principal string) bool {
	parts := strings.SplitN(principal, ":", 6)
	known := v.account[policy.ShortName(principal)]
	if len(known) == 0 {
		known = v.account[""]
	}
	return len(parts) == 6 && len(known) > 0 && !slices.Contains(known, parts[4])
}
