package transport_test

import (
	"net/http"
	"testing"

	"github.com/objectvault/objectvault/internal/transport"
)

type replaced struct{ http.RoundTripper }

func TestDefault(t *testing.T) {
	own := http.DefaultTransport
	defer func() { http.DefaultTransport = own }()
	if got := transport.Default(); got == own || got.Proxy == nil {
		t.Errorf("%v is not a copy of %v", got, own)
	}
	http.DefaultTransport = replaced{own}
	if got := transport.Default(); got.Proxy == nil || got.IdleConnTimeout == 0 {
		t.Errorf("after http.DefaultTransport was replaced: %+v", got)
	}
}
