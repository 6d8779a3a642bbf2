package tencent_test

import (
	"errors"
	"testing"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/vault"
)

// TestForeignSettings: the response of a server that is not COS is never used as a setting of the
// bucket. For example, an empty 200 is not a document, and a web page is not a denial.
func TestForeignSettings(t *testing.T) {
	s := newServer(t, nil)
	st := open(t, config(s, owner(s)))
	for _, fault := range []*costest.Fault{costest.RespondBefore(200, ""), costest.RespondBefore(200, "<html>please log in</html>")} {
		s.SetRule(func(*costest.Request) *costest.Fault { return fault })
		for _, setting := range st.Cloud.Settings(t.Context()) {
			var cause *vault.Cause
			switch setting.Name {
			case "versioning", "lifecycle", "acl":
				if !errors.As(setting.Err, &cause) || cause.Reason != vault.ForeignResponse {
					t.Errorf("%s: %q, %v", setting.Name, setting.Document, setting.Err)
				}
			}
		}
	}
}
