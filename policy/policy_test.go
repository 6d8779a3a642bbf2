package policy

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	v, err := ParseValue([]byte("{\n \"a\": [1, \"x\", true, null],\n \"b\": {\"c\": \"d\"}\n}"))
	if err != nil {
		t.Fatal(err)
	}
	a, c := v.Get("a"), v.Get("b").Get("c")
	if v.Kind != '{' || len(a.Array) != 4 || a.Line != 2 || a.Array[0].Text != "1" || a.Array[2].Text != "true" || a.Array[3].Kind != 'n' {
		t.Errorf("a is %+v", a)
	}
	if c.Text != "d" || c.Line != 3 || c.End-c.Start != len(`"d"`) || v.Get("d") != nil {
		t.Errorf("c is %+v", c)
	}
	for text, want := range map[string]string{
		"":                    "empty",
		"{\"a\":1,\n\"a\":2}": `line 2: "a" occurs twice`,
		"{} {}":               "not JSON",
		"{\n\n]":              "line 3: it is not JSON",
		"\"\xff\"":            "UTF-8",
		strings.Repeat("[", 40) + strings.Repeat("]", 40): "nested too deeply",
		strings.Repeat(" ", MaxSize) + "1":                "more than",
	} {
		if _, err := ParseValue([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

func TestTexts(t *testing.T) {
	for _, tc := range []struct {
		text    string
		scalars bool
		want    string // the joined texts, or the start of the error
	}{
		{`{"k":"a"}`, false, "a"},
		{`{"k":["a","b"]}`, false, "a b"},
		{`{"k":[true,1]}`, true, "true 1"},
		{`{"k":[true]}`, false, `line 1: "k" is not a string`},
		{`{"k":""}`, false, `line 1: "k" contains an empty string`},
		{`{"k":""}`, true, ""},
		{`{"k":[]}`, true, `line 1: "k" is empty`},
		{`{"k":{}}`, true, `line 1: "k" is not a string`},
	} {
		v, err := ParseValue([]byte(tc.text))
		if err != nil {
			t.Fatal(err)
		}
		list, err := v.Object[0].Texts(tc.scalars)
		got := strings.Join(list, " ")
		if err != nil {
			got = err.Error()
		}
		if got != tc.want && (err == nil || !strings.HasPrefix(got, tc.want)) {
			t.Errorf("%s: %q, want %q", tc.text, got, tc.want)
		}
	}
}

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{
		"%7B%22a%22%3A1%2B1%7D": `{"a":1+1}`, "{%7B}": "{%7B}", "%0A%7B+%7D": "\n{+}", "": "",
	} {
		if got, err := Unescape(text); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if _, err := Unescape("%7B%"); err == nil {
		t.Error("text that is not URL-encoded was decoded")
	}
}

func TestTerraform(t *testing.T) {
	var f Terraform
	f.Comment("read this")
	f.Variable("v", func() { f.Set("type", "string") })
	f.Remark("import it")
	f.Resource("kind", Label("a.b_c"), func() {
		f.Set("text", Quoted(`${x} %{y} <&"`))
		f.Set("list", Quoted([]string{"a", "${b}"}))
		f.Nested("inner", func() { f.Set("policy", Encoded(map[string]string{"a": "${b}"})) })
	})
	const want = `# read this

variable "v" {
  type = string
}

# import it
resource "kind" "tenant_a_2eb_5fc" {
  text = "$${x} %%{y} <&\""
  list = ["a","$${b}"]
  inner {
    policy = jsonencode({
      "a": "$${b}"
    })
  }
}
`
	if got := string(f.Bytes()); got != want {
		t.Errorf("got\n%s", got)
	}
}
