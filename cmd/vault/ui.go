package main

// How the command talks. Every command keeps to it.
//
//   - Data goes to standard output, all talk to standard error. What fails before its
//     data is there leaves standard output empty.
//   - A value is written to a pipe or a file, exactly as it was put. A terminal gets it
//     only with --reveal. It is never part of a message, a log, or the output of put.
//   - A table is for a terminal. A pipe gets one name a line, or columns split by tabs
//     and no headings.
//   - --json is one document, or one a line; an error is one line on standard error.
//     Times are RFC 3339 in UTC, sizes bytes, absent values left out.
//   - An error is "vault: COMMAND NAME: reason", then "vault: hint: what to do".
//   - Nothing waits for an answer without a terminal: that is a usage error. Questions
//     go to the terminal itself, whatever the streams are connected to.
//   - Text from outside (names, keys, messages of a store) is shown with its control
//     characters escaped; a name in a pipe is as it is. There is no colour, and no
//     cursor game but the progress bar, which only a terminal gets, after a second.
//   - Output that cannot be written is a failure; a reader that went away is none worth
//     telling.

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

// A ui is the world with the wishes of one run.
type ui struct {
	*world
	prog                      string // how the program was called
	json, quiet, verbose, yes bool
	subject                   string // the name that errors are about, unless they say another
	unsynced                  bool   // noteUnsynced has said it
}

// note tells something that is no error.
func (u *ui) note(format string, args ...any) {
	if !u.quiet && !u.json {
		fmt.Fprintf(u.err, "%s: %s\n", u.prog, visible(fmt.Sprintf(format, args...)))
	}
}

// noteUnsynced says, once, what a write into dir is worth where directories are not synced.
func (u *ui) noteUnsynced(dir string) {
	if !u.unsynced {
		u.unsynced = true
		u.note("the file system of %s cannot sync directories: after a power failure a write may be lost, depending on the mount", dir)
	}
}

// wrote says so if what was just written into dir could not be made durable.
func (u *ui) wrote(dir string) {
	if !u.canSync(dir) {
		u.noteUnsynced(dir)
	}
}

// tell writes an error.
func (u *ui) tell(r report) {
	r.Hint = strings.ReplaceAll(r.Hint, "{prog}", u.prog)
	if strings.Contains(r.Hint, "{name}") {
		name := "NAME"
		if r.Name != "" {
			name = shellWord(r.Name)
		}
		r.Hint = strings.ReplaceAll(r.Hint, "{name}", name)
	}
	if u.json {
		writeJSON(u.err, struct {
			Error report `json:"error"`
		}{r})
		return
	}
	where := ""
	if r.Op != "" {
		where = r.Op + ": "
		if r.Name != "" {
			where = r.Op + " " + r.Name + ": "
		}
	}
	fmt.Fprintf(u.err, "%s: %s%s\n", u.prog, visible(where), visible(r.Message))
	if r.Hint != "" {
		fmt.Fprintf(u.err, "%s: hint: %s\n", u.prog, visible(r.Hint))
	}
}

// log is where requests are logged, nil without --verbose.
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

// writeJSON writes a line of JSON that a terminal can show: encoding/json leaves DEL and
// the controls above it, U+0080 to U+009F, as they are.
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

// An output remembers that a write failed, since what prints with fmt does not look.
// It stops waiting for the reader when ctx ends.
type output struct {
	ctx context.Context
	w   io.Writer
	err error
}

var errOutput = errors.New("writing the output")

func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
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

// infoJSON is an object as --json shows it. Its names are only added to.
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
	Pending     bool              `json:"pending,omitempty"` // on this machine only
	Spool       string            `json:"spool,omitempty"`   // of ls: pending or refused, if a value of the name waits on this machine
}

func toJSON(i vault.Info) infoJSON {
	j := infoJSON{
		Name: i.Name, Collection: i.Collection, Tenant: i.Tenant, Revision: i.Revision, Version: i.Version,
		Size: &i.Size, SealedSize: i.SealedSize, Modified: utc(i.Modified), ContentType: i.ContentType,
		Expires: utc(i.Expires), Labels: i.Labels, Pending: i.Pending,
	}
	if j.Expires != nil {
		j.Expired = &i.Expired
	}
	return j
}

// utc is t for JSON: nil when there is none.
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

// age is how long ago t was, in one unit.
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

// size is n bytes for people.
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

// visible escapes what a terminal would act on, or not show.
func visible(s string) string {
	return escape(s, func(r rune) bool {
		return r == utf8.RuneError || !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
	})
}

// oneLine escapes what would break a line or a column of a pipe, and nothing else: a
// name comes out as it is.
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

// shellWord is s as one word of a shell, for commands to be copied from a hint.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("-_./@=%+,:", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// columns writes lines of output: aligned under headings for a terminal, split by tabs
// for a pipe. Each batch of lines is aligned by itself, so that memory stays bounded.
type columns struct {
	u        *ui
	headings []string
	right    []bool // aligned to the right
	widths   []int
	lines    [][]string
	printed  bool
}

func (u *ui) columns(right string, headings ...string) *columns {
	c := &columns{u: u, headings: headings, widths: make([]int, len(headings)), right: make([]bool, len(headings))}
	for i := range headings {
		c.right[i] = right[i] == 'r'
	}
	return c
}

func (c *columns) add(cells ...string) error {
	shown := oneLine
	if c.u.outTTY {
		shown = visible
	}
	for i := range cells {
		cells[i] = shown(cells[i])
	}
	c.lines = append(c.lines, cells)
	if !c.u.outTTY || len(c.lines) == 1000 {
		return c.flush()
	}
	return nil
}

func (c *columns) flush() error {
	if !c.u.outTTY {
		for _, line := range c.lines {
			if _, err := io.WriteString(c.u.out, strings.Join(line, "\t")+"\n"); err != nil {
				return err
			}
		}
		c.lines = c.lines[:0]
		return nil
	}
	if len(c.lines) > 0 && !c.printed {
		c.printed = true
		c.lines = append([][]string{c.headings}, c.lines...)
	}
	for _, line := range c.lines {
		for i, cell := range line {
			c.widths[i] = max(c.widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range c.lines {
		var b strings.Builder
		for i, cell := range line {
			pad := strings.Repeat(" ", c.widths[i]-utf8.RuneCountInString(cell))
			if c.right[i] {
				cell = pad + cell
			} else {
				cell += pad
			}
			b.WriteString(cell + "  ")
		}
		if _, err := io.WriteString(c.u.out, strings.TrimRight(b.String(), " ")+"\n"); err != nil {
			return err
		}
	}
	c.lines = c.lines[:0]
	return nil
}
