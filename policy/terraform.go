package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// A Terraform writes a file of blocks, their attributes indented. The zero value is ready
// to use.
type Terraform struct {
	b      bytes.Buffer
	depth  int
	remark string
}

// Bytes is what was written.
func (t *Terraform) Bytes() []byte { return t.b.Bytes() }

// Comment writes a line for the reader.
func (t *Terraform) Comment(text string) { fmt.Fprintf(&t.b, "# %s\n", text) }

// Remark is a comment right above the next block.
func (t *Terraform) Remark(text string) { t.remark = "# " + text + "\n" }

// Resource writes a resource, whose attributes fill sets.
func (t *Terraform) Resource(kind, label string, fill func()) {
	t.block(fmt.Sprintf("resource %q %q", kind, label), fill)
}

// Variable writes a variable.
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

// Nested writes a block inside another one.
func (t *Terraform) Nested(name string, fill func()) {
	indent := strings.Repeat("  ", t.depth)
	fmt.Fprintf(&t.b, "%s%s {\n", indent, name)
	t.depth++
	fill()
	t.depth--
	fmt.Fprintf(&t.b, "%s}\n", indent)
}

// Set writes an attribute. The expression is HCL, such as what [Quoted] returns.
func (t *Terraform) Set(name, expression string) {
	indent := strings.Repeat("  ", t.depth)
	fmt.Fprintf(&t.b, "%s%s = %s\n", indent, name, strings.ReplaceAll(expression, "\n", "\n"+indent))
}

// Quoted is a string, or a list of them, as an expression: what JSON writes is one, but
// for ${ and %{, which Terraform would fill in.
func Quoted[T string | []string](v T) string { return escaped(string(Compact(v))) }

// Encoded is a policy as an expression.
func Encoded(policy any) string {
	var b bytes.Buffer
	_ = json.Indent(&b, Compact(policy), "", "  ") // Compact returns JSON
	return "jsonencode(" + escaped(b.String()) + ")"
}

func escaped(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s)
}

// Label is the name of a tenant's resources: an identifier, which no other tenant has.
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
