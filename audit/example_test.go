package audit_test

import (
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/objectvault/objectvault/audit"
)

// Print the attempts that the store denied.
func ExampleRead() {
	text := `o vault [06/Feb/2019:00:00:38 +0000] 192.0.2.3 arn:aws:sts::1:assumed-role/tenants/agent-7 ID1 REST.GET.OBJECT bots/0xabc/credentials/openai.enc "GET /bots/0xabc/credentials/openai.enc HTTP/1.1" 200 - 600 600 9 8 "-" "objectvault" - h SigV4 c AuthHeader x TLSv1.3
a damaged line
o vault [06/Feb/2019:00:00:39 +0000] 192.0.2.9 - ID2 REST.GET.OBJECT bots/0xabc/credentials/openai.enc "GET /bots/0xabc/credentials/openai.enc HTTP/1.1" 403 AccessDenied 243 - 9 - "-" "curl/8" - h - c - x TLSv1.3
`
	for r, err := range audit.Read(strings.NewReader(text), nil) {
		var malformed *audit.ParseError
		switch {
		case errors.As(err, &malformed):
			fmt.Println(malformed)
		case err != nil:
			log.Fatal(err)
		case r.Denied:
			fmt.Printf("%s %s %s of %s by %q from %s\n", r.Time.Format("15:04:05"), r.Verb, r.Name, r.Tenant, r.Principal, r.Address)
		}
	}
	// Output:
	// s3 log, line 2: the time is malformed
	// 00:00:39 read openai of 0xabc by "" from 192.0.2.9
}

// The dialect of a log is known from its first lines.
func ExampleDetect() {
	fmt.Println(audit.Detect([]byte(`{"Records":[{"eventVersion":"1.11"`)))
	fmt.Printf("%q\n", audit.Detect([]byte("no log")))
	// Output:
	// cloudtrail
	// ""
}
