package costest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// A port serves http and https on one listener, and distinguishes them by the first byte of a
// connection. It also serves connections that a client tunnels through it (CONNECT).
type port struct {
	net.Listener
	tls  *tls.Config // nil means no https
	in   chan net.Conn
	done chan struct{}

	mu          sync.Mutex
	closed      bool
	silentConns map[net.Conn]bool // connections that have not yet sent a byte
}

func newPort(l net.Listener, config *tls.Config) *port {
	p := &port{Listener: l, tls: config, in: make(chan net.Conn), done: make(chan struct{}), silentConns: make(map[net.Conn]bool)}
	go p.accept()
	return p
}

// accept accepts connections until the port is closed. It ignores temporary errors, such as a lack
// of file descriptors.
func (p *port) accept() {
	for {
		conn, err := p.Listener.Accept()
		if err == nil {
			go p.sort(conn)
			continue
		}
		select {
		case <-p.done:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// sort passes a connection to the http or the https server, after its first byte has arrived.
func (p *port) sort(conn net.Conn) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		conn.Close()
		return
	}
	p.silentConns[conn] = true
	p.mu.Unlock()
	r := bufio.NewReader(conn)
	first, err := r.Peek(1)
	p.mu.Lock()
	delete(p.silentConns, conn)
	p.mu.Unlock()
	if err != nil {
		conn.Close()
		return
	}
	var out net.Conn = peeked{conn, r}
	if first[0] == 0x16 && p.tls != nil { // a TLS handshake
		out = tls.Server(out, p.tls)
	}
	select {
	case p.in <- out:
	case <-p.done:
		conn.Close()
	}
}

type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (c peeked) Read(b []byte) (int, error) { return c.r.Read(b) }

func (p *port) Accept() (net.Conn, error) {
	select {
	case conn := <-p.in:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	close(p.done)
	for conn := range p.silentConns {
		conn.Close()
	}
	return p.Listener.Close()
}

// tunnel handles CONNECT. For every host, the other end is this server.
func (s *Server) tunnel(w http.ResponseWriter) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if _, err := conn.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		conn.Close()
		return
	}
	go s.port.sort(peeked{conn, rw.Reader})
}

// certificates creates a CA, and a server certificate for the hosts of the service.
func certificates(region string) (ca []byte, config *tls.Config, err error) {
	now := time.Now()
	template := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(1, 0, 0),
			BasicConstraintsValid: true,
		}
	}
	root := template(1, "costest CA")
	root.IsCA, root.KeyUsage = true, x509.KeyUsageCertSign
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		return nil, nil, err
	}
	leaf := template(2, "costest")
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	leaf.DNSNames = []string{"localhost", "service.cos.myqcloud.com", "*.cos.accelerate.myqcloud.com", "*.tencentcloudapi.com", "*.intl.tencentcloudapi.com", "*.internal.tencentcloudapi.com"}
	for _, domain := range []string{"myqcloud.com", "tencentcos.cn"} {
		leaf.DNSNames = append(leaf.DNSNames, "cos."+region+"."+domain, "*.cos."+region+"."+domain, "*.cos-internal."+region+"."+domain)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), rootKey)
	if err != nil {
		return nil, nil, err
	}
	ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})
	return ca, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER, rootDER}, PrivateKey: leafKey}},
		NextProtos:   []string{"http/1.1"}, // faults close connections, and HTTP/2 uses a single one for all requests
	}, nil
}
