package costest

import (
	"encoding/xml"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tag struct {
	Key   string
	Value string
}

type taggingXML struct {
	XMLName xml.Name `xml:"Tagging"`
	Tags    []tag    `xml:"TagSet>Tag"`
}

var errInvalidTag = failure(http.StatusBadRequest, "InvalidTag", "The tag provided was not a valid tag.")

// checkTags checks tags against the limits for objects (436/35709) or buckets.
func checkTags(tags []tag, most int) error {
	seen := make(map[string]bool)
	valid := func(s string, most int) bool {
		return utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" +-_=.:/", r)
		})
	}
	for _, t := range tags {
		if t.Key == "" || !valid(t.Key, 128) || !valid(t.Value, 256) || seen[t.Key] {
			return errInvalidTag
		}
		seen[t.Key] = true
	}
	if len(tags) > most {
		return errInvalidTag
	}
	return nil
}

// parseTagHeader parses x-cos-tagging: k=v&k2=v2, URL-encoded.
func parseTagHeader(text string) ([]tag, error) {
	q, err := parseQuery(text)
	if err != nil {
		return nil, errInvalidTag
	}
	var tags []tag
	for _, p := range q {
		tags = append(tags, tag{p.name, p.value})
	}
	return tags, checkTags(tags, 10)
}

// getTagging handles GET ?tagging of an object.
func (x *exchange) getTagging() error {
	x.s.mu.Lock()
	v, err := x.currentBucket().find(x.key, x.query.get("versionId"))
	var tags []tag
	if err == nil {
		tags = v.tags
	}
	x.s.mu.Unlock()
	if err != nil {
		return err
	}
	if len(tags) == 0 {
		return errNoSuchTagSet
	}
	x.sendXML(http.StatusOK, taggingXML{Tags: tags})
	return nil
}

var errNoSuchTagSet = failure(http.StatusNotFound, "NoSuchTagSet", "The TagSet does not exist.")

// putTagging handles PUT ?tagging of an object.
func (x *exchange) putTagging() error {
	var doc taggingXML
	if err := x.readXML(true, &doc); err != nil {
		return err
	}
	if err := checkTags(doc.Tags, 10); err != nil {
		return err
	}
	return x.setTags(doc.Tags, http.StatusOK)
}

// deleteTagging handles DELETE ?tagging of an object.
func (x *exchange) deleteTagging() error { return x.setTags(nil, http.StatusNoContent) }

func (x *exchange) setTags(tags []tag, status int) error {
	x.s.mu.Lock()
	v, err := x.currentBucket().find(x.key, x.query.get("versionId"))
	if err == nil {
		v.tags = tags
	}
	x.s.mu.Unlock()
	if err != nil {
		return err
	}
	x.out.WriteHeader(status)
	return nil
}
