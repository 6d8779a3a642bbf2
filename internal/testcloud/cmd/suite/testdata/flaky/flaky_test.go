// Package flaky is stressed by the tests of the command suite.
package flaky

import (
	"os"
	"testing"
)

// The file that FLAKY names grows by a byte in each run. Every second run fails.
func TestSecondTime(t *testing.T) {
	f, err := os.OpenFile(os.Getenv("FLAKY"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteString("x")
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("of two", func(t *testing.T) {
		if info.Size()%2 == 0 {
			t.Errorf("this is time %d", info.Size())
		}
	})
}
