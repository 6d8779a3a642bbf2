package testcloud

import (
	"context"
	"errors"
)

// newHost returns the directory of a server and the group of its processes, with ports.
func newHost(ctx context.Context, path string) (*dir, *group, error) {
	d, err := newDir(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	p, err := newPorts()
	if err != nil {
		return nil, nil, errors.Join(err, d.remove())
	}
	g, err := newGroup(d.path, p)
	if err != nil {
		p.release()
		return nil, nil, errors.Join(err, d.remove())
	}
	return d, g, nil
}

// onFreePorts starts a server, up to three times if a daemon dies: another process may have taken
// a port after newHost chose it, and each attempt has other ports. A directory of the caller's is
// not empty after the first attempt, so there is no second one.
func onFreePorts[S any](path string, start func() (S, error)) (S, error) {
	for attempt := 1; ; attempt++ {
		s, err := start()
		if !errors.Is(err, errDied) || attempt == 3 || path != "" {
			return s, err
		}
	}
}
