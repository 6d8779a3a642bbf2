// Package signertest contains a signer for tests: the HTTP API of the agentKeys signer, with real
// secp256k1 signatures. It listens on this machine only. It can misbehave in the ways that a client
// must survive: see [Fault]. Its keys are derived from a fixed, publicly known secret, so do not use
// it for real objects.
//
//	POST /dev/derive-address  {"omni_account":"…"}                    {"address":"0x…","key_version":1}
//	POST /dev/sign-message    {"omni_account":"…","message_hex":"…"}  {"signature":"0x…","address":"0x…","key_version":1}
//	GET  /healthz                                                     ok
//
// An error is JSON with the members error and message. The signature is r ‖ s ‖ v of EIP-191
// personal_sign, with the nonce of RFC 6979.
package signertest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/objectvault/objectvault/internal/loopback"
	"golang.org/x/crypto/sha3"
)

// Options configures a [Server]. Nil, or the zero value, is ready to use.
type Options struct {
	// Addr is the loopback address to listen on; "" means a free port of 127.0.0.1.
	Addr string
	// Tokens maps a bearer token to the only omni account that it is for, or to "*". Nil means that
	// the signer requires no token.
	Tokens map[string]string
	// Keys maps an omni account to its private key of 32 bytes. The other accounts have derived keys.
	Keys map[string][]byte
}

// V is the form of the last byte of a signature.
type V int

const (
	VZeroOne V = iota // 0 or 1
	VLegacy           // 27 or 28
	VNone             // the signature has 64 bytes
	VChain            // 37 or 38, as in EIP-155
)

// A Fault changes the behaviour of a server. The zero Fault is a server that works.
type Fault struct {
	NonDeterministic bool   // each signature has a random nonce
	HighS            bool   // s is the greater of the two possible values
	V                V      // the form of v
	Address          string // the address in the responses to sign-message, instead of that of the key
	OtherKey         bool   // sign with a key that is not that of the address
	Disabled         bool   // 503 signer_disabled
	Fail             int    // the number of requests that fail with 500 internal
	Cut              int    // the number of requests that get no response, because the server closes the connection
	Hang             bool   // a request gets no response until the client gives up
	Delay            time.Duration
	Redirect         string // 307 to this URL
	HTML             bool   // status 200 with a web page
	Oversized        bool   // status 200 with a body of 1 MiB
	Raw              string // status 200 with this body
}

// A Server is a signer. It is safe for concurrent use. As an [http.Handler] it needs no listener.
type Server struct {
	o    Options
	http *http.Server
	url  string

	mu       sync.Mutex
	fault    Fault
	version  int
	rotation int
	requests []string
}

// New returns a signer that does not listen.
func New(o *Options) *Server {
	if o == nil {
		o = &Options{}
	}
	return &Server{o: *o, version: 1}
}

// Start returns a signer that listens on a loopback address. The caller closes it.
func Start(o *Options) (*Server, error) {
	s := New(o)
	addr := s.o.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if !loopback.Host(host) {
		return nil, errors.New("the signer listens only on this machine (localhost, 127.0.0.0/8, ::1)")
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s.url = "http://" + l.Addr().String()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go s.http.Serve(l) // until Close
	return s, nil
}

// URL returns the base URL of a server that listens.
func (s *Server) URL() string { return s.url }

// Close stops the server.
func (s *Server) Close() error {
	if s.http == nil {
		return nil
	}
	return s.http.Close()
}

// Set replaces the fault of the server.
func (s *Server) Set(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// SetKeyVersion changes the key version in the responses. If rotate is true, all derived keys change.
func (s *Server) SetKeyVersion(version int, rotate bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
	if rotate {
		s.rotation++
	}
}

// Requests returns the requests since the last call of Requests, for example "POST
// /dev/sign-message".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests
	s.requests = nil
	return r
}

// Address returns the address of an omni account.
func (s *Server) Address(omni string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return addressOf(s.key(omni))
}

// key returns the key of an account.
func (s *Server) key(omni string) *secp256k1.PrivateKey {
	if k := s.o.Keys[omni]; k != nil && s.rotation == 0 {
		return secp256k1.PrivKeyFromBytes(k)
	}
	hash := sha256.Sum256([]byte("objectvault signertest: not secret" + strconv.Itoa(s.rotation) + omni))
	return secp256k1.PrivKeyFromBytes(hash[:])
}

// RoundTrip implements [http.RoundTripper]: it handles a request without a connection.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &recorder{header: make(http.Header), status: http.StatusOK}
	if w.run(s, in); w.aborted {
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(strings.NewReader(w.body.String())), ContentLength: -1, Request: r,
	}, nil
}

// A recorder is the response to a request without a connection.
type recorder struct {
	header  http.Header
	status  int
	body    strings.Builder
	aborted bool
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(b []byte) (int, error) { return w.body.Write(b) }

func (w *recorder) run(h http.Handler, r *http.Request) {
	defer func() {
		if v := recover(); v == http.ErrAbortHandler {
			w.aborted = true
		} else if v != nil {
			panic(v)
		}
	}()
	h.ServeHTTP(w, r)
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		io.WriteString(w, "ok")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		refuse(w, http.StatusBadRequest, "bad_request", "the body is too long or was cut off")
		return
	}
	f := s.begin(r)
	if f.misbehaves(r.Context(), w) {
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/dev/derive-address" && r.URL.Path != "/dev/sign-message" {
		http.NotFound(w, r)
		return
	}
	var in struct {
		Omni    string `json:"omni_account"`
		Message string `json:"message_hex"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		refuse(w, http.StatusBadRequest, "bad_request", "the body is not JSON")
		return
	}
	if b, err := hex.DecodeString(in.Omni); err != nil || len(b) != 32 {
		refuse(w, http.StatusBadRequest, "invalid_omni_account", "omni_account must be 64 hex digits")
		return
	}
	if !s.permits(r.Header.Get("Authorization"), in.Omni) {
		refuse(w, http.StatusUnauthorized, "unauthorized", "the bearer token is missing, expired, or for another account")
		return
	}
	s.mu.Lock()
	key, version := s.key(in.Omni), s.version
	s.mu.Unlock()
	out := map[string]any{"address": addressOf(key), "key_version": version}
	if r.URL.Path == "/dev/sign-message" {
		message, err := hex.DecodeString(in.Message)
		if err != nil {
			refuse(w, http.StatusBadRequest, "invalid_message_hex", "message_hex must be hex digits")
			return
		}
		out["signature"] = "0x" + hex.EncodeToString(f.sign(key, message))
		if f.Address != "" {
			out["address"] = f.Address
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(out)
}

// begin records the request and returns the fault for it.
func (s *Server) begin(r *http.Request) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	f := s.fault
	switch {
	case f.Cut > 0:
		s.fault.Cut--
	case f.Fail > 0:
		s.fault.Fail--
	}
	return f
}

// permits reports whether a header permits the use of an account.
func (s *Server) permits(header, omni string) bool {
	if s.o.Tokens == nil {
		return true
	}
	token, ok := strings.CutPrefix(header, "Bearer ")
	account := s.o.Tokens[token]
	return ok && account != "" && (account == "*" || account == omni)
}

// misbehaves reports whether f has handled the request.
func (f Fault) misbehaves(ctx context.Context, w http.ResponseWriter) bool {
	wait := time.NewTimer(f.Delay)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	}
	switch {
	case f.Hang:
		<-ctx.Done()
		panic(http.ErrAbortHandler)
	case f.Cut > 0:
		panic(http.ErrAbortHandler)
	case f.Fail > 0:
		refuse(w, http.StatusInternalServerError, "internal", "the signer failed")
	case f.Disabled:
		refuse(w, http.StatusServiceUnavailable, "signer_disabled", "the signer is disabled")
	case f.Redirect != "":
		w.Header().Set("Location", f.Redirect)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case f.HTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!DOCTYPE html><title>Log in</title>")
	case f.Oversized:
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, strings.Repeat(" ", 1<<20))
	case f.Raw != "":
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, f.Raw)
	default:
		return false
	}
	return true
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": code, "message": message})
}

// sign returns the signature of a message by personal_sign.
func (f Fault) sign(key *secp256k1.PrivateKey, message []byte) []byte {
	hash := keccak(fmt.Appendf(nil, "\x19Ethereum Signed Message:\n%d%s", len(message), message))
	if f.OtherKey {
		other := sha256.Sum256(key.Serialize())
		key = secp256k1.PrivKeyFromBytes(other[:])
	}
	var sig []byte
	if f.NonDeterministic {
		sig = signRandom(key, hash)
	} else {
		compact := ecdsa.SignCompact(key, hash, false)
		sig = append(compact[1:], compact[0]-27)
	}
	if f.HighS {
		var s secp256k1.ModNScalar
		s.SetByteSlice(sig[32:64])
		if !s.IsOverHalfOrder() {
			s.Negate().PutBytesUnchecked(sig[32:64])
			sig[64] ^= 1
		}
	}
	switch f.V {
	case VLegacy:
		sig[64] += 27
	case VNone:
		sig = sig[:64]
	case VChain:
		sig[64] += 37
	}
	return sig
}

// signRandom returns r ‖ s ‖ v with a random nonce.
func signRandom(key *secp256k1.PrivateKey, hash []byte) []byte {
	for {
		var b [32]byte
		rand.Read(b[:])
		var nonce, r, s, e secp256k1.ModNScalar
		if nonce.SetBytes(&b) != 0 || nonce.IsZero() {
			continue
		}
		var point secp256k1.JacobianPoint
		secp256k1.ScalarBaseMultNonConst(&nonce, &point)
		point.ToAffine()
		if point.X.PutBytes(&b); r.SetBytes(&b) != 0 || r.IsZero() {
			continue
		}
		e.SetByteSlice(hash)
		s.Mul2(&key.Key, &r).Add(&e).Mul(nonce.InverseNonConst())
		if s.IsZero() {
			continue
		}
		v := byte(0)
		if point.Y.IsOdd() {
			v = 1
		}
		if s.IsOverHalfOrder() {
			s.Negate()
			v ^= 1
		}
		sig := make([]byte, 65)
		r.PutBytesUnchecked(sig)
		s.PutBytesUnchecked(sig[32:])
		sig[64] = v
		return sig
	}
}

func keccak(b []byte) []byte {
	h := sha3.NewLegacyKeccak256()
	h.Write(b)
	return h.Sum(nil)
}

func addressOf(key *secp256k1.PrivateKey) string {
	return "0x" + hex.EncodeToString(keccak(key.PubKey().SerializeUncompressed()[1:])[12:])
}
