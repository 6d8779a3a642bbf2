package tencent

import (
	"fmt"
	"strings"
)

// versioning is the body of COS PUT ?versioning (436/19889). Versioning cannot be disabled again.
const versioning = `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`

// strictSignature is the body of COS PUT ?strict-signature (436/53889). With it, a signed request
// cannot be sent to another host or with other parameters.
const strictSignature = `<StrictSignatureConfiguration><Rule><ID>objectvault-sign-all</ID>` +
	`<actionlist><action>*</action></actionlist>` +
	`<headerlist><header>Host</header></headerlist>` +
	`<paramlist><param>all</param></paramlist></Rule></StrictSignatureConfiguration>`

// lifecycle is the body of COS PUT ?lifecycle (436/8280), which replaces the previous configuration.
func (o *Options) lifecycle() string {
	var b strings.Builder
	rule := func(id, rest string) {
		fmt.Fprintf(&b, "<Rule><ID>%s</ID><Filter><Prefix>%s</Prefix></Filter><Status>Enabled</Status>%s</Rule>", id, root, rest)
	}
	b.WriteString("<LifecycleConfiguration>")
	if o.ExpireDays > 0 {
		rest := fmt.Sprintf("<Expiration><Days>%d</Days></Expiration>", o.ExpireDays)
		if o.Versioned {
			rest += fmt.Sprintf("<NoncurrentVersionExpiration><NoncurrentDays>%d</NoncurrentDays></NoncurrentVersionExpiration>", o.ExpireDays)
		}
		rule("objectvault-expire", rest)
		if o.Versioned {
			// COS does not document that a rule with Days removes delete markers without old versions.
			rule("objectvault-delete-markers", "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>")
		}
	}
	rule("objectvault-abort-uploads", "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>")
	b.WriteString("</LifecycleConfiguration>")
	return b.String()
}
