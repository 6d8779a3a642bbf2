package transport

import (
	"cmp"
	"net/http"
	"time"
)

// DefaultTimeout is how long a connection may make no progress.
const DefaultTimeout = 30 * time.Second

// New returns a transport for the servers of a cloud. It closes connections that make no progress
// for timeout. 0 means [DefaultTimeout].
func New(timeout time.Duration) *http.Transport {
	t := Default()
	Configure(t, timeout)
	return t
}

// Configure configures a transport that an SDK has built in the same way as [New].
func Configure(t *http.Transport, timeout time.Duration) {
	timeout = cmp.Or(timeout, DefaultTimeout)
	t.DialContext = DialContext(timeout)
	t.TLSHandshakeTimeout = timeout
	t.MaxIdleConnsPerHost = 16
}

// Default returns a copy of [http.DefaultTransport]. If a program has replaced it with another
// type, Default returns a new transport with the defaults of net/http.
func Default() *http.Transport {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		return t.Clone()
	}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		MaxIdleConns: 100, IdleConnTimeout: 90 * time.Second, ExpectContinueTimeout: time.Second,
	}
}
