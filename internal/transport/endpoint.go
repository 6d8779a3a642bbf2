package transport

import (
	"fmt"
	"net/url"

	"github.com/objectvault/objectvault/internal/loopback"
)

// CheckEndpoint refuses text that is not the URL of a server, and plain http to another
// machine unless insecure allows it. An empty text is fine. param is what the user calls it,
// and example what it looks like. The error does not repeat the URL, which may hold a
// password.
func CheckEndpoint(param, text, example string, insecure bool) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%s is not a URL such as %s", param, example)
	}
	if u.Scheme == "http" && !insecure && !loopback.Host(u.Hostname()) {
		return fmt.Errorf("%s is plain http, which shows credentials to the network: use https, or insecure=true", param)
	}
	return nil
}
