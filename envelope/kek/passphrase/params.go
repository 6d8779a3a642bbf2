package passphrase

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	typePassphrase = 2
	saltSize       = 16
	paramsSize     = 1 + 4 + 1 + saltSize
	bodySize       = paramsSize + 12 + dekSize + 16

	// The parameters of a new enrolment are the second recommendation of RFC 9106.
	defaultTime    = 3
	defaultMemory  = 64 << 10
	defaultThreads = 4

	// The limits of the format, which bound what an object can make its reader do.
	maxTime    = 16
	maxThreads = 16
	maxMemory  = 1 << 20
	maxWork    = 4 << 20 // time·memory

	// minWork is the least time·memory for sealing. It is that of the weakest parameters that OWASP
	// recommends: time 5 and 7 MiB.
	minWork = 5 * 7 << 10
)

// params are the inputs of Argon2id besides the passphrase. In the body of a stanza they precede the
// nonce and the sealed data key:
//
//	time[1] memory[4] threads[1] salt[16]
type params struct {
	time    uint8
	memory  uint32 // KiB
	threads uint8
	salt    [saltSize]byte
}

// check returns an error if p is outside the limits of the format.
func (p params) check() error {
	switch {
	case p.time < 1 || p.time > maxTime:
		return fmt.Errorf("the Argon2 parameter time is %d, but must be 1 to %d", p.time, maxTime)
	case p.threads < 1 || p.threads > maxThreads:
		return fmt.Errorf("the Argon2 parameter threads is %d, but must be 1 to %d", p.threads, maxThreads)
	case p.memory < 8*uint32(p.threads) || p.memory > maxMemory:
		return fmt.Errorf("the Argon2 parameter memory is %d KiB, but must be %d to %d KiB", p.memory, 8*uint32(p.threads), maxMemory)
	case uint64(p.time)*uint64(p.memory) > maxWork:
		return fmt.Errorf("time %d and memory %d KiB are too much: their product must be at most %d", p.time, p.memory, maxWork)
	}
	return nil
}

// parse returns the parameters in the body of a stanza, if they are within the limits.
func parse(body []byte) (params, error) {
	if len(body) != bodySize {
		return params{}, errors.New("the length is wrong")
	}
	p := params{body[0], binary.BigEndian.Uint32(body[1:]), body[5], [saltSize]byte(body[6:paramsSize])}
	return p, p.check()
}

func (p params) bytes() []byte {
	b := make([]byte, 0, bodySize)
	b = append(b, p.time)
	b = binary.BigEndian.AppendUint32(b, p.memory)
	b = append(b, p.threads)
	return append(b, p.salt[:]...)
}
