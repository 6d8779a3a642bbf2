package costest

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"sort"
	"time"
)

// A bucket is its objects, uploads and settings.
type bucket struct {
	name       string
	created    time.Time
	versioning string                // "": never versioned
	objects    map[string][]*version // newest first
	sorted     []string              // the keys of objects, nil if it must be made anew
	uploads    map[string]*upload
	initiated  int               // uploads so far
	config     map[string][]byte // documents by the parameter that sets them
	acl        acl
	newID      func() string // of a version
}

// A version is one content of a key, or a delete marker.
type version struct {
	id         string // "" if the bucket was never versioned, "null" if it was not when written
	marker     bool
	data       data
	etag       string
	crc        uint64
	modified   time.Time
	header     http.Header
	class      string
	encryption string // at rest: AES256, or ""
	acl        acl
	tags       []tag
	replaced   *version // what lists show as long as they lag behind
}

// newVersionID is opaque: the documents' samples have neither +, nor / or =, and base64 may.
func (s *Server) newVersionID() string {
	if s.unsure("version-id") == "base64" {
		b := make([]byte, 20)
		rand.Read(b)
		b[0], b[1], b[2] = 0xfb, 0xef, 0xff // ++//
		return base64.StdEncoding.EncodeToString(b)
	}
	return newID()
}

// keys returns the keys in the order of their bytes.
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

// latest returns the current version of a key, which may be a marker, or nil.
func (b *bucket) latest(key string) *version {
	if all := b.objects[key]; len(all) > 0 {
		return all[0]
	}
	return nil
}

// exists reports whether a plain get would find the key.
func (b *bucket) exists(key string) bool {
	v := b.latest(key)
	return v != nil && !v.marker
}

// find returns the version that a request names, or the current one.
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

// dropVersion removes one version and returns it, nil if there is none.
func (b *bucket) dropVersion(key, id string) *version {
	all := b.objects[key]
	i := slices.IndexFunc(all, func(v *version) bool { return v.id == id || v.id == "" && id == "null" })
	if i < 0 {
		return nil
	}
	v := all[i]
	// A new array: an answer may still be reading the old one.
	if all = slices.Concat(all[:i], all[i+1:]); len(all) == 0 {
		delete(b.objects, key)
		b.sorted = nil
	} else {
		b.objects[key] = all
	}
	return v
}

// A removal is what a delete did.
type removal struct {
	marker  bool   // a delete marker was made or removed
	version string // its id, or that of the version that was named
}

// remove does what DELETE does: removes the version that is named, or puts a marker on
// top, or, in a bucket that was never versioned, removes the object.
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

// setVersioning switches the state; there is no way back to never versioned.
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

// setVersionHeader tells the version of an answer. PUT tells it in a versioned bucket
// only; a complete also tells null where versioning is suspended.
func (b *bucket) setVersionHeader(h http.Header, v *version, complete bool) {
	if b.versioning == "Enabled" || b.versioning == "Suspended" && complete {
		h.Set("X-Cos-Version-Id", v.id)
	}
}

var errNoSuchKey = failure(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
