// Package b is stressed by the tests of the command suite.
package b

import (
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud/cmd/suite/testdata/meet"
)

func TestMeet(t *testing.T) { meet.With(t, "b", "a") }
