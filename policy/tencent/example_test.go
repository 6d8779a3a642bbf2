package tencent_test

import (
	"fmt"
	"strings"

	"github.com/objectvault/objectvault/policy/tencent"
)

func exampleOptions() tencent.Options {
	return tencent.Options{
		Bucket: "vault-1250000000", Region: "ap-guangzhou", Account: "100000000001",
		Role: "vault", Provider: "broker", Issuer: "https://broker.example", Audience: "vault",
		Tenants: []tencent.Tenant{{ID: "0xabc", Subject: "agentkeys:agent:0xabc"}},
	}
}

// A role per tenant: its trust names the subject, its policy the prefix.
func ExampleGenerate() {
	docs, err := tencent.Generate(exampleOptions())
	if err != nil {
		fmt.Println(err)
		return
	}
	own := docs.Tenants["0xabc"]
	fmt.Println(own.RoleARN)
	fmt.Println(own.TrustPolicy.Statement[0].Condition["string_equal"]["oidc:sub"])
	fmt.Println(own.RolePolicy.Statement[0].Resource)
	fmt.Println(own.RolePolicy.Statement[1].Condition["string_like"])
	fmt.Println(docs.Commands[1])
	// Output:
	// qcs::cam::uin/100000000001:roleName/vault-0xabc
	// [agentkeys:agent:0xabc]
	// [qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/bots/0xabc/*]
	// map[cos:prefix:[bots%2F0xabc%2F*]]
	// tccli cam CreateRole --RoleName vault-0xabc --PolicyDocument "$(jq -c '.tenants["0xabc"].trust_policy' policy.json)"
}

// Without oidc:sub every token of the issuer can assume the role.
func ExampleCheck() {
	docs, err := tencent.Parse("role.json", []byte(`{"version":"2.0","statement":[{"effect":"allow",
		"action":["name/sts:AssumeRoleWithWebIdentity"],
		"principal":{"federated":["qcs::cam::uin/100000000001:oidc-provider/broker"]},
		"condition":{"string_equal":{"oidc:iss":["https://broker.example"],"oidc:aud":["vault"]}}}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range tencent.Check(docs, tencent.CheckOptions{Audience: "vault"}) {
		fmt.Println(f.File, f.Where(), f.Weakness)
	}
	// Output: role.json trust_policy statement[0] no_subject
}

// Responses of CAM can be parsed unchanged.
func ExampleParse() {
	docs, err := tencent.Parse("policy.json", []byte(`{"Type":1,"PolicyDocument":"{\"version\":\"2.0\",\"statement\":[{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\"}]}"}`))
	fmt.Println(docs[0].Part, docs[0].Policy, err)
	// Output: role_policy {"version":"2.0","statement":[{"effect":"deny","action":["*"],"resource":["*"]}]} <nil>
}

func ExampleRecognise() {
	fmt.Println(tencent.Recognise([]byte(`{"version": "2.0", "statement": []}`)))
	fmt.Println(tencent.Recognise([]byte(`{"Version": "2012-10-17", "Statement": []}`)))
	// Output:
	// true
	// false
}

func ExampleDocuments_JSON() {
	docs, err := tencent.Generate(exampleOptions())
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(string(docs.JSON())) {
		if strings.Contains(line, "lifecycle\":") {
			fmt.Print(strings.TrimSpace(line)[:60], "…\n")
		}
	}
	// Output: "lifecycle": "<LifecycleConfiguration><Rule><ID>objectvault-…
}

func ExampleDocuments_Terraform() {
	docs, err := tencent.Generate(exampleOptions())
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
	// resource "tencentcloud_cam_role_sso" "objectvault" {
	// resource "tencentcloud_cam_role" "tenant_0xabc" {
	// resource "tencentcloud_cam_policy" "tenant_0xabc" {
	// resource "tencentcloud_cam_role_policy_attachment" "tenant_0xabc" {
	// resource "tencentcloud_cos_bucket" "objectvault" {
}

func ExampleWeaknesses() {
	for _, h := range tencent.Weaknesses()[:2] {
		fmt.Println(h.ID+":", h.Meaning)
	}
	// Output:
	// list_without_prefix: an Allow of GetBucket without a condition on cos:prefix
	// list_prefix_wide: an Allow of GetBucket whose cos:prefix includes other tenants
}
