package capabilities

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/conformance/probe"
)

const intro = `# What each store supports

` + "`make capabilities`" + ` generates this page from runs of the conformance suite; CI fails if it is out of date.
Each row is a clause of the contract of package ` + "`vault`" + `. Each column is a provider with one server
and one configuration of the bucket.

- **yes**: supported in this run.
- **no**: not supported. The run expects this deviation, and the notes give the reason.
- **–**: not claimed. The provider does not promise the clause, the store does not have the feature, or
  another column tests it.

The servers ran on one machine. costest is this project's test server for Tencent COS and CAM. Its
results do not show how the real cloud behaves. **No column shows a real cloud.**
` + "`make conformance-aws` and `make conformance-tencent`" + ` run the suite on your own bucket.
` + "`vault doctor`" + ` checks a bucket in use.
`

var introductions = map[string]string{
	"memfs": "`mem://` and `file://`.",
	"aws":   "`s3://`. \"As a tenant\": with credentials from a token exchange, under the printed policies.",
	"tencent": "`cos://`. \"As a tenant\": over https, with credentials from a token exchange, under the printed policies. Create-only " +
		"detects a conflict after the write (`create-detects`). With versioning, a reader may briefly see the value of a create that fails. " +
		"If versioning was never enabled, COS itself may accept several concurrent creates, according to a public report " +
		"([tencent.md](tencent.md#what-a-bucket-supports)).",
}

// Render writes the page.
func Render(w io.Writer, columns []Column) error {
	var b strings.Builder
	b.WriteString(intro)
	var providers []string
	for _, c := range columns {
		if !slices.Contains(providers, c.Provider) {
			providers = append(providers, c.Provider)
		}
	}
	for _, p := range providers {
		table(&b, p, slices.DeleteFunc(slices.Clone(columns), func(c Column) bool { return c.Provider != p }))
	}
	b.WriteString("\n## The clauses\n\n")
	for _, p := range probe.All() {
		fmt.Fprintf(&b, "- `%s`: %s\n", p.Clause, p.Doc)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// table writes the columns of one provider, and a note for every deviation.
func table(b *strings.Builder, provider string, columns []Column) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n|", provider, introductions[provider])
	for _, c := range columns {
		fmt.Fprintf(b, " | %s", c.Server)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---", len(columns)) + "|\n")
	var notes []string
	for _, p := range probe.All() {
		fmt.Fprintf(b, "| `%s`", p.Clause)
		for _, c := range columns {
			cell := c.Clauses[p.Clause]
			switch cell.Found {
			case Supported:
				b.WriteString(" | yes")
			case NotSupported:
				n := slices.Index(notes, cell.Reason)
				if n < 0 {
					n = len(notes)
					notes = append(notes, cell.Reason)
				}
				fmt.Fprintf(b, " | **no** (%d)", n+1)
			default:
				b.WriteString(" | –")
			}
		}
		b.WriteString(" |\n")
	}
	if len(notes) > 0 {
		b.WriteString("\n")
	}
	for i, note := range notes {
		fmt.Fprintf(b, "%d. %s\n", i+1, note)
	}
}
