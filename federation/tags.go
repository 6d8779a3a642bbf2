package federation

import (
	"encoding/json"
	"errors"
	"strings"
)

// tagsClaim is the claim that contains session tags. STS reads three forms, and so does this
// package:
//
//	"https://aws.amazon.com/tags": {"principal_tags": {"wallet": ["0xabc"]}}    AWS, nested
//	"https://aws.amazon.com/tags": [{"principal_tags": {"wallet": ["0xabc"]}}]  Ceph
//	"https://aws.amazon.com/tags/principal_tags/wallet": "0xabc"                AWS, flat
//
// A claim with the name of the tag alone is not a session tag: the cloud ignores it.
const tagsClaim = "https://aws.amazon.com/tags"

// flatTagsClaim is the object in which SeaweedFS reads session tags. AWS does not document this
// claim and ignores it, so its tags are ignored here, too.
const flatTagsClaim = tagsClaim + "/principal_tags"

var errTags = errors.New("its claim " + tagsClaim + " is not an object with principal_tags")

func (o object) tags() (map[string][]string, error) {
	tags := make(map[string][]string)
	add := func(key string, from object, name string) error {
		values, err := from.list(name)
		if err == nil {
			tags[key] = append(append([]string{}, tags[key]...), values...)
		}
		return err
	}
	nested, err := o.nestedTags()
	if err != nil {
		return nil, err
	}
	for key := range nested {
		if err := add(key, nested, key); err != nil {
			return nil, err
		}
	}
	for name := range o {
		if key, ok := strings.CutPrefix(name, tagsClaim+"/principal_tags/"); ok {
			if err := add(key, o, name); err != nil {
				return nil, err
			}
		}
	}
	if len(tags) == 0 {
		return nil, nil
	}
	return tags, nil
}

// nestedTags returns the object principal_tags, or nil if there is none.
func (o object) nestedTags() (object, error) {
	claim := o[tagsClaim]
	var list []json.RawMessage
	if json.Unmarshal(claim, &list) == nil && list != nil {
		if len(list) != 1 {
			return nil, errTags
		}
		claim = list[0]
	}
	if claim == nil || string(claim) == "null" {
		return nil, nil
	}
	tags, err := readObject(claim)
	if err != nil {
		return nil, errTags
	}
	principal := tags["principal_tags"]
	if principal == nil || string(principal) == "null" {
		return nil, nil
	}
	nested, err := readObject(principal)
	if err != nil {
		return nil, errTags
	}
	return nested, nil
}
