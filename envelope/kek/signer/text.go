package signer

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/objectvault/objectvault/envelope"
)

// textStart is the start of the text that is signed for an object, in every version.
const textStart = "objectvault key v"

// isText reports whether message starts like the text of an object.
func isText(message string) bool { return strings.HasPrefix(message, textStart) }

// text returns what the signer signs for ref. It is part of the format.
func text(ref envelope.Ref, epoch uint32) string {
	id := ref.Context()
	return fmt.Sprintf(textStart+"1\n"+
		"Sign only inside objectvault. This signature is a secret key: whoever has it reads and forges this object.\n"+
		"vault: %s\ntenant: %s\ncollection: %s\nname: %s\nepoch: %d\ncontext: %s",
		ref.Vault, ref.Tenant, ref.Collection, ref.Name, epoch, hex.EncodeToString(id[:]))
}

// signable reports whether each part of ref is one line of the text.
func signable(ref envelope.Ref) bool {
	for _, part := range []string{ref.Vault, ref.Tenant, ref.Collection, ref.Name} {
		if !utf8.ValidString(part) || strings.ContainsFunc(part, unicode.IsControl) {
			return false
		}
	}
	return true
}
