package memfs

import (
	"fmt"
	"strconv"
	"time"
)

// idLen is the length of a version's id: microseconds since 1970 in lower-case hex.
const idLen = 16

// maxID is the maximum id, far below the end of the range, so that there is always a next one.
// It is in the year 38000.
const maxID = 1 << 60

func formatID(id uint64) string { return fmt.Sprintf("%0*x", idLen, id) }

// parseID parses the text that formatID returns, and rejects any other.
func parseID(s string) (id uint64, ok bool) {
	id, err := strconv.ParseUint(s, 16, 64)
	return id, err == nil && id < maxID && formatID(id) == s
}

func idAt(t time.Time) uint64    { return uint64(min(max(t.UnixMicro(), 0), maxID-1)) }
func timeOf(id uint64) time.Time { return time.UnixMicro(int64(id)) }

// A state is an old version of a key, or a deletion.
type state struct {
	id      uint64
	deleted bool
}

// surplus returns the states of past that are removed if keep versions are kept. past is newest
// first and without the current object. present reports whether there is a current object: if
// not, the delete marker stays, and with it the highest id.
func surplus(past []state, keep int, present bool) []state {
	var drop []state
	for i, p := range past {
		switch {
		case keep > 0 && !p.deleted:
			keep--
		case keep > 0, i == 0 && p.deleted && !present:
		default:
			drop = append(drop, p)
		}
	}
	return drop
}
