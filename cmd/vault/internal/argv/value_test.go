package argv

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
)

func TestParseRange(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want Range
		ok   bool
	}{
		{"0-0", Range{Offset: 0, Length: 1}, true},
		{"0-9", Range{Offset: 0, Length: 10}, true},
		{"5-", Range{Offset: 5, Length: -1}, true},
		{"-5", Range{Offset: -5, Length: -1}, true},
		{"0-9223372036854775807", Range{Offset: 0, Length: -1}, true},
		{"1-9223372036854775807", Range{Offset: 1, Length: math.MaxInt64}, true},
		{"-9223372036854775807", Range{Offset: -math.MaxInt64, Length: -1}, true},
		{in: "-0"}, {in: "-"}, {in: ""}, {in: "5"}, {in: "5-3"}, {in: "a-b"}, {in: "1-2-3"}, {in: "--5"}, {in: "+1-2"}, {in: " 1-2"}, {in: "0x1-2"},
		{in: "0-9223372036854775808"}, {in: "9223372036854775808-"},
	} {
		got, err := ParseRange(tc.in)
		if (err == nil) != tc.ok || got != tc.want || err != nil && !errors.Is(err, usage.ErrUsage) {
			t.Errorf("ParseRange(%q) = %+v, %v", tc.in, got, err)
		}
	}
}

// FuzzParseRange writes an accepted range as text again, and expects the same range from it.
func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"0-1", "5-", "-5", "0-9223372036854775807", "-", "", "1-0", "00-01"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		r, err := ParseRange(in)
		if err != nil {
			return
		}
		if r.Length == 0 || r.Length < -1 || r.Offset < 0 && r.Length != -1 || r.Length > 0 && r.Offset+(r.Length-1) < r.Offset {
			t.Fatalf("ParseRange(%q) = %+v", in, r)
		}
		var back string
		switch {
		case r.Offset < 0:
			back = fmt.Sprint(r.Offset)
		case r.Length < 0:
			back = fmt.Sprintf("%d-", r.Offset)
		default:
			back = fmt.Sprintf("%d-%d", r.Offset, r.Offset+r.Length-1)
		}
		if again, err := ParseRange(back); err != nil || again != r {
			t.Fatalf("ParseRange(%q) = %+v, but %q = %+v, %v", in, r, back, again, err)
		}
	})
}

func TestParseExpiry(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	for _, tc := range []struct {
		in   string
		want time.Time
	}{
		{"2027-01-31T12:00:00Z", time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)},
		{"2027-01-31T12:00:00.9+02:00", time.Date(2027, 1, 31, 10, 0, 0, 0, time.UTC)},
		{"30d", time.Date(2026, 2, 1, 3, 4, 5, 0, time.UTC)},
		{"2w", time.Date(2026, 1, 16, 3, 4, 5, 0, time.UTC)},
		{"12h", time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)},
		{"1h30m", time.Date(2026, 1, 2, 4, 34, 5, 0, time.UTC)},
		{in: "0d"}, {in: "-1d"}, {in: "-1h"}, {in: "0s"}, {in: "d"}, {in: "1.5d"}, {in: "99999d"}, {in: "65535w"}, {in: "soon"}, {in: ""}, {in: "2027-01-31"}, {in: "30"},
	} {
		got, err := ParseExpiry(tc.in, now)
		if !got.Equal(tc.want) || (err == nil) == tc.want.IsZero() || err != nil && !errors.Is(err, usage.ErrUsage) {
			t.Errorf("ParseExpiry(%q) = %v, %v, want %v", tc.in, got, err, tc.want)
		}
	}
}
