package transport

import (
	"fmt"
	"net/url"

	"github.com/objectvault/objectvault/internal/loopback"
)

// CheckEndpoint returns an error if text is not the URL of a server, or if it is plain http to
// another machine and insecure is false. An empty text is valid. The error contains param, the
// user's name for the value, and example. It does not contain the URL, which may contain a
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
