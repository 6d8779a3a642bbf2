package memfs

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/objectvault/objectvault/vault"
)

// What a key may be, and the path of its file. A segment of a key is a file name,
// byte for byte, unless no file system, or not every one, would keep it: then the
// bytes in question are written !XX. Segments longer than a name may be go on in a
// directory whose name ends in the joint.
//
//	a/b.enc        a/b.enc
//	a//b/          a/!/b/!
//	../con/x:y!    .!2E/!63on/x!3Ay!21
const (
	meta    = ".objectvault" // our own directory
	maxKey  = 1024           // bytes, as in S3
	maxName = 255            // bytes of a file name
	nothing = "!"            // an empty segment
	joint   = "!+"           // the segment goes on below
)

// checkKey refuses what cannot be the key of an object.
func checkKey(key string) error {
	first, _, _ := strings.Cut(key, "/")
	switch {
	case key == "":
		return fmt.Errorf("%w: an empty key", vault.ErrInvalidName)
	case len(key) > maxKey:
		return fmt.Errorf("%w: a key of %d bytes, and %d is the most", vault.ErrInvalidName, len(key), maxKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: key %q is not UTF-8", vault.ErrInvalidName, key)
	case strings.EqualFold(first, meta): // in any case: the disk may fold it
		return fmt.Errorf("%w: keys below %s/ belong to the store itself", vault.ErrInvalidName, meta)
	}
	return nil
}

// objectPath is where the object at key lies, relative to the store's directory.
func objectPath(key string) string {
	return joinSegments(key, func(string) bool { return false })
}

// versionsPath is the directory of the superseded contents of key. Below it are
// also those of key/..., which may not look like a version of key.
func versionsPath(key string) string {
	return meta + "/versions/" + joinSegments(key, func(segment string) bool {
		if len(segment) < idLen || len(segment) > idLen && segment[idLen] != '.' {
			return false
		}
		_, like := parseID(segment[:idLen])
		return like
	})
}

func joinSegments(key string, guard func(segment string) bool) string {
	var names []string
	for segment := range strings.SplitSeq(key, "/") {
		names = append(names, segmentPath(segment, guard(segment)))
	}
	return strings.Join(names, "/")
}

// segmentPath is the file name of a segment, or several with slashes between them
// if it is long. guarded escapes the first byte whatever it is.
func segmentPath(segment string, guarded bool) string {
	rest := escape(segment, guarded)
	var names []string
	for len(rest) > maxName {
		n := maxName - len(joint)
		if i := strings.LastIndexByte(rest[:n], '!'); i > n-3 {
			n = i // not through an escape
		}
		names = append(names, rest[:n]+joint)
		rest = rest[n:]
	}
	return strings.Join(append(names, rest), "/")
}

// segmentOf is the segment whose segmentPath is path. Paths that are not some
// segment's are nobody's objects.
func segmentOf(path string) (segment string, ok bool) {
	names := strings.Split(path, "/")
	for i := range names[:len(names)-1] {
		if names[i], ok = strings.CutSuffix(names[i], joint); !ok {
			return "", false
		}
	}
	segment = unescape(strings.Join(names, ""))
	return segment, segmentPath(segment, false) == path
}

func escape(segment string, guarded bool) string {
	if segment == "" {
		return nothing
	}
	guarded = guarded || isDevice(segment)
	if !guarded && strings.Trim(segment, plainBytes) == "" && !strings.HasSuffix(segment, ".") {
		return segment
	}
	var b strings.Builder
	for i := range len(segment) {
		c := segment[i]
		last := i == len(segment)-1 // Windows drops a dot or space there; and so . and .. are covered
		switch {
		case c < ' ', c > '~', strings.IndexByte(`!"*:<>?\|`, c) >= 0,
			last && (c == '.' || c == ' '), i == 0 && guarded:
			fmt.Fprintf(&b, "!%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// plainBytes are bytes that escape leaves as they are, but for a dot at the end.
const plainBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// unescape takes back escape. On what escape never writes it returns anything: the
// caller compares.
func unescape(name string) string {
	if name == nothing {
		return ""
	}
	if strings.IndexByte(name, '!') < 0 {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '!' && i+2 < len(name) {
			if n, err := strconv.ParseUint(name[i+1:i+3], 16, 8); err == nil {
				c = byte(n)
				i += 2
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// isDevice reports whether Windows would take a file of that name for a device.
func isDevice(segment string) bool {
	base, _, _ := strings.Cut(strings.ToUpper(segment), ".")
	base = strings.TrimRight(base, " ")
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	return len(base) == 4 && (base[:3] == "COM" || base[:3] == "LPT") && base[3] >= '0' && base[3] <= '9'
}
