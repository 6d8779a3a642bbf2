package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
)

// A trace is what remains in memory of a removed value: pieces that are searched for in the file.
type trace struct {
	service string
	pieces  [][]byte
}

const (
	minPiece = 8 // shorter values are in many files by chance
	maxPiece = 64
	chunk    = 1 << 20 // of a file that is searched
)

// newTrace returns the trace of a value. A long value is not contiguous in the file, and its start and
// end may be those of other values, as in PEM. So its pieces are from the middle.
func newTrace(service string, value []byte) trace {
	t := trace{service: service}
	switch n := len(value); {
	case n < minPiece:
	case n <= 2*maxPiece:
		t.pieces = [][]byte{bytes.Clone(value)}
	default:
		for _, at := range []int{n / 4, n / 2, n / 4 * 3} {
			t.pieces = append(t.pieces, bytes.Clone(value[at:min(at+maxPiece, n)]))
		}
	}
	return t
}

func (t trace) clear() {
	for _, p := range t.pieces {
		clear(p)
	}
}

// dropShared returns the traces of which no row contains a piece. A remark reports the others.
func (s *Source) dropShared(ctx context.Context, conn *sql.Conn, traces []trace, report *migrate.ShredReport) (rest []trace) {
	for _, t := range traces {
		if t.isIn(ctx, conn) {
			report.Remarks = append(report.Remarks, fmt.Sprintf("The value of %q is also part of another row in %s, which was not removed.", t.service, s.file))
			t.clear()
			continue
		}
		rest = append(rest, t)
	}
	return rest
}

// isIn reports whether a row of the table contains a piece. After an error it returns false, because
// the search of the file finds the piece.
func (t trace) isIn(ctx context.Context, conn *sql.Conn) (found bool) {
	for _, p := range t.pieces {
		err := conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM credentials WHERE instr(CAST(ciphertext AS BLOB), ?) > 0)`, p).Scan(&found)
		if err != nil || found {
			return found
		}
	}
	return false
}

// search returns a remark for each removed value that the file or a journal still contains.
func (s *Source) search(traces []trace) (remarks []string) {
	for _, end := range []string{"", "-wal", "-journal"} {
		found, err := searchFile(s.file+end, traces)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			remarks = append(remarks, fmt.Sprintf("%s could not be searched for removed values.", s.file+end))
		}
		for i, t := range traces {
			if found[i] {
				remarks = append(remarks, fmt.Sprintf("The value of %q is still in %s. %s", t.service, s.file+end, hintVacuum))
			}
		}
	}
	return remarks
}

// searchFile reports for each trace whether the file contains a piece of it.
func searchFile(file string, traces []trace) (found []bool, err error) {
	found = make([]bool, len(traces))
	f, err := os.Open(file)
	if err != nil {
		return found, err
	}
	defer f.Close()
	const overlap = 2*maxPiece - 1 // a piece may be in two chunks
	buf := make([]byte, overlap+chunk)
	defer clear(buf)
	for kept := 0; ; {
		n, err := io.ReadFull(f, buf[kept:])
		for i, t := range traces {
			for _, p := range t.pieces {
				found[i] = found[i] || bytes.Contains(buf[:kept+n], p)
			}
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return found, nil
		case err != nil:
			return found, err
		}
		kept = copy(buf, buf[len(buf)-overlap:])
	}
}
