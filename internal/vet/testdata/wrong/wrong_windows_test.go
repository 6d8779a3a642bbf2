package wrong

import "testing"

var _ = nothing

func TestF(t *testing.T) { F() }
