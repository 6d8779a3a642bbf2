package bench

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A link forwards connections to a server like a network with a limited rate for each connection and a
// round trip time, as between a machine and a cloud.
type link struct {
	rate  float64       // bytes per second of a connection, in each direction
	delay time.Duration // of each direction
}

// start returns the URL of the link to the server at upstream, which is an http URL.
func (l link) start(b *testing.B, upstream string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	b.Cleanup(func() {
		listener.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			c.Close()
		}
	})
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(upstream, "http://"))
			if err != nil {
				in.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			go l.relay(out, in)
			go l.relay(in, out)
		}
	}()
	return "http://" + listener.Addr().String()
}

// relay passes the bytes on when they are due. What is on its way is limited to what the link holds.
func (l link) relay(to, from net.Conn) {
	const size = 64 << 10
	type packet struct {
		bytes []byte
		due   time.Time
	}
	packets := make(chan packet, 2+int(l.rate*l.delay.Seconds())/size)
	go func() {
		defer close(packets)
		sent := time.Now() // when the last byte has left
		for {
			p := make([]byte, size)
			n, err := from.Read(p)
			if n > 0 {
				if now := time.Now(); now.After(sent) {
					sent = now
				}
				sent = sent.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
				packets <- packet{p[:n], sent.Add(l.delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	defer to.Close()
	defer from.Close()
	for p := range packets {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			from.Close()
			for range packets {
			}
			return
		}
	}
}
