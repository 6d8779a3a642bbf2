package transport

import (
	"net/http"
	"time"
)

// Default returns a copy of [http.DefaultTransport], or, where a program has put something
// else there, one as net/http makes it.
func Default() *http.Transport {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		return t.Clone()
	}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		MaxIdleConns: 100, IdleConnTimeout: 90 * time.Second, ExpectContinueTimeout: time.Second,
	}
}
