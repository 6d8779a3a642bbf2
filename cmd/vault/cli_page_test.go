package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "write docs/cli.md")

// TestReferencePage compares docs/cli.md with the commands, flags and exit codes of the program. "go
// test ./cmd/vault -run TestReferencePage -update" writes the page.
func TestReferencePage(t *testing.T) {
	const name = "../../docs/cli.md"
	want := referencePage()
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is out of date; update it with: go test ./cmd/vault -run TestReferencePage -update", name)
	}
}

const referenceIntro = "# The command `vault`\n\n" +
	"This page is generated from the command; `vault help COMMAND` prints the same text. Flags may stand\n" +
	"before or after arguments. A flag overrides the environment variable, which overrides the profile.\n\n" +
	"On a terminal, what needs attention in the output of `audit`, `doctor`, `ls` and `policy check` is bold\n" +
	"or red. `NO_COLOR` (any value that is not empty) or `TERM=dumb` turns this off. `CLICOLOR_FORCE` (any\n" +
	"value except 0) turns it on for a pipe or a file. `--json` never has it.\n\n"

const referenceProfiles = "## Profiles\n\n" +
	"The configuration file is `~/.config/objectvault/config.toml`, or the file that `--config` or\n" +
	"`OBJECTVAULT_CONFIG` names. `profile` selects the profile that is used without `--profile`.\n\n" +
	"```toml\n" +
	"profile = \"dev\"\n\n" +
	"[profiles.dev]\n" +
	"store  = \"file:///srv/vault?versions=32\"\n" +
	"tenant = \"0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a\"\n\n" +
	"[profiles.agent]                      # an agent that may read two credentials\n" +
	"store     = \"s3://vault-111122223333?region=us-east-1&role=arn:aws:iam::111122223333:role/agents\"\n" +
	"identity  = \"file:/run/token\"\n" +
	"scope     = [\"openrouter\", \"anthropic\"] # the only names that may be used\n" +
	"read_only = true\n" +
	"deadline  = \"2m\"\n" +
	"```\n\n" +
	"`mirrors` and `quorum` are for a profile with several stores ([copies](copies.md#mirrors)).\n" +
	"The other keys are `collection`, `keys` (a URL or a list of URLs), `keys_required` (`\"all\"`, or\n" +
	"`\"one\"` if a put may succeed although some of the keys cannot be used), `vault_id`, `spool`,\n" +
	"`seen` and `write` ([agentKeys](agentkeys.md#writing-them)). An unknown key is an error.\n\n"

// referencePage renders the page.
func referencePage() []byte {
	app := testApp()
	var b bytes.Buffer
	b.WriteString(referenceIntro)
	var each func(commands []*cli.Command, prefix string)
	each = func(commands []*cli.Command, prefix string) {
		for _, c := range commands {
			fmt.Fprintf(&b, "## vault %s%s\n\n%s.\n\n```\n%s\n```\n\n", prefix, c.Name, sentence(c.Usage), c.UsageText)
			if text := strings.TrimSpace(c.Description); text != "" {
				fmt.Fprintf(&b, "```text\n%s\n```\n\n", text)
			}
			writeFlags(&b, c.Flags, false)
			each(c.Subcommands, prefix+c.Name+" ")
		}
	}
	each(app.Commands, "")
	b.WriteString("## Flags of all commands\n\n")
	writeFlags(&b, commonFlags(), true)
	b.WriteString(referenceProfiles)
	b.WriteString("## Names\n\n```text\n" + namesHelp + "```\n\n")
	b.WriteString("## Exit codes\n\n| code | kind | meaning |\n|---|---|---|\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&b, "| %d | %s | %s |\n", c.code, c.kinds, c.meaning)
	}
	return b.Bytes()
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// writeFlags writes a table of the flags that all commands have, or of the other flags.
func writeFlags(b *bytes.Buffer, flags []cli.Flag, common bool) {
	var rows []string
	for _, f := range flags {
		if c, ok := f.(cli.CategorizableFlag); !ok || (c.GetCategory() != "") != common {
			continue
		}
		if f.Names()[0] == "help" {
			continue
		}
		name, usage, _ := strings.Cut(f.String(), "\t")
		rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", strings.ReplaceAll(name, "|", `\|`), strings.ReplaceAll(usage, "|", `\|`)))
	}
	if len(rows) > 0 {
		b.WriteString("| flag | |\n|---|---|\n" + strings.Join(rows, "") + "\n")
	}
}
