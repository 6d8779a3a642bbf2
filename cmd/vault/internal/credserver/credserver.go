// Package credserver is the HTTP server behind the command "vault serve --legacy". It speaks the
// contract of the plaintext credential server of agentKeys, so that an unmodified agentKeys client
// stores its credentials in a vault instead of an SQLite file:
//
//	POST   /credential/store     {"agent_id","service","ciphertext"}  {"ok":true}
//	GET    /credential/read      ?agent_id=&service=                  {"ciphertext":"<base64>"}
//	GET    /credential/list      ?agent_id=                           {"services":["…"]}, sorted
//	DELETE /credential/teardown  {"agent_id"}                         {"ok":true}
//	GET    /healthz                                                   ok
//
// The ciphertext is standard base64. The decoded bytes are the value that is stored: agentKeys sends
// the plaintext of the credential, and the vault seals it. If the value could be saved only in the
// spool, the client gets {"ok":true}, too, and the value can be read and is listed. Teardown deletes
// what the vault has. Unlike the old server, it revokes no sessions.
//
// Every request except /healthz needs a bearer token (see [Verifier]), or comes over a Unix socket
// from a permitted user (see [Config].PeerUIDs). The server listens only on this machine. It refuses
// requests that a web page may have caused: those with an Origin header, and those over TCP whose Host
// header does not name this machine.
//
// An error is JSON with the members error (a code) and message. It never contains a value or a token.
// The agentKeys client treats every status other than 2xx as a failure:
//
//	400 bad_request        the request, or the name of the service, is malformed
//	401 unauthorized       no token, or one that is not valid
//	403 forbidden          another owner's agent_id, outside the scope of the token, or read-only
//	404 not_found          there is no such credential, or no such path
//	405 method_not_allowed see the header Allow
//	413 too_large          the value has more than 1 MiB
//	429 rate_limited       too many reads; Retry-After, and retry_after_seconds in the JSON
//	500 internal           any other failure, for example an object that cannot be decrypted
//	502 store_refused      the store or a key source refuses this server: denied, or not logged in
//	502 upstream_failed    the old server does not respond to a request that was passed to it
//	503 unavailable        the store, a key source or the token check is unreachable; try again later
//	503 outcome_unknown    the store stopped responding during a write, which may have been applied
//	503 busy               too many requests are in progress; try again later
//	507 no_space           the store is full
package credserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/objectvault/objectvault/vault"
)

// A Backend stores the credentials of one owner. Its methods are called concurrently, and must return
// soon after ctx has ended. Their errors wrap sentinels of packages vault and envelope, from which the
// server derives the status of the response. [Vault] returns a Backend.
type Backend interface {
	// Store creates or replaces a credential. An error that wraps [vault.ErrSpooled] means that the
	// value is saved, but is not in the store yet; the client then gets {"ok":true}.
	Store(ctx context.Context, service string, value []byte) error
	// Read returns the value of a credential. If there is none, the error wraps [vault.ErrNotFound].
	Read(ctx context.Context, service string) ([]byte, error)
	// List returns the names of all credentials, in any order.
	List(ctx context.Context) ([]string, error)
	// Teardown deletes all credentials.
	Teardown(ctx context.Context) error
}

// A Config configures a [Server]. Backend and Agents are required.
type Config struct {
	// Backend stores the credentials.
	Backend Backend
	// Agents are the ids of the owner of the credentials: the wallet address, and the actor omni. The
	// agent_id of a request, and the wallet of its token, must be one of them. Case is ignored.
	Agents []string
	// Verifier checks bearer tokens. Nil means that no token is valid. Then only the PeerUIDs can use
	// the server.
	Verifier Verifier
	// PeerUIDs are the users whose processes need no token on a Unix socket. Nil means the user of
	// this process; empty means that every request needs a token. It has an effect on Linux and macOS
	// only. A request that has a token is judged by the token, if there is a Verifier.
	PeerUIDs []int
	// Upstream is the URL of the old server, which must listen on this machine. It receives the
	// requests for all paths other than /credential/* and /healthz, with their tokens. Nil means that
	// these requests get status 404.
	Upstream *url.URL
	// Log receives one record for each request, with these attributes: method, path (without the
	// query), status, duration, bytes (of the response body), and if they are known, agent, service
	// and error. A record never contains a body or a token. Nil disables logging.
	Log *slog.Logger
	// ReadsPerMinute is how many credentials may be read with one token in a minute. 0 means 100; a
	// negative number means no limit.
	ReadsPerMinute int
	// MaxInFlight is how many stores, how many other requests for credentials, and how many requests to
	// Upstream are in progress at once. Others wait. 0 means 64.
	MaxInFlight int
	// QueueTime is how long a request waits for its turn, before it gets status 503. 0 means 5
	// seconds.
	QueueTime time.Duration
	// RequestTimeout limits the time for a request. A request that is passed to Upstream is limited
	// only by the time without progress, because its response may be a stream. 0 means 60 seconds.
	RequestTimeout time.Duration
	// DrainTime is how long Serve waits for the requests in progress, after its context has ended. 0
	// means 10 seconds.
	DrainTime time.Duration
	// Ready, if not nil, is called when the server accepts requests.
	Ready func()
	// Now reports the time, for the rate limit and for the expiry of tokens; nil means [time.Now].
	Now func() time.Time
}

// A Server handles the requests of agentKeys clients. [New] returns one.
type Server struct {
	backend  Backend
	agents   []string // lower-case
	verifier Verifier
	peers    []int
	upstream *url.URL
	proxy    *httputil.ReverseProxy // nil: there is no upstream
	log      *slog.Logger
	reads    *limiter
	slots    chan struct{} // one element for each request in progress that reads or removes credentials
	stores   chan struct{} // one element for each store in progress: reads of a slow store do not block them
	passes   chan struct{} // one element for each request that is being passed to upstream
	queue    time.Duration
	timeout  time.Duration
	drain    time.Duration
	ready    func() // may be nil
	now      func() time.Time
}

// ErrDrain means that requests were still in progress at the end of [Config].DrainTime. They were
// ended. The outcome of their writes is unknown, unless the vault has a spool.
var ErrDrain = errors.New("requests were still in progress at the end of the drain time, and were ended")

// New returns a Server. It opens nothing and sends no request. If the Config is incomplete, or if
// Upstream is not a URL of this machine, the error wraps [vault.ErrConfig].
func New(c Config) (*Server, error) {
	s := &Server{
		backend: c.Backend, verifier: c.Verifier, peers: c.PeerUIDs, upstream: c.Upstream, log: c.Log, ready: c.Ready, now: c.Now,
		queue: positive(c.QueueTime, 5*time.Second), timeout: positive(c.RequestTimeout, time.Minute), drain: positive(c.DrainTime, 10*time.Second),
	}
	if s.backend == nil {
		return nil, fmt.Errorf("%w: there is no backend for the credentials", vault.ErrConfig)
	}
	for _, id := range c.Agents {
		s.agents = append(s.agents, strings.ToLower(id))
	}
	if len(s.agents) == 0 || slices.Contains(s.agents, "") {
		return nil, fmt.Errorf("%w: the ids of the owner of the credentials are missing", vault.ErrConfig)
	}
	if s.peers == nil {
		s.peers = []int{os.Geteuid()}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.upstream != nil {
		if err := checkUpstream(s.upstream); err != nil {
			return nil, err
		}
		s.proxy = newProxy(s.upstream, s.timeout, s.log)
	}
	s.reads = &limiter{most: c.ReadsPerMinute, now: s.now}
	if s.reads.most == 0 {
		s.reads.most = 100
	}
	most := c.MaxInFlight
	if most <= 0 {
		most = 64
	}
	s.slots, s.stores, s.passes = make(chan struct{}, most), make(chan struct{}, most), make(chan struct{}, most)
	return s, nil
}

func positive(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

const (
	headerTime = 10 * time.Second // to send the header of a request
	idleTime   = 2 * time.Minute  // until a connection without a request is closed
	maxHeader  = 64 << 10         // bytes
	endTime    = 6 * time.Second  // to respond to the requests that were ended: see vault.Put
)

// Serve handles the requests that arrive at the listeners, until ctx ends. Then it accepts no more
// connections, waits for the requests in progress for up to [Config].DrainTime, and ends the others.
// It closes the listeners. When it returns, no request is in progress. It informs systemd when the
// server is ready and when it stops.
//
// Serve returns nil if all requests were complete, [ErrDrain] if not, and the error of a listener that
// failed. A listener that other machines can reach, or that is the upstream itself, is refused with an
// error that wraps [vault.ErrConfig].
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	for _, l := range listeners {
		defer l.Close() // again, if the server has closed it
	}
	for _, l := range listeners {
		if err := s.checkListener(l); err != nil {
			return err
		}
	}
	if len(listeners) == 0 {
		return fmt.Errorf("%w: there is no address to listen on", vault.ErrConfig)
	}
	// The requests in progress continue after ctx has ended.
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var conns sync.WaitGroup
	server := &http.Server{
		Handler:           s.handler(base),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       withPeer,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				conns.Add(1)
			case http.StateClosed: // no request is hijacked: see recorder
				conns.Done()
			}
		},
		DisableGeneralOptionsHandler: true, // it would not check the Host
	}
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- server.Serve(l) }()
	}
	s.notify(daemon.SdNotifyReady)
	if s.ready != nil {
		s.ready()
	}
	var err error
	left := len(listeners)
	select {
	case <-ctx.Done():
	case err = <-ended:
		err = fmt.Errorf("the server stopped accepting connections: %w", err)
		left--
	}
	s.notify(daemon.SdNotifyStopping)
	wait, cancel := context.WithTimeout(base, s.drain)
	defer cancel()
	if errors.Is(server.Shutdown(wait), context.DeadlineExceeded) {
		err = errors.Join(err, ErrDrain)
		// A store that ends now is saved in the spool, and its client needs the response.
		end()
		wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		server.Shutdown(wait)
		server.Close()
	}
	end()
	for range left {
		<-ended
	}
	conns.Wait()
	if s.proxy != nil {
		s.proxy.Transport.(*http.Transport).CloseIdleConnections()
	}
	return err
}

// notify informs systemd. It does nothing if this process is not a service of systemd.
func (s *Server) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("systemd could not be informed", "state", state, "error", err)
	}
}
