package vault

import (
	"fmt"
	"strings"
	"unicode"
)

// The rules for new names are stricter than those for existing ones: an object whose name was
// accepted by an earlier version can still be read, listed and removed.

// ParseNewName checks the name of an object that will be stored. It rejects what [ParseName]
// rejects, and also characters that make two names look alike. These are a blank at the start or
// end of a segment, and invisible characters, such as the zero width space, the word joiner, the
// byte order mark, the soft hyphen and the Hangul fillers. [Vault.Put], [Vault.Rollback] and
// [Vault.Undelete] reject the same names.
//
// U+200C and U+200D, the zero width non-joiner and joiner, are part of the spelling in some
// scripts. They are accepted between two letters if both letters belong to the same script, and
// this script is one of them. Combining marks in between are skipped. The variation selectors of
// Mongolian are accepted after a Mongolian letter. The vowel separator of Mongolian is accepted
// between two Mongolian letters, the first of which may have a variation selector.
func ParseNewName(s string) (Name, error) {
	n, err := ParseName(s)
	if err == nil {
		err = n.checkNew()
	}
	if err != nil {
		return "", err
	}
	return n, nil
}

// checkNew returns an error for a name that [ParseName] accepts but that may not be used for a
// new object.
func (n Name) checkNew() error {
	runes := []rune(string(n))
	for i, r := range runes {
		if isInvisible(r) && !isSpelling(runes, i) {
			return fmt.Errorf("%w: %q contains the invisible character %U", ErrInvalidName, string(n), r)
		}
	}
	for segment := range strings.SplitSeq(string(n), "/") {
		if strings.TrimFunc(segment, isBlank) != segment {
			return fmt.Errorf("%w: %q has a blank at the start or end", ErrInvalidName, string(n))
		}
	}
	return nil
}

// isInvisible reports whether r is not visible. These are the characters with the property
// Default_Ignorable_Code_Point, as DerivedCoreProperties.txt derives it, which UTS #39 (Unicode
// Security Mechanisms, Identifier_Type) excludes from identifiers, and the interlinear
// annotation characters. Visible format characters are not included: prepended concatenation
// marks and the controls of Egyptian hieroglyphs.
func isInvisible(r rune) bool {
	switch {
	case unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return true
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r), 0x13430 <= r && r <= 0x1345F:
		return false
	}
	return unicode.Is(unicode.Cf, r)
}

// isBlank reports whether r looks like a space: White_Space, and the Braille cell without dots.
func isBlank(r rune) bool { return unicode.IsSpace(r) || r == 0x2800 }

// isSpelling reports whether the invisible character at i is part of the spelling of a word.
// For the joiners the rule follows UAX #31 (Unicode Identifiers and Syntax), rules A1, A2 and
// B: they matter where letters connect, or where a virama forms a conjunct. Unlike UAX #31,
// isSpelling does not check the shaping classes of the letters.
func isSpelling(runes []rune, i int) bool {
	switch r := runes[i]; {
	case r == 0x200C || r == 0x200D: // zero width non-joiner, zero width joiner
		before := letter(runes, i, -1)
		after := letter(runes, i, +1)
		for _, script := range joiningScripts {
			if unicode.Is(script, before) && unicode.Is(script, after) {
				return true
			}
		}
	case 0x180B <= r && r <= 0x180D || r == 0x180F: // free variation selectors
		return i > 0 && isMongolian(runes[i-1])
	case r == 0x180E: // vowel separator
		return i > 0 && i+1 < len(runes) && (isMongolian(runes[i-1]) || isSpelling(runes, i-1)) && isMongolian(runes[i+1])
	}
	return false
}

func isMongolian(r rune) bool { return unicode.IsLetter(r) && unicode.Is(unicode.Mongolian, r) }

// letter returns the next letter from i in the direction of step, skipping combining marks, or
// 0 if another character comes first.
func letter(runes []rune, i, step int) rune {
	for i += step; i >= 0 && i < len(runes); i += step {
		switch r := runes[i]; {
		case unicode.IsLetter(r):
			return r
		case !unicode.IsMark(r) || isInvisible(r):
			return 0
		}
	}
	return 0
}

// joiningScripts are the scripts whose letters join, by ArabicShaping.txt, and those that form
// conjuncts or stacks, by the values Virama and Invisible_Stacker of IndicSyllabicCategory.txt:
// Arabic and related scripts, and the Brahmic scripts.
var joiningScripts = []*unicode.RangeTable{
	unicode.Adlam, unicode.Arabic, unicode.Chorasmian, unicode.Hanifi_Rohingya, unicode.Mandaic, unicode.Manichaean,
	unicode.Mongolian, unicode.Nko, unicode.Old_Uyghur, unicode.Phags_Pa, unicode.Psalter_Pahlavi, unicode.Sogdian, unicode.Syriac,

	unicode.Ahom, unicode.Balinese, unicode.Batak, unicode.Bengali, unicode.Bhaiksuki, unicode.Brahmi, unicode.Buginese, unicode.Buhid,
	unicode.Chakma, unicode.Cham, unicode.Devanagari, unicode.Dives_Akuru, unicode.Dogra, unicode.Grantha, unicode.Gujarati,
	unicode.Gunjala_Gondi, unicode.Gurmukhi, unicode.Hanunoo, unicode.Javanese, unicode.Kaithi, unicode.Kannada, unicode.Kawi,
	unicode.Kharoshthi, unicode.Khmer, unicode.Khojki, unicode.Khudawadi, unicode.Lepcha, unicode.Limbu, unicode.Mahajani, unicode.Makasar,
	unicode.Malayalam, unicode.Marchen, unicode.Masaram_Gondi, unicode.Meetei_Mayek, unicode.Modi, unicode.Multani, unicode.Myanmar,
	unicode.Nandinagari, unicode.Newa, unicode.Oriya, unicode.Rejang, unicode.Saurashtra, unicode.Sharada, unicode.Siddham,
	unicode.Sinhala, unicode.Soyombo, unicode.Sundanese, unicode.Syloti_Nagri, unicode.Tagalog, unicode.Tagbanwa, unicode.Tai_Tham,
	unicode.Takri, unicode.Tamil, unicode.Telugu, unicode.Tibetan, unicode.Tirhuta, unicode.Zanabazar_Square,
}
