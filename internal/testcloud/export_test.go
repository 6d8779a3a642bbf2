package testcloud

import "os"

var (
	InstallCeph = installCeph
	UnknownCeph = unknownCeph
)

// Ends returns how the daemons ended, in the order in which they were started. Call Stop first.
func (r *RGW) Ends() []*os.ProcessState     { return r.group.ends() }
func (v *Versity) Ends() []*os.ProcessState { return v.group.ends() }

func (g *group) ends() (all []*os.ProcessState) {
	for _, d := range g.daemons {
		<-d.done
		all = append(all, d.cmd.ProcessState)
	}
	return all
}

// TakePorts reserves n blocks at once, and returns the ports of each block.
func TakePorts(n int) (taken [][]int, release func(), err error) {
	var all []*ports
	release = func() {
		for _, p := range all {
			p.release()
		}
	}
	for range n {
		p, err := newPorts()
		if err != nil {
			return nil, release, err
		}
		all = append(all, p)
		var block []int
		for i := range blockSize {
			block = append(block, p.first+i)
		}
		taken = append(taken, block)
	}
	return taken, release, nil
}

// RGW returns the shared Ceph.
func (s *Shared) RGW() *RGW { return s.rgw }
