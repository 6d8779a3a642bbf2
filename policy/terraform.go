package policy

import (
	"bytes"
	"fmt"
	"strings"
)

// A Terraform writes a Terraform configuration file. The zero value is ready to use.
type Terraform struct {
	b      bytes.Buffer
	depth  int
	remark string
}

// Bytes returns the file.
func (t *Terraform) Bytes() []byte { return t.b.Bytes() }

// Comment writes a comment of one line.
func (t *Terraform) Comment(text string) { fmt.Fprintf(&t.b, "# %s\n", text) }

// Remark writes a comment directly above the next block.
func (t *Terraform) Remark(text string) { t.remark = "# " + text + "\n" }

// Resource writes a resource block. It calls fill to write the attributes.
func (t *Terraform) Resource(kind, label string, fill func()) {
	t.block(fmt.Sprintf("resource %q %q", kind, label), fill)
}

// Variable writes a variable block. It calls fill to write the attributes.
func (t *Terraform) Variable(name string, fill func()) {
	t.block(fmt.Sprintf("variable %q", name), fill)
}

func (t *Terraform) block(head string, fill func()) {
	if t.b.Len() > 0 {
		t.b.WriteByte('\n')
	}
	t.b.WriteString(t.remark)
	t.remark = ""
	t.Nested(head, fill)
}

// Nested writes a block inside another block. It calls fill to write the attributes.
func (t *Terraform) Nested(name string, fill func()) {
	indent := strings.Repeat("  ", t.depth)
	fmt.Fprintf(&t.b, "%s%s {\n", indent, name)
	t.depth++
	fill()
	t.depth--
	fmt.Fprintf(&t.b, "%s}\n", indent)
}

// Set writes an attribute. The expression is HCL, for example the result of [Quoted].
func (t *Terraform) Set(name, expression string) {
	indent := strings.Repeat("  ", t.depth)
	fmt.Fprintf(&t.b, "%s%s = %s\n", indent, name, strings.ReplaceAll(expression, "\n", "\n"+indent))
}

// Quoted returns v as an HCL expression. JSON is valid HCL except for ${ and %{, which
// Terraform would interpolate.
func Quoted[T string | []string](v T) string { return escaped(string(Compact(v))) }

// Encoded returns a policy as an expression of HCL, the language of Terraform: a call of
// jsonencode.
func Encoded(policy any) string {
	return "jsonencode(" + escaped(strings.TrimSuffix(string(Indented(policy)), "\n")) + ")"
}

func escaped(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s)
}

// Label returns the label of a tenant's resources in Terraform. It is a valid identifier and
// differs for each tenant.
func Label(tenant string) string {
	var b strings.Builder
	b.WriteString("tenant_")
	for _, c := range []byte(tenant) {
		if c == '.' || c == '_' {
			fmt.Fprintf(&b, "_%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
