package bench

import (
	"fmt"
	"os"
	"testing"
)

// TestMain runs the benchmarks, or the child process whose memory a benchmark measures.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	if err := runChild(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
