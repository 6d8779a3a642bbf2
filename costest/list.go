package costest

import (
	"encoding/xml"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxPage is the maximum number of entries in a list, and of keys in a multi-delete.
const maxPage = 1000

// A page contains the parameters that all lists have.
type page struct {
	prefix, delimiter string
	max               int
	encoded           bool
}

func (x *exchange) page(maxName string) (page, error) {
	p := page{prefix: x.query.get("prefix"), delimiter: x.query.get("delimiter"), max: maxPage}
	if utf8.RuneCountInString(p.delimiter) > 1 {
		return page{}, failure(http.StatusBadRequest, "InvalidDelimiter", "The delimiter must be one character.")
	}
	switch v := x.query.get("encoding-type"); v {
	case "":
	case "url":
		p.encoded = true
	default:
		return page{}, invalidArgument("Invalid Encoding Method specified in Request")
	}
	if v := x.query.get(maxName); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return page{}, invalidArgument("%s is not valid.", maxName)
		}
		p.max = min(n, maxPage)
	}
	return p, nil
}

// encoding returns the EncodingType for the response.
func (p page) encoding() string {
	if p.encoded {
		return "url"
	}
	return ""
}

// show returns a key as it is written in the response.
func (p page) show(s string) string {
	if p.encoded {
		return encode(s, "/")
	}
	return s
}

// group returns the common prefix of a key, or "".
func (p page) group(key string) string {
	if p.delimiter == "" {
		return ""
	}
	before, _, found := strings.Cut(key[len(p.prefix):], p.delimiter)
	if !found {
		return ""
	}
	return p.prefix + before + p.delimiter
}

// matching returns the keys with the prefix that are equal to marker or after it.
func (p page) matching(keys []string, marker string) []string {
	from := sort.SearchStrings(keys, max(p.prefix, marker))
	to := from
	for to < len(keys) && strings.HasPrefix(keys[to], p.prefix) {
		to++
	}
	return keys[from:to]
}

// skips reports whether a marker that is a common prefix covers a key.
func (p page) skips(marker, group string) bool { return group != "" && marker == group }

type prefixXML struct{ Prefix string }

type ownerXML struct {
	ID          string
	DisplayName string
}

func (s *Server) owner() ownerXML { return ownerXML{s.appid, s.appid} }

type contentXML struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	Owner        ownerXML
	StorageClass string
}

type listXML struct {
	XMLName        xml.Name `xml:"ListBucketResult"`
	Name           string
	EncodingType   string `xml:",omitempty"`
	Prefix         string
	Marker         string
	MaxKeys        int
	Delimiter      string `xml:",omitempty"`
	IsTruncated    bool
	NextMarker     string `xml:",omitempty"`
	CommonPrefixes []prefixXML
	Contents       []contentXML
}

// listObjects handles GET Bucket. Only version 1 is implemented.
func (x *exchange) listObjects() error {
	p, err := x.page("max-keys")
	if err != nil {
		return err
	}
	marker := x.query.get("marker")
	out := listXML{
		Name: x.bucket, EncodingType: p.encoding(), Prefix: p.show(p.prefix), Marker: p.show(marker),
		MaxKeys: p.max, Delimiter: p.show(p.delimiter),
	}
	x.s.mu.Lock()
	defer x.unlockAndSend(&out)
	b := x.currentBucket()
	last, group, n := "", "", 0
	for _, key := range p.matching(b.keys(), marker) {
		v := x.s.listed(b.objects[key])
		if v == nil || v.marker || key <= marker {
			continue
		}
		g := p.group(key)
		if p.skips(marker, g) || g != "" && g == group {
			continue
		}
		if n == p.max {
			out.IsTruncated = n > 0
			out.NextMarker = p.show(last)
			break
		}
		n++
		if group = g; g != "" {
			last = g
			out.CommonPrefixes = append(out.CommonPrefixes, prefixXML{p.show(g)})
			continue
		}
		last = key
		out.Contents = append(out.Contents, contentXML{
			p.show(key), listTime(v.modified), v.etag, v.data.size, x.s.owner(), v.class,
		})
	}
	return nil
}

// unlockAndSend unlocks the buckets before it sends a list, because the client may be slow.
func (x *exchange) unlockAndSend(list any) {
	x.s.mu.Unlock()
	x.out.Header().Set("X-Cos-Bucket-Region", x.s.o.Region)
	x.sendXML(http.StatusOK, list)
}

// listed returns the version of a key that a list shows: one that is old enough, or the version
// that it replaced.
func (s *Server) listed(all []*version) *version {
	for _, v := range all {
		if s.old(v.modified) {
			return v
		}
		if v.replaced != nil {
			return v.replaced
		}
	}
	return nil
}

func (s *Server) old(t time.Time) bool {
	return s.o.ListLag == 0 || !s.o.Now().Before(t.Add(s.o.ListLag))
}

// listTime returns a time as lists show it: rounded to seconds, but written with milliseconds.
func listTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") + ".000Z" }

type versionXML struct {
	XMLName      xml.Name // Version or DeleteMarker
	Key          string
	VersionID    string `xml:"VersionId"`
	IsLatest     bool
	LastModified string
	ETag         string `xml:",omitempty"`
	Size         *int64 `xml:",omitempty"`
	StorageClass string `xml:",omitempty"`
	Owner        ownerXML
}

type listVersionsXML struct {
	XMLName             xml.Name `xml:"ListVersionsResult"`
	EncodingType        string   `xml:",omitempty"`
	Name                string
	Prefix              string
	KeyMarker           string
	VersionIDMarker     string `xml:"VersionIdMarker"`
	MaxKeys             int
	IsTruncated         bool
	NextKeyMarker       *string
	NextVersionIDMarker *string `xml:"NextVersionIdMarker"`
	Delimiter           string  `xml:",omitempty"`
	CommonPrefixes      []prefixXML
	Versions            []versionXML
}

// listVersions handles GET ?versions. The versions of a key are sorted from new to old.
func (x *exchange) listVersions() error {
	p, err := x.page("max-keys")
	if err != nil {
		return err
	}
	keyMarker, idMarker := x.query.get("key-marker"), x.query.get("version-id-marker")
	if idMarker != "" && keyMarker == "" {
		return invalidArgument("A version-id marker cannot be specified without a key marker.")
	}
	out := listVersionsXML{
		EncodingType: p.encoding(), Name: x.bucket, Prefix: p.show(p.prefix), KeyMarker: p.show(keyMarker),
		VersionIDMarker: idMarker, MaxKeys: p.max, Delimiter: p.show(p.delimiter),
	}
	x.s.mu.Lock()
	defer x.unlockAndSend(&out)
	b := x.currentBucket()
	lastKey, lastID, group, n := "", "", "", 0
	full := func() bool {
		if n < p.max {
			n++
			return false
		}
		if n > 0 {
			key, id := p.show(lastKey), lastID
			out.IsTruncated, out.NextKeyMarker, out.NextVersionIDMarker = true, &key, &id
		}
		return true
	}
	for _, key := range p.matching(b.keys(), keyMarker) {
		if x.s.listed(b.objects[key]) == nil {
			continue
		}
		g := p.group(key)
		if p.skips(keyMarker, g) || g != "" && g == group {
			continue
		}
		after := key > keyMarker // otherwise, start after the version in the marker
		if !after && (idMarker == "" || g != "") {
			continue
		}
		if !after && !slices.ContainsFunc(b.objects[key], func(v *version) bool { return v.id == idMarker }) {
			after = true // the version in the marker was deleted, so all remaining ones were after it
		}
		if group = g; g != "" && after {
			if full() {
				return nil
			}
			lastKey, lastID = g, ""
			out.CommonPrefixes = append(out.CommonPrefixes, prefixXML{p.show(g)})
			continue
		}
		latest := true
		for _, v := range b.objects[key] {
			if !x.s.old(v.modified) {
				if v.replaced == nil {
					continue
				}
				v = v.replaced
			}
			isLatest := latest
			latest = false
			if !after {
				after = v.id == idMarker
				continue
			}
			if full() {
				return nil
			}
			lastKey, lastID = key, v.id
			e := versionXML{
				XMLName: xml.Name{Local: "DeleteMarker"}, Key: p.show(key), VersionID: v.id, IsLatest: isLatest,
				LastModified: listTime(v.modified), Owner: x.s.owner(),
			}
			if !v.marker {
				size := v.data.size
				e.XMLName.Local, e.ETag, e.Size, e.StorageClass = "Version", v.etag, &size, v.class
			}
			out.Versions = append(out.Versions, e)
		}
	}
	return nil
}
