package policy_test

import (
	"fmt"

	"github.com/objectvault/objectvault/policy"
	"github.com/objectvault/objectvault/policy/aws"
	"github.com/objectvault/objectvault/policy/tencent"
)

// A value knows its line, for messages.
func ExampleParseValue() {
	v, err := policy.ParseValue([]byte("{\n  \"Effect\": \"Allow\",\n  \"Action\": [\"s3:GetObject\"]\n}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.Get("Effect").Text, v.Get("Action").Line)
	_, err = policy.ParseValue([]byte("{\"Effect\": \"Deny\",\n \"Effect\": \"Allow\"}"))
	fmt.Println(err)
	// Output:
	// Allow 3
	// line 2: "Effect" occurs twice
}

// Each language has its own spelling.
func ExampleParse() {
	const statement = `{"Effect": "Deny", "Action": "*", "Resource": "*"}`
	iam, err := policy.Parse[aws.Language]("iam.json", []byte(`{"Version": "2012-10-17", "Statement": `+statement+`}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	cam, err := policy.Parse[tencent.Language]("cam.json", []byte(`{"Version": "2.0", "Statement": `+statement+`}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(iam[0].Policy)
	fmt.Println(cam[0].Policy)
	// Output:
	// {"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"]}]}
	// {"version":"2.0","statement":[{"effect":"deny","action":["*"],"resource":["*"]}]}
}

// A checker calls the rules of a dialect for each statement that allows.
func ExampleChecker() {
	docs, err := policy.Parse[aws.Language]("role.json", []byte(`{"Statement": [
		{"Effect": "Deny", "Action": "*", "Resource": "*"},
		{"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	var c policy.Checker[aws.Language]
	nothing := func(policy.Statement) {}
	found := c.Run(docs, policy.Rules{
		Weaknesses: []policy.Weakness{{ID: "all_actions", Meaning: "every action is allowed", Fix: "name the actions"}},
		Allow: func(s policy.Statement) {
			if s.Action[0] == "*" {
				c.Report("all_actions", "on %s", s.Resource[0])
			}
		},
		Trust: nothing, Access: nothing,
	})
	for _, f := range found {
		fmt.Printf("%s: %s: %s (%s)\n", f.File, f.Where(), f.Message, f.Fix)
	}
	// Output: role.json: role_policy Statement[1] (All): every action is allowed: on * (name the actions)
}

func ExampleTerraform() {
	var f policy.Terraform
	f.Comment("generated")
	f.Resource("aws_iam_role", policy.Label("acme"), func() {
		f.Set("name", policy.Quoted("vault-acme"))
	})
	fmt.Printf("%s", f.Bytes())
	// Output:
	// # generated
	//
	// resource "aws_iam_role" "tenant_acme" {
	//   name = "vault-acme"
	// }
}
