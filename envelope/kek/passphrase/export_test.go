package passphrase

import "context"

// Weak are parameters that are fast and not secure.
type Weak struct {
	Time    uint8
	Memory  uint32
	Threads uint8
	Salt    [saltSize]byte
}

// EnrolWeak is Enrol with the given parameters.
func EnrolWeak(ctx context.Context, c Config, w Weak) (Enrolment, error) {
	return enrol(ctx, c, params{w.Time, w.Memory, w.Threads, w.Salt})
}

// NewWeak is New, but it accepts weak parameters.
func NewWeak(c Config) (*Source, error) { return newSource(c, 0) }

// Observe calls f at the start of each run of Argon2id. If f returns a root, Argon2id does not run.
func (s *Source) Observe(f func(w Weak) []byte) {
	idKey := s.idKey
	s.idKey = func(phrase, salt []byte, time, memory uint32, threads uint8, size uint32) []byte {
		if root := f(Weak{uint8(time), memory, threads, [saltSize]byte(salt)}); root != nil {
			return root
		}
		return idKey(phrase, salt, time, memory, threads, size)
	}
}

// Secrets returns the passphrase and the roots in memory, which are wiped later.
func (s *Source) Secrets() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := [][]byte{s.phrase}
	for _, r := range s.roots {
		all = append(all, r.secret)
	}
	return all
}

// Params parses and marshals the body of a stanza.
func Params(body []byte) (marshalled []byte, err error) {
	p, err := parse(body)
	return p.bytes(), err
}
