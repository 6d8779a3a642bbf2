package main

// The rules for the output of every command:
//
//   - Data goes to standard output, and all messages go to standard error. If a command fails
//     before it has data, standard output stays empty.
//   - A value is written unchanged to a pipe or a file, and to a terminal only with --reveal. A
//     value is never part of a message, a log, or the output of put.
//   - A terminal gets a table with headings. A pipe gets one name per line, or columns that are
//     separated by tabs, without headings.
//   - --json prints one document, or one document per line. An error is one line on standard
//     error. Times are RFC 3339 in UTC, sizes are in bytes, and absent values are omitted.
//   - An error is "vault: COMMAND NAME: reason", then "vault: hint: what to do".
//   - Without a terminal, a command does not ask questions: it returns a usage error. With a
//     terminal, it asks on the terminal itself, even if the standard streams are redirected.
//   - Control characters in external text (names, keys, messages of a store) are escaped. A name
//     in a pipe is unchanged. The progress bar is the only text that moves the cursor; only a
//     terminal gets it, after one second.
//   - What needs attention is bold, or bold and red, on a terminal: see emphasis.go. The text has the
//     same information without it. Messages on standard error have no emphasis.
//   - Output that cannot be written is an error. If the reader has closed the pipe, the command
//     exits without a message.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/objectvault/objectvault/vault"
)

// A ui is the world with the output flags of one run.
type ui struct {
	*world
	prog                      string // the name by which the program was called
	json, quiet, verbose, yes bool
	subject                   string // the name that is shown for errors without a name
	selected                  string // the start of a command for the same vault: see selectVault; empty: prog
	unsynced                  bool   // noteUnsynced was called
}

// note prints a message that is not an error.
func (u *ui) note(format string, args ...any) {
	if !u.quiet && !u.json {
		fmt.Fprintf(u.err, "%s: %s\n", u.prog, visible(fmt.Sprintf(format, args...)))
	}
}

// noteUnsynced warns once that a write into dir may be lost after a power failure, because the
// file system cannot sync directories.
func (u *ui) noteUnsynced(dir string) {
	if !u.unsynced {
		u.unsynced = true
		u.note("the file system of %s cannot sync directories: depending on its mount options, a write may be lost after a power failure", dir)
	}
}

// noteIfUnsynced warns if the file system of dir cannot sync directories, so that a file that was
// just written there may not be durable.
func (u *ui) noteIfUnsynced(dir string) {
	if !u.canSync(dir) {
		u.noteUnsynced(dir)
	}
}

// filled replaces the placeholders of a hint. A report that is a part of a JSON line needs it, too.
func (u *ui) filled(r report) report {
	name := "NAME"
	if r.Name != "" {
		name = shellWord(r.Name)
	}
	r.Hint = u.filledText(r.Hint, name)
	return r
}

// filledText replaces {prog} by the program, {vault} by the program and the flags that select the vault,
// and {name} by name.
func (u *ui) filledText(text, name string) string {
	return strings.NewReplacer("{prog}", u.prog, "{vault}", u.command(""), "{name}", name).Replace(text)
}

// printError prints an error and its hint.
func (u *ui) printError(r report) {
	r = u.filled(r)
	if u.json {
		writeJSON(u.err, struct {
			Error report `json:"error"`
		}{r})
		return
	}
	operation := ""
	if r.Op != "" {
		operation = r.Op + ": "
		if r.Name != "" {
			operation = r.Op + " " + r.Name + ": "
		}
	}
	fmt.Fprintf(u.err, "%s: %s%s\n", u.prog, visible(operation), visible(r.Message))
	if r.Hint != "" {
		fmt.Fprintf(u.err, "%s: hint: %s\n", u.prog, visible(r.Hint))
	}
}

// log returns the logger for requests, or nil without --verbose.
func (u *ui) log() *slog.Logger {
	switch {
	case !u.verbose:
		return nil
	case u.json:
		return slog.New(slog.NewJSONHandler(u.err, nil))
	}
	return slog.New(slog.NewTextHandler(u.err, nil))
}

// print writes one JSON document as a line of output.
func (u *ui) print(document any) error { return writeJSON(u.out, document) }

// writeJSON writes a line of JSON that is safe for a terminal: it also escapes DEL and the control
// characters U+0080 to U+009F, which encoding/json does not escape.
func writeJSON(w io.Writer, document any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(document); err != nil {
		return err
	}
	line := b.String()
	if strings.IndexFunc(line, isC1) >= 0 {
		var safe strings.Builder
		for _, r := range line { // such a rune is inside a string
			if isC1(r) {
				fmt.Fprintf(&safe, `\u%04x`, r)
			} else {
				safe.WriteRune(r)
			}
		}
		line = safe.String()
	}
	_, err := io.WriteString(w, line)
	return err
}

func isC1(r rune) bool { return 0x7f <= r && r <= 0x9f }

// An output stores the first write error, because code that prints with fmt ignores it. Write stops
// waiting for the reader when ctx ends.
type output struct {
	ctx context.Context
	w   io.Writer
	err error

	direct bool // w never blocks for long: it is a regular file
}

var errOutput = errors.New("writing the output")

func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	if o.direct && o.ctx.Err() == nil {
		n, err := o.w.Write(p)
		if err != nil {
			o.err = fmt.Errorf("%w: %w", errOutput, err)
		}
		return n, o.err
	}
	type result struct {
		n   int
		err error
	}
	written := make(chan result, 1)
	go func() {
		n, err := o.w.Write(p)
		written <- result{n, err}
	}()
	select {
	case r := <-written:
		if r.err != nil {
			o.err = fmt.Errorf("%w: %w", errOutput, r.err)
		}
		return r.n, o.err
	case <-o.ctx.Done():
		o.err = o.ctx.Err()
		return 0, o.err
	}
}

// infoJSON is the JSON form of an object. Names may be added, but are never changed or removed.
type infoJSON struct {
	Name        vault.Name        `json:"name,omitempty"`
	Key         string            `json:"key,omitempty"` // of a foreign object
	Foreign     bool              `json:"foreign,omitempty"`
	Collection  vault.Collection  `json:"collection,omitempty"`
	Tenant      vault.Tenant      `json:"tenant,omitempty"`
	Revision    int64             `json:"revision,omitempty"`
	Version     string            `json:"version,omitempty"`
	Size        *int64            `json:"size,omitempty"`
	SealedSize  int64             `json:"sealed_size,omitempty"`
	Modified    *time.Time        `json:"modified,omitempty"`
	ContentType string            `json:"content_type,omitempty"`
	Expires     *time.Time        `json:"expires,omitempty"`
	Expired     *bool             `json:"expired,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Value       *[]byte           `json:"value_b64,omitempty"`
	MissingKeys []string          `json:"missing_keys,omitempty"` // of put: key sources that cannot open the object yet
	Pending     bool              `json:"pending,omitempty"`      // on this machine only
	Unfinished  int64             `json:"unfinished,omitempty"`   // of put: bytes of uploads that may remain
	Format      string            `json:"format,omitempty"`       // agentkeys-v1, agentkeys-v2 or agentkeys-worker; absent: an envelope
	Mirror      string            `json:"mirror,omitempty"`       // that returned the object, in place of the first store
	Behind      []string          `json:"behind,omitempty"`       // of put: stores that do not have the value yet
	Spool       string            `json:"spool,omitempty"`        // of ls: pending or refused, if a value of the name waits on this machine
	DeletedFrom *time.Time        `json:"deleted_from,omitempty"` // of ls --expiring: from when a lifecycle rule may delete the object
	FirstExpiry *time.Time        `json:"first_expiry,omitempty"` // of ls --expiring: the earlier of expires and deleted_from
	ExpiresBy   string            `json:"expires_by,omitempty"`   // of ls --expiring: value or lifecycle, whichever is earlier
}

func toJSON(i vault.Info) infoJSON {
	j := infoJSON{
		Name: i.Name, Collection: i.Collection, Tenant: i.Tenant, Revision: i.Revision, Unfinished: i.Unfinished, Version: i.Version,
		Size: &i.Size, SealedSize: i.SealedSize, Modified: utc(i.Modified), ContentType: i.ContentType,
		Expires: utc(i.Expires), Labels: i.Labels, Pending: i.Pending, MissingKeys: i.MissingKeys, Mirror: i.Mirror,
	}
	if j.Expires != nil {
		j.Expired = &i.Expired
	}
	if i.Legacy != "" {
		j.Format, j.Key = "agentkeys-"+i.Legacy, i.LegacyKey
	}
	return j
}

// utc returns t for JSON, or nil if t is zero.
func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// age returns the time since t, in one unit.
func age(now, t time.Time) string {
	d := now.Sub(t)
	const day = 24 * time.Hour
	switch {
	case t.IsZero():
		return ""
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < day:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}

// size returns n bytes in a readable unit.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	units, f := "KMGTPE", float64(n)/1024
	for f >= 1023.95 && len(units) > 1 {
		units, f = units[1:], f/1024
	}
	return fmt.Sprintf("%.1f %ciB", f, units[0])
}

// visible escapes the characters that a terminal would interpret or would not show.
func visible(s string) string {
	return escape(s, func(r rune) bool {
		return r == utf8.RuneError || !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
	})
}

// oneLine escapes only control characters, which would break a line or a column in a pipe.
func oneLine(s string) string { return escape(s, unicode.IsControl) }

func escape(s string, hidden func(rune) bool) string {
	if strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		_, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case !hidden(r):
			b.WriteString(s[i : i+n])
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// shellWord quotes s as one word of a shell, so that a command in a hint can be copied.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("-_./@=%+,:", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// columns writes lines of output: aligned under headings for a terminal, or separated by tabs for
// a pipe. Each batch of lines is aligned separately, to limit the use of memory.
type columns struct {
	u        *ui
	headings []string
	right    []bool // aligned to the right
	stressed []bool // has the emphasis of its line
	widths   []int
	lines    []columnsLine
	printed  bool
	batch    int // lines that are written to a pipe at a time; 0: one
}

type columnsLine struct {
	cells    []string
	emphasis emphasis
}

// columns returns columns with these headings. layout has a letter for each: l for a column that is
// aligned to the left, r for one that is aligned to the right. L and R are columns with the emphasis
// of their lines.
func (u *ui) columns(layout string, headings ...string) *columns {
	c := &columns{u: u, headings: headings, widths: make([]int, len(headings)), right: make([]bool, len(headings)), stressed: make([]bool, len(headings))}
	for i := range headings {
		c.right[i] = layout[i] == 'r' || layout[i] == 'R'
		c.stressed[i] = layout[i] == 'L' || layout[i] == 'R'
	}
	return c
}

// add adds a line.
func (c *columns) add(cells ...string) error { return c.addEmphasized(noEmphasis, cells...) }

// addEmphasized adds a line with an emphasis.
func (c *columns) addEmphasized(e emphasis, cells ...string) error {
	shown := oneLine
	if c.u.outTTY {
		shown = visible
	}
	for i := range cells {
		cells[i] = shown(cells[i])
	}
	c.lines = append(c.lines, columnsLine{cells, e})
	if !c.u.outTTY && len(c.lines) >= c.batch || len(c.lines) == 1000 {
		return c.flush()
	}
	return nil
}

func (c *columns) flush() error {
	if !c.u.outTTY {
		var b strings.Builder
		for _, line := range c.lines {
			for i := range line.cells {
				line.cells[i] = c.shown(line, i)
			}
			b.WriteString(strings.Join(line.cells, "\t") + "\n")
		}
		c.lines = c.lines[:0]
		if b.Len() == 0 {
			return nil
		}
		_, err := io.WriteString(c.u.out, b.String())
		return err
	}
	if len(c.lines) > 0 && !c.printed {
		c.printed = true
		c.lines = append([]columnsLine{{cells: c.headings}}, c.lines...)
	}
	for _, line := range c.lines {
		for i, cell := range line.cells {
			c.widths[i] = max(c.widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range c.lines {
		var b strings.Builder
		for i, cell := range line.cells {
			pad, shown := strings.Repeat(" ", c.widths[i]-utf8.RuneCountInString(cell)), c.shown(line, i)
			if c.right[i] {
				shown = pad + shown
			} else {
				shown += pad
			}
			b.WriteString(shown + "  ")
		}
		if _, err := io.WriteString(c.u.out, strings.TrimRight(b.String(), " ")+"\n"); err != nil {
			return err
		}
	}
	c.lines = c.lines[:0]
	return nil
}

// shown returns a cell of a line, with the emphasis of the line if the column has it.
func (c *columns) shown(line columnsLine, i int) string {
	if !c.stressed[i] {
		return line.cells[i]
	}
	return c.u.emphasized(line.emphasis, line.cells[i])
}
