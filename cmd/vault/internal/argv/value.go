package argv

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
)

// A Range is a part of a value, with the meaning of vault.Range. This package does not
// import vault, which would make its fuzz targets slow to build.
type Range struct {
	Offset int64 // negative: counted from the end
	Length int64 // -1: to the end
}

// ParseRange parses the value of --range: A-B, A- or -N.
func ParseRange(text string) (Range, error) {
	bad := usage.Errorf("--range must be A-B, A- or -N, where A, B and N are numbers of bytes, A is at most B, and N is at least 1")
	first, last, ok := strings.Cut(text, "-")
	if !ok {
		return Range{}, bad
	}
	number := func(s string) int64 {
		n, err := strconv.ParseUint(s, 10, 63)
		if err != nil {
			return -1
		}
		return int64(n)
	}
	a, b := number(first), number(last)
	switch {
	case first == "" && b > 0:
		return Range{Offset: -b, Length: -1}, nil
	case last == "" && a >= 0:
		return Range{Offset: a, Length: -1}, nil
	case first == "" || last == "" || a < 0 || b < a:
		return Range{}, bad
	case b-a == math.MaxInt64:
		return Range{Offset: a, Length: -1}, nil
	}
	return Range{Offset: a, Length: b - a + 1}, nil
}

// ParseExpiry parses the value of --expires: a time, or a duration from now, which may also have
// the units d and w. The result is in whole seconds, because the envelope stores whole seconds.
func ParseExpiry(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC().Truncate(time.Second), nil
	}
	d, ok := ParseDuration(text)
	if !ok {
		return time.Time{}, usage.Errorf("--expires must be a time such as 2027-01-31T12:00:00Z, or a duration such as 30d or 12h")
	}
	return now.Add(d).UTC().Truncate(time.Second), nil
}

// ParseDuration parses a duration above 0, which may also have the units d and w.
func ParseDuration(text string) (d time.Duration, ok bool) {
	d, err := time.ParseDuration(text)
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if count, ok := strings.CutSuffix(text, unit); ok {
			var n uint64
			n, err = strconv.ParseUint(count, 10, 16)
			if d = time.Duration(n) * length; n > uint64(math.MaxInt64/length) {
				return 0, false // 65535 weeks are too long
			}
		}
	}
	return d, err == nil && d > 0
}
