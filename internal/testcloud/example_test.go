package testcloud_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// The server applies the second request, and the response is lost.
func ExampleProxy() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "stored") }))
	defer server.Close()
	p := testcloud.NewProxy(server.URL, &testcloud.ProxyOptions{Rule: func(r *http.Request, n int) *testcloud.Fault {
		if n == 2 {
			return testcloud.ApplyThen(500, testcloud.ErrorXML("InternalError", "try again"))
		}
		return nil
	}})
	defer p.Close()

	for range 2 {
		resp, err := http.Post(p.URL+"/bucket/key", "", strings.NewReader("value"))
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
	}
	for _, r := range p.Requests() {
		fmt.Println(r, r.Applied)
	}
	// Output:
	// POST /bucket/key 200 true
	// POST /bucket/key 500 true
}

// The tenant in the token was changed after signing.
func ExampleTamper() {
	i := testcloud.NewIssuer(nil)
	defer i.Close()
	token := i.Mint(testcloud.AgentClaims("0xaaa"))
	bad := testcloud.Tamper(token, func(claims map[string]any) { claims[testcloud.WalletTag] = "0xbbb" })
	good, altered := strings.Split(token, "."), strings.Split(bad, ".")
	fmt.Println(good[1] == altered[1], good[2] == altered[2])
	// Output: false true
}
