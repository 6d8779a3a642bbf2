package vault

import (
	"fmt"
	"sync"
	"time"
)

// maxRevision is the largest that a header holds: JSON numbers are exact up to here.
const maxRevision = 1<<53 - 1

// A clock gives revisions: microseconds since the Unix epoch, or one more than the
// highest revision of the name that is known, whichever is more. Only revisions ahead
// of the clock need to be remembered, so the memory stays small.
type clock struct {
	now func() time.Time

	mu    sync.Mutex
	ahead map[Name]int64
}

// next is the revision of the next write of name.
func (c *clock) next(name Name) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	revision := max(1, c.now().UnixMicro())
	if known := c.ahead[name]; known >= revision {
		revision = known + 1
	}
	if revision > maxRevision {
		return 0, fmt.Errorf("%w: the revisions of this name are used up; delete it and use another name", ErrConflict)
	}
	c.remember(name, revision)
	return revision, nil
}

// saw remembers a revision that was authenticated.
func (c *clock) saw(name Name, revision int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if revision > c.ahead[name] {
		c.remember(name, revision)
	}
}

func (c *clock) remember(name Name, revision int64) {
	now := c.now().UnixMicro()
	if len(c.ahead) >= 1024 {
		for n, r := range c.ahead {
			if r < now {
				delete(c.ahead, n)
			}
		}
	}
	if c.ahead == nil {
		c.ahead = make(map[Name]int64)
	}
	c.ahead[name] = revision
}
