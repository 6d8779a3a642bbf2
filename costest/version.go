package costest

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"sort"
	"time"
)

// A bucket contains objects, multipart uploads and settings.
type bucket struct {
	name       string
	created    time.Time
	versioning string                // "" means never enabled
	objects    map[string][]*version // newest first
	sorted     []string              // the keys of objects; nil if it must be computed again
	uploads    map[string]*upload
	initiated  int               // number of multipart uploads that were started
	config     map[string][]byte // documents, by the query parameter that sets them
	acl        acl
	newID      func() string // returns a version id
}

// A version is one content of a key, or a delete marker.
type version struct {
	id         string // "" if versioning was never enabled; "null" if it was off when the version was written
	marker     bool
	data       data
	etag       string
	crc        uint64
	modified   time.Time
	header     http.Header
	class      string
	encryption string // at rest: AES256 or ""
	acl        acl
	tags       []tag
	replaced   *version // the version that lists show until the lag has passed
}

// newVersionID returns an opaque id. The ids in the documentation contain no +, / or =, but base64
// may.
func (s *Server) newVersionID() string {
	if s.unsure("version-id") == "base64" {
		b := make([]byte, 20)
		rand.Read(b)
		b[0], b[1], b[2] = 0xfb, 0xef, 0xff // ++// in base64
		return base64.StdEncoding.EncodeToString(b)
	}
	return newID()
}

// keys returns the keys, sorted by their bytes.
func (b *bucket) keys() []string {
	if b.sorted == nil {
		b.sorted = make([]string, 0, len(b.objects))
		for key := range b.objects {
			b.sorted = append(b.sorted, key)
		}
		sort.Strings(b.sorted)
	}
	return b.sorted
}

// latest returns the current version of a key, which may be a delete marker, or nil.
func (b *bucket) latest(key string) *version {
	if all := b.objects[key]; len(all) > 0 {
		return all[0]
	}
	return nil
}

// exists reports whether a get without a version would find the key.
func (b *bucket) exists(key string) bool {
	v := b.latest(key)
	return v != nil && !v.marker
}

// find returns the version with the id, or the current one.
func (b *bucket) find(key, id string) (*version, error) {
	if id == "" {
		v := b.latest(key)
		if v == nil {
			return nil, errNoSuchKey
		}
		if v.marker {
			return v, errNoSuchKey
		}
		return v, nil
	}
	for _, v := range b.objects[key] {
		if v.id == id || v.id == "" && id == "null" {
			if v.marker {
				return v, errNoSuchKey
			}
			return v, nil
		}
	}
	return nil, failure(http.StatusNotFound, "NoSuchVersion", "The specified version does not exist.")
}

// put makes v the current version of key.
func (b *bucket) put(key string, v *version) {
	if len(b.objects[key]) == 0 {
		b.sorted = nil
	}
	switch b.versioning {
	case "":
		b.objects[key] = []*version{v}
		return
	case "Enabled":
		v.id = b.newID()
	case "Suspended":
		v.id = "null"
		b.dropVersion(key, "null")
	}
	b.objects[key] = slices.Insert(b.objects[key], 0, v)
}

// dropVersion removes one version and returns it, or nil if there is none.
func (b *bucket) dropVersion(key, id string) *version {
	all := b.objects[key]
	i := slices.IndexFunc(all, func(v *version) bool { return v.id == id || v.id == "" && id == "null" })
	if i < 0 {
		return nil
	}
	v := all[i]
	// A new array, because a response may still be reading the old one.
	if all = slices.Concat(all[:i], all[i+1:]); len(all) == 0 {
		delete(b.objects, key)
		b.sorted = nil
	} else {
		b.objects[key] = all
	}
	return v
}

// A removal is the result of a delete.
type removal struct {
	marker  bool   // a delete marker was created or removed
	version string // the id of the delete marker, or of the deleted version
}

// remove implements DELETE. With an id, it removes this version. Otherwise, it adds a delete
// marker, or removes the object if versioning was never enabled.
func (b *bucket) remove(key, id string, now time.Time) removal {
	if id != "" {
		v := b.dropVersion(key, id)
		return removal{marker: v != nil && v.marker, version: id}
	}
	if b.versioning == "" {
		if _, ok := b.objects[key]; ok {
			delete(b.objects, key)
			b.sorted = nil
		}
		return removal{}
	}
	v := &version{marker: true, modified: now}
	b.put(key, v)
	return removal{marker: true, version: v.id}
}

// setVersioning sets the state. It can never become "never enabled" again.
func (b *bucket) setVersioning(state string) {
	if b.versioning == "" {
		for _, all := range b.objects {
			for _, v := range all {
				v.id = "null"
			}
		}
	}
	b.versioning = state
}

// setVersionHeader sets the version header of a response. The response to a PUT has it only in a
// versioned bucket. The response to a complete also has it, as null, if versioning is suspended.
func (b *bucket) setVersionHeader(h http.Header, v *version, complete bool) {
	if b.versioning == "Enabled" || b.versioning == "Suspended" && complete {
		h.Set("X-Cos-Version-Id", v.id)
	}
}

var errNoSuchKey = failure(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
