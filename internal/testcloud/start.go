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

// onFreePorts starts a server. If a daemon dies, because another process took a port after newHost
// chose it, onFreePorts tries again with other ports, at most three times. A directory of the
// caller is not empty after the first attempt, so then there is only one.
func onFreePorts[S any](path string, start func() (S, error)) (S, error) {
	for attempt := 1; ; attempt++ {
		s, err := start()
		if !errors.Is(err, errDied) || attempt == 3 || path != "" {
			return s, err
		}
	}
}
