// Package a is stressed by the tests of the command suite.
package a

import (
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud/cmd/suite/testdata/meet"
)

func TestMeet(t *testing.T) { meet.With(t, "a", "b") }
