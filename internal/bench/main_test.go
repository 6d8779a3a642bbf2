package bench

import (
	"fmt"
	"os"
	"testing"
)

// TestMain runs the benchmarks, or is the child whose memory one of them watches.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	if err := runChild(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
