package envelope_test

import (
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
)

// FORMAT.md must contain the values that the code computes.
func TestFormatPage(t *testing.T) {
	b, err := os.ReadFile("../FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	has := func(what, text string) {
		t.Helper()
		if !strings.Contains(page, text) {
			t.Errorf("FORMAT.md has no %s %s", what, text)
		}
	}
	v := find(t, "open-first")
	_, example, _ := strings.Cut(page, "207 bytes:\n\n```\n")
	example, _, _ = strings.Cut(example, "```")
	dump := ""
	for _, m := range regexp.MustCompile(`(?m)^([0-9a-f]{2,})(  |$)`).FindAllStringSubmatch(example, -1) {
		dump += m[1]
	}
	if dump != firstObject {
		t.Errorf("the annotated example is\n%s, want\n%s", dump, firstObject)
	}
	for what, text := range map[string]string{
		"ctx": v.Derived.Ctx, "KEK": v.Derived.Stanzas[0].KEK, "stable": v.Derived.Stable,
		"wrap AAD":    v.Derived.Stanzas[0].WrapAAD[:82] + "\n" + strings.Repeat(" ", 16) + v.Derived.Stanzas[0].WrapAAD[82:],
		"header hash": v.Derived.HeaderHash, "commitment": v.Derived.Commitment,
		"payload key": v.Derived.PayloadKey, "segment key": v.Derived.SegmentKey,
		"meta key": hex.EncodeToString(hkdf256(unhex(v.Inputs.Random[0].Bytes), nil, "ove1 meta", 32)),
		"nonce 0":  v.Derived.FirstNonce, "object key": v.ObjectKey,
	} {
		has(what, text)
		if !regexp.MustCompile(`(?m)^` + what + ` +`).MatchString(page) {
			t.Errorf("FORMAT.md does not contain %s", what)
		}
	}
}
