package aws_test

import (
	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
)

// kind is the sentinel that an error of s amounts to.
func kind(s *vault.Store, err error) error { return probe.Kind(s, err) }
