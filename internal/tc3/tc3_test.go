package tc3_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/internal/tc3"
)

// TestSign uses the example of Tencent's documentation, whose keys are invalid and partly
// asterisks. (https://www.tencentcloud.com/document/api/598/33159, an older edition)
func TestSign(t *testing.T) {
	const body = `{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`
	r, err := http.NewRequest(http.MethodPost, "https://cvm.tencentcloudapi.com", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	tc3.Sign(r, "AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******", "Gu5t9xGARNpq86cd98joQYCN3*******", "cvm", []byte(body), time.Unix(1551113065, 0))
	const want = "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******/2019-02-25/cvm/tc3_request, " +
		"SignedHeaders=content-type;host, Signature=2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c"
	if got := r.Header.Get("Authorization"); got != want {
		t.Errorf("Authorization is\n%s, want\n%s", got, want)
	}
	if got := r.Header.Get("X-TC-Timestamp"); got != "1551113065" {
		t.Errorf("X-TC-Timestamp is %s", got)
	}
}

// TestSignedInLowerCase: the case of the host and of the content type does not change the signature.
func TestSignedInLowerCase(t *testing.T) {
	sign := func(endpoint, kind string) string {
		r, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		tc3.Sign(r, "AKIDexample", "key", "sts", []byte("{}"), time.Unix(1551113065, 0))
		return r.Header.Get("Authorization")
	}
	want := sign("https://sts.tencentcloudapi.com", "application/json; charset=utf-8")
	if got := sign("https://STS.TencentCloudAPI.com", " application/json; charset=UTF-8"); got != want {
		t.Errorf("Authorization is\n%s, want\n%s", got, want)
	}
}

func TestNewRequest(t *testing.T) {
	keys := tc3.Keys{ID: "AKIDexample", Secret: "SECRET", Token: "TOKEN"}
	r, err := tc3.NewRequest(t.Context(), tc3.Call{
		Endpoint: "https://kms.tencentcloudapi.com", Service: "kms", Action: "Decrypt", Version: "2019-01-18", Region: "ap-guangzhou", Body: []byte("{}"),
	}, keys, time.Unix(1551113065, 0))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "X-TC-Action": "Decrypt", "X-TC-Version": "2019-01-18", "X-TC-Region": "ap-guangzhou",
		"X-TC-Token": "TOKEN", "X-TC-Timestamp": "1551113065",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := r.Header.Get("Authorization"); !strings.Contains(got, "/2019-02-25/kms/tc3_request, ") || strings.Contains(got, "SECRET") {
		t.Errorf("Authorization is %s", got)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", keys, keys, keys, keys); strings.Contains(text, "SECRET") || strings.Contains(text, "TOKEN") {
		t.Errorf("the keys are printed: %s", text)
	}
	if got := tc3.Redacted("the token TOKEN is wrong", "TOKEN"); got != "the token [redacted] is wrong" {
		t.Errorf("Redacted returns %q", got)
	}
}
