package aws

import (
	"slices"
	"strings"
)

// tagsOf returns the tags that may name the tenant, the most probable first: the tags that occur in
// prefixes or in conditions for prefixes, or else the tags in any statement that allows. The result
// is never empty; "" means any tag.
func tagsOf(docs []Document, buckets []string) []string {
	var prefixes, mentioned []string
	add := func(list *[]string, tag string) {
		if tag != "" && !slices.Contains(*list, tag) {
			*list = append(*list, tag)
		}
	}
	for _, d := range docs {
		for _, s := range d.Policy.Statement {
			if s.Effect != "Allow" {
				continue
			}
			patterns := patternsOf(s, buckets)
			written := slices.ContainsFunc(patterns, func(p []token) bool {
				r, _ := reachOf(p, "", true)
				return r == oneTenant
			})
			for _, p := range patterns {
				add(&prefixes, tagOf(p))
			}
			for _, cond := range conditions(s) {
				tag, isTag := strings.CutPrefix(cond.Key, principalTag)
				if isTag && written && exact(cond) {
					add(&prefixes, tag)
				}
				if requested, ok := strings.CutPrefix(cond.Key, requestTag); ok {
					tag, isTag = requested, true
				}
				if isTag {
					add(&mentioned, tag)
				}
				if cond.Key == tagKeys && len(cond.Values) == 1 && cond.Set == "ForAnyValue" {
					add(&mentioned, strings.ToLower(cond.Values[0]))
				}
			}
		}
	}
	switch {
	case prefixes != nil:
		return prefixes
	case mentioned != nil:
		return mentioned
	}
	return []string{""}
}

// patternsOf returns the patterns of keys, and of prefixes of lists, in the buckets.
func patternsOf(s Statement, buckets []string) [][]token {
	var all [][]token
	applies := false
	for _, r := range s.Resource {
		res, ok := parseResource(r, buckets)
		if applies = applies || ok; ok && res.object {
			all = append(all, tokens(res.key, true))
		}
	}
	for _, cond := range conditions(s) {
		if cond.Key != "s3:prefix" || !applies {
			continue
		}
		for _, v := range cond.Values {
			all = append(all, tokens(v, wild(cond)))
		}
	}
	return all
}

// tagOf returns the tag of bots/${aws:PrincipalTag/TAG}, or "".
func tagOf(list []token) string {
	if len(list) < 2 || list[0] != (token{'l', root}) || list[1].kind != '$' || !isTag(list[1].text, "") {
		return ""
	}
	return strings.TrimPrefix(strings.ToLower(list[1].text), principalTag)
}
