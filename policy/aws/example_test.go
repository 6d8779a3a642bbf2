package aws_test

import (
	"fmt"
	"strings"

	"github.com/objectvault/objectvault/policy/aws"
)

// One role for all tenants: the tag of the session decides.
func ExampleGenerate() {
	docs, err := aws.Generate(aws.Options{
		Bucket: "vault", Account: "123456789012", Role: "vault",
		Issuer: "https://broker.example", Tag: "wallet",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(docs.RoleARN)
	for _, s := range docs.RolePolicy.Statement {
		fmt.Println(s.Sid, s.Resource, s.Condition)
	}
	fmt.Println(docs.Commands[1])
	// Output:
	// arn:aws:iam::123456789012:role/vault
	// OwnObjects [arn:aws:s3:::vault/bots/${aws:PrincipalTag/wallet}/*] map[Null:map[aws:PrincipalTag/wallet:[false]]]
	// OwnList [arn:aws:s3:::vault] map[Null:map[aws:PrincipalTag/wallet:[false]] StringLike:map[s3:prefix:[bots/${aws:PrincipalTag/wallet}/*]]]
	// aws iam create-role --role-name vault --assume-role-policy-document "$(jq -c '.trust_policy' policy.json)"
}

// A policy with a guard that is none: a negated operator is true for those without the tag.
func ExampleCheck() {
	docs, err := aws.Parse("role.json", []byte(`{"Version":"2012-10-17","Statement":[{
		"Sid":"Own","Effect":"Allow","Action":"s3:GetObject",
		"Resource":"arn:aws:s3:::vault/bots/${aws:PrincipalTag/wallet}/*",
		"Condition":{"StringNotEquals":{"aws:PrincipalTag/wallet":""}}}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range aws.Check(docs, aws.CheckOptions{Tag: "wallet"}) {
		fmt.Println(f.File, f.Where(), f.Weakness)
	}
	// Output:
	// role.json role_policy Statement[0] (Own) negated_missing
	// role.json role_policy Statement[0] (Own) no_tag_guard
}

// Responses of the AWS CLI can be parsed unchanged.
func ExampleParse() {
	docs, err := aws.Parse("bucket.json", []byte(`{"Policy": "{\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"*\"}]}"}`))
	fmt.Println(docs[0].Part, docs[0].Policy, err)
	// Output: bucket_policy {"Statement":[{"Effect":"Deny","Principal":"*","Action":["s3:*"],"Resource":["*"]}]} <nil>
}

// What has to be added to the policy that a role already has.
func ExampleMissing() {
	docs, err := aws.Generate(aws.Options{Bucket: "vault", Account: "123456789012", Role: "vault", Issuer: "https://broker.example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	before := &aws.Policy{Version: "2012-10-17", Statement: docs.RolePolicy.Statement[:1]}
	fmt.Println(aws.Missing(docs.RolePolicy, before).Statement[0].Sid)
	// Output: OwnList
}

func ExampleDocuments_Terraform() {
	docs, err := aws.Generate(aws.Options{Bucket: "vault", Account: "123456789012", Role: "vault", Issuer: "https://broker.example"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(string(docs.Terraform())) {
		if strings.HasPrefix(line, "resource ") {
			fmt.Print(line)
		}
	}
	// Output:
	// resource "aws_iam_openid_connect_provider" "objectvault" {
	// resource "aws_iam_role" "objectvault" {
	// resource "aws_iam_role_policy" "objectvault" {
	// resource "aws_s3_bucket_versioning" "objectvault" {
	// resource "aws_s3_bucket_public_access_block" "objectvault" {
	// resource "aws_s3_bucket_lifecycle_configuration" "objectvault" {
	// resource "aws_s3_bucket_policy" "objectvault" {
}

func ExampleDocuments_JSON() {
	docs, err := aws.Generate(aws.Options{
		Dialect: aws.RGW, Bucket: "vault", Role: "vault", Issuer: "http://127.0.0.1:18010", Tag: "wallet",
		Tenants: []aws.Tenant{{ID: "0xaaa"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(string(docs.JSON())) {
		if strings.Contains(line, `"trust_policy"`) {
			fmt.Print(line[:60], "…\n")
		}
	}
	// Output:
	//   "trust_policy": {"Version":"2012-10-17","Statement":[{"Sid…
}

func ExampleWeaknesses() {
	for _, h := range aws.Weaknesses()[:2] {
		fmt.Println(h.ID+":", h.Meaning)
	}
	// Output:
	// list_without_prefix: an Allow of ListBucket without a condition on s3:prefix
	// list_prefix_wide: an Allow of ListBucket whose s3:prefix includes other tenants
}
