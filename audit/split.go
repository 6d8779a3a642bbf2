package audit

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
)

// A piece is the text of one record, and its place in the log. The text is valid until the next one.
type piece struct {
	text   []byte
	line   int
	offset int64
}

// lines returns the lines of a log that are not empty. A line that is longer than limit is a ParseError.
func lines(r *bufio.Reader, d Dialect, limit int) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		var text []byte
		p := piece{line: 1}
		next, long := int64(0), false
		for {
			part, err := r.ReadSlice('\n')
			next += int64(len(part))
			// Line feeds and carriage returns do not count.
			if long = long || len(text)+len(bytes.TrimRight(part, "\r\n")) > limit; long {
				text = text[:0]
			} else {
				text = append(text, part...)
			}
			if err == bufio.ErrBufferFull {
				continue
			}
			if err != nil && err != io.EOF {
				yield(piece{}, err)
				return
			}
			p.text = bytes.TrimRight(text, "\r\n")
			switch {
			case long:
				if !yield(piece{}, &ParseError{Dialect: d, Line: p.line, Offset: p.offset, Problem: tooLong}) {
					return
				}
			case len(bytes.TrimSpace(p.text)) > 0:
				if !yield(p, nil) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			text, long = text[:0], false
			p.line, p.offset = p.line+1, next
		}
	}
}

const tooLong = "the record is too long"

// objects returns the JSON objects of a log. Ceph writes several of them into one line if there are many
// requests, and a socket writes brackets and commas between them. No object continues in the next line, so
// that one that is damaged does not affect the next line.
func objects(r *bufio.Reader, d Dialect, limit int) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		s := &splitter{r: r, limit: limit, oneLine: true}
		line := 1
		for {
			c, err := s.byte()
			if err == io.EOF {
				return
			} else if err != nil {
				yield(piece{}, err)
				return
			}
			p := piece{line: line, offset: s.offset - 1}
			problem := ""
			switch c {
			case '\n':
				line++
				continue
			case ' ', '\t', '\r', ',', '[', ']':
				continue
			case '{':
				p.text, err = s.element(c)
				switch {
				case err == errLineEnd:
					problem, err = "the line ends inside the record", nil
				case err == io.EOF:
					problem, err = "the log ends inside a record", nil
				case p.text == nil:
					problem = tooLong
				}
			default:
				problem = "this is no JSON object"
				err = s.skipLine()
			}
			if err != nil && err != io.EOF {
				yield(piece{}, err)
				return
			}
			if problem != "" {
				p, err = piece{}, &ParseError{Dialect: d, Line: p.line, Offset: p.offset, Problem: problem}
			} else {
				err = nil
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

var errLineEnd = errors.New("the line ends")

// skipLine reads up to the end of the line, and leaves it.
func (s *splitter) skipLine() error {
	for {
		next, err := s.r.Peek(1)
		if err != nil || next[0] == '\n' {
			return err
		}
		s.byte()
	}
}

// elements returns the elements of the arrays "Records" of one or more JSON documents. It only matches
// brackets and strings, so that an element that is no valid JSON, or is longer than limit, does not
// affect the next one.
func elements(r *bufio.Reader, d Dialect, limit int) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		s := &splitter{r: r, limit: limit}
		problem := func(offset int64, text string) error {
			return &ParseError{Dialect: d, Offset: offset, Problem: text}
		}
		for {
			switch found, err := s.openRecords(); {
			case err == io.EOF:
				return
			case err != nil:
				yield(piece{}, err)
				return
			case !found:
				yield(piece{}, problem(s.offset, "the list of records is missing"))
				return
			}
			for {
				start, err := s.next()
				if err == io.EOF {
					yield(piece{}, problem(s.offset, "the log ends inside the list of records"))
					return
				} else if err != nil {
					yield(piece{}, err)
					return
				}
				if start == ']' {
					break
				}
				if start == ',' {
					continue
				}
				at := s.offset - 1
				text, err := s.element(start)
				switch {
				case err == io.EOF:
					yield(piece{}, problem(at, "the log ends inside a record"))
					return
				case err != nil:
					yield(piece{}, err)
					return
				case text == nil:
					err = problem(at, tooLong)
				}
				if !yield(piece{text: text, offset: at}, err) {
					return
				}
			}
			// The rest of the document: the closing brace.
			if c, err := s.next(); err != nil && err != io.EOF {
				yield(piece{}, err)
				return
			} else if err == io.EOF || c != '}' {
				yield(piece{}, problem(s.offset, "the log does not end after the list of records"))
				return
			}
		}
	}
}

type splitter struct {
	r      *bufio.Reader
	limit  int
	offset int64
	buf    []byte

	oneLine bool // an element must not contain a line feed, which is not read then
}

func (s *splitter) byte() (byte, error) {
	c, err := s.r.ReadByte()
	if err == nil {
		s.offset++
	}
	return c, err
}

// next returns the next byte that is not white space.
func (s *splitter) next() (byte, error) {
	for {
		c, err := s.byte()
		if err != nil || c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, err
		}
	}
}

// openRecords reads {"Records":[. The error is io.EOF only if nothing but white space follows.
func (s *splitter) openRecords() (found bool, err error) {
	for i, want := range []byte(`{"Records":[`) {
		c, err := s.next()
		for i == 0 && (c == 0xef || c == 0xbb || c == 0xbf) && err == nil { // a byte order mark
			c, err = s.next()
		}
		if err != nil {
			if i > 0 && err == io.EOF {
				err = nil
			}
			return false, err
		}
		if c != want {
			return false, nil
		}
	}
	return true, nil
}

// element returns the text of the element that starts with the byte start, or nil if it is too long.
func (s *splitter) element(start byte) ([]byte, error) {
	s.buf = s.buf[:0]
	long, inString, escaped, depth := false, false, false, 0
	for c := start; ; {
		if long = long || len(s.buf) == s.limit; !long {
			s.buf = append(s.buf, c)
		}
		switch {
		case escaped:
			escaped = false
		case inString && c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if depth <= 0 && !inString {
			// The end of an object. A bare number, word or string ends before a comma or a bracket.
			if c == '}' || c == ']' {
				break
			}
			if next, err := s.r.Peek(1); err != nil {
				return nil, err
			} else if next[0] == ',' || next[0] == ']' || next[0] == '}' {
				break
			}
		}
		if s.oneLine {
			if next, err := s.r.Peek(1); err == nil && next[0] == '\n' {
				return nil, errLineEnd
			}
		}
		var err error
		if c, err = s.byte(); err != nil {
			return nil, err
		}
	}
	if long {
		return nil, nil
	}
	return s.buf, nil
}
