package testcloud

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// A Meter forwards connections to a server, and counts the bytes in both directions. Clients use its URL
// as their endpoint. The caller must call Close.
type Meter struct {
	URL string // http://127.0.0.1:port

	upstream string
	listener net.Listener
	bytes    atomic.Int64

	mu    sync.Mutex
	conns []net.Conn
}

// NewMeter starts a meter for the server at upstream, which is an http URL. Like [NewProxy], it panics if
// it cannot listen on the loopback interface.
func NewMeter(upstream string) *Meter {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	m := &Meter{URL: "http://" + l.Addr().String(), upstream: strings.TrimPrefix(upstream, "http://"), listener: l}
	go m.accept()
	return m
}

// Bytes returns the number of bytes since the start or the last call of Bytes.
func (m *Meter) Bytes() int64 { return m.bytes.Swap(0) }

// Close stops the meter and closes its connections.
func (m *Meter) Close() error {
	err := m.listener.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		c.Close()
	}
	return err
}

func (m *Meter) accept() {
	for {
		in, err := m.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", m.upstream)
		if err != nil {
			in.Close()
			continue
		}
		m.mu.Lock()
		m.conns = append(m.conns, in, out)
		m.mu.Unlock()
		go m.relay(out, in)
		go m.relay(in, out)
	}
}

func (m *Meter) relay(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	io.Copy(meteredWriter{to, &m.bytes}, from)
}

type meteredWriter struct {
	w     io.Writer
	bytes *atomic.Int64
}

func (w meteredWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.bytes.Add(int64(n))
	return n, err
}
