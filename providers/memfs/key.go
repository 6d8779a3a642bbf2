package memfs

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/objectvault/objectvault/vault"
)

// This file maps keys to paths. A segment of a key is a file name, byte for byte. Bytes that
// some file system would reject or change are escaped as !XX. A segment that is longer than a
// file name may be continues in a directory whose name ends in the joint.
//
//	a/b.enc        a/b.enc
//	a//b/          a/!/b/!
//	../con/x:y!    .!2E/!63on/x!3Ay!21
const (
	meta    = ".objectvault" // directory of the store itself
	maxKey  = 1024           // bytes, as in S3
	maxName = 255            // bytes of a file name
	nothing = "!"            // an empty segment
	joint   = "!+"           // the segment continues below
)

// checkKey rejects invalid keys of objects.
func checkKey(key string) error {
	first, _, _ := strings.Cut(key, "/")
	switch {
	case key == "":
		return fmt.Errorf("%w: the key is empty", vault.ErrInvalidName)
	case len(key) > maxKey:
		return fmt.Errorf("%w: the key has %d bytes; the maximum is %d", vault.ErrInvalidName, len(key), maxKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: key %q is not UTF-8", vault.ErrInvalidName, key)
	case strings.EqualFold(first, meta): // ignoring case, because the disk may ignore it
		return fmt.Errorf("%w: keys below %s/ belong to the store itself", vault.ErrInvalidName, meta)
	}
	return nil
}

// objectPath returns the path of the object at key, relative to the directory of the store.
func objectPath(key string) string {
	return joinSegments(key, func(string) bool { return false })
}

// versionsPath returns the directory of the old versions of key. The versions of key/... are
// below it, so their names must not look like a version of key.
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

// segmentPath returns the file name of a segment, or several names with slashes between them if
// the segment is long. If guarded is set, the first byte is always escaped.
func segmentPath(segment string, guarded bool) string {
	rest := escape(segment, guarded)
	var names []string
	for len(rest) > maxName {
		n := maxName - len(joint)
		if i := strings.LastIndexByte(rest[:n], '!'); i > n-3 {
			n = i // do not split an escape
		}
		names = append(names, rest[:n]+joint)
		rest = rest[n:]
	}
	return strings.Join(append(names, rest), "/")
}

// segmentOf returns the segment whose segmentPath is path. It returns false for other paths,
// which are not objects.
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
		last := i == len(segment)-1 // Windows drops a dot or space at the end; this also covers . and ..
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

// plainBytes are the bytes that escape does not escape, except for a dot at the end.
const plainBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// unescape is the inverse of escape. For names that escape never returns, the result is
// arbitrary: the caller must compare.
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

// isDevice reports whether Windows would open a device for a file of that name.
func isDevice(segment string) bool {
	base, _, _ := strings.Cut(strings.ToUpper(segment), ".")
	base = strings.TrimRight(base, " ")
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	return len(base) == 4 && (base[:3] == "COM" || base[:3] == "LPT") && base[3] >= '0' && base[3] <= '9'
}
