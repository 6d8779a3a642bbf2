package aws_test

import (
	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
)

// kind returns the sentinel of an error of s.
func kind(s *vault.Store, err error) error { return probe.Kind(s, err) }
