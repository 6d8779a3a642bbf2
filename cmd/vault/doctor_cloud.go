package main

import (
	"context"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
)

// A clinic is what the cloud of a store can tell doctor beyond what the store does. Nil
// fields leave their checks out.
type clinic struct {
	// clock asks the cloud what time it is, such as with the Date of an answer.
	clock func(ctx context.Context) (time.Time, error)
	// identity has the lines "token", "exchange" and "tenant", in this order.
	identity func(ctx context.Context) []doctor.Line
	// inspect has the lines "versioning", "lifecycle" and "tls", as far as the cloud
	// lets itself be asked: not readable is not proven.
	inspect func(ctx context.Context) []doctor.Line
	// large is a size past which the store takes several requests; 0 means a little over
	// 16 MiB.
	large int64
}

// attend hands the patient to its cloud. A store without one has nil.
func (c *cloud) attend(p *doctor.Patient) {
	if c == nil {
		return
	}
	p.Isolated = c.isolated
	in := c.clinic
	p.Clock, p.Identity, p.Inspect, p.Large = in.clock, in.identity, in.inspect, in.large
}

// names says where the tenant comes from when nobody named one.
func (c *cloud) names() string {
	switch {
	case c == nil || c.identity == nil:
	case c.identity.login != nil:
		return "the login"
	default:
		return "the token, or default"
	}
	return "default"
}
