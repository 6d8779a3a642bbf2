package federation

import (
	"encoding/json"
	"errors"
	"strings"
)

// tagsClaim is where a token carries its session tags. STS reads three forms, and so do we:
//
//	"https://aws.amazon.com/tags": {"principal_tags": {"wallet": ["0xabc"]}}    AWS, nested
//	"https://aws.amazon.com/tags": [{"principal_tags": {"wallet": ["0xabc"]}}]  Ceph
//	"https://aws.amazon.com/tags/principal_tags/wallet": "0xabc"                AWS, flat
//
// A claim of the tag's name alone is none: the cloud would not make a tag of it.
const tagsClaim = "https://aws.amazon.com/tags"

// flatTagsClaim is where SeaweedFS reads session tags, from an object. AWS documents no such
// claim and would not make tags of it, so its tags are none here either.
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

// nestedTags returns the object principal_tags; nil means that there is none.
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
