package tencent

import "github.com/objectvault/objectvault/policy"

func newPolicy(statements ...Statement) *Policy {
	return &Policy{Version: version, Statement: statements}
}

// JSON returns one object that contains every part.
func (d *Documents) JSON() []byte { return policy.Indented(d) }
