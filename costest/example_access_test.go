package costest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/internal/testcloud"
)

// A token of an OIDC issuer is exchanged for a temporary key of a role.
func ExampleServer_AddRole() {
	issuer := testcloud.NewIssuer(nil) // any issuer with discovery
	defer issuer.Close()
	s, err := costest.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if err := s.AddProvider(costest.Provider{Name: "idp", Issuer: issuer.URL, Audiences: []string{"vault"}}); err != nil {
		fmt.Println(err)
		return
	}
	arn, err := s.AddRole("vault-0xabc",
		`{"version":"2.0","statement":[{"effect":"allow","action":["name/sts:AssumeRoleWithWebIdentity"],
			"principal":{"federated":["`+s.ProviderARN("idp")+`"]},
			"condition":{"string_equal":{"oidc:iss":["`+issuer.URL+`"],"oidc:aud":["vault"],"oidc:sub":["bot:0xabc"]}}}]}`,
		`{"version":"2.0","statement":[{"effect":"allow","action":["name/cos:GetObject"],
			"resource":["qcs::cos:ap-guangzhou:uid/1250000000:vault-1250000000/bots/0xabc/*"]}]}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(arn)
	for _, subject := range []string{"bot:0xabc", "bot:other"} {
		body, _ := json.Marshal(map[string]any{
			"ProviderId": "idp", "RoleArn": arn, "RoleSessionName": "bot",
			"WebIdentityToken": issuer.Mint(testcloud.Claims{Subject: subject, Audience: "vault"}),
		})
		req, _ := http.NewRequest(http.MethodPost, s.URL(), bytes.NewReader(body))
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Authorization": "SKIP",
			"X-TC-Action": "AssumeRoleWithWebIdentity", "X-TC-Version": "2018-08-13",
			"X-TC-Region": s.Region(), "X-TC-Timestamp": fmt.Sprint(time.Now().Unix()),
		} {
			req.Header.Set(name, value)
		}
		resp, err := s.Client().Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		var out struct {
			Response struct {
				Error       struct{ Code string }
				Credentials struct{ Token string }
			}
		}
		err = json.NewDecoder(resp.Body).Decode(&out)
		resp.Body.Close()
		fmt.Println(resp.StatusCode, out.Response.Credentials.Token != "", out.Response.Error.Code, err)
	}
	// Output:
	// qcs::cam::uin/100000000001:roleName/vault-0xabc
	// 200 true  <nil>
	// 200 false UnauthorizedOperation <nil>
}
