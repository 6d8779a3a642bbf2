package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
)

// lines prints each result of the doctor immediately, as text with the hint below it, or as JSON.
type lines struct {
	u       *ui
	stop    func()      // ends the run
	err     error       // set if the output failed, which also ends the run
	cleanup doctor.Line // the result of the cleanup
}

func (l *lines) report(line doctor.Line) {
	if line.Check == "cleanup" {
		l.cleanup = line
	}
	line.Message, line.Hint = l.u.filledText(line.Message, "NAME"), l.u.filledText(line.Hint, "NAME")
	if err := l.write(line); err != nil {
		l.err = err
		l.stop()
	}
}

func (l *lines) write(line doctor.Line) error {
	if l.u.json {
		return l.u.print(struct {
			Check   string        `json:"check"`
			Status  doctor.Status `json:"status"`
			Message string        `json:"message"`
			Hint    string        `json:"hint,omitempty"`
		}{line.Check, line.Status, line.Message, line.Hint})
	}
	status, e := string(line.Status), noEmphasis
	switch line.Status {
	case doctor.Fail, doctor.Broken:
		status, e = strings.ToUpper(status), alarming
	case doctor.Warning, doctor.NotProven:
		e = notable
	}
	text := fmt.Sprintf("%s  %s\n", l.u.emphasized(e, fmt.Sprintf("%-10s", status)), visible(line.Message))
	if line.Hint != "" {
		text += fmt.Sprintf("%-10s  hint: %s\n", "", visible(line.Hint))
	}
	_, err := fmt.Fprint(l.u.out, text)
	return err
}

// setting prints a setting of the run.
func (l *lines) setting(name, value, from string) {
	if from != "" {
		value += " (" + from + ")"
	}
	l.report(doctor.Line{Check: "setting-" + name, Status: doctor.Info, Message: name + ": " + value})
}

// verdict returns the error with which the command ends.
func (l *lines) verdict(ctx context.Context, sum doctor.Summary) error {
	if ctx.Err() != nil && l.cleanup.Status == doctor.Warning { // the output is already closed
		l.u.note("%s", l.cleanup.Message)
	}
	switch {
	case sum[doctor.Broken] > 0:
		return fmt.Errorf("%w: objects of other tenants were accessible in %s", errIsolationBroken, plural(sum[doctor.Broken], "check", "checks"))
	case l.err != nil:
		return l.err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	l.u.note("%d ok, %s, %d failed, %d not proven, %d skipped",
		sum[doctor.OK], plural(sum[doctor.Warning], "warning", "warnings"), sum[doctor.Fail], sum[doctor.NotProven], sum[doctor.Skipped])
	if n := sum[doctor.Fail]; n > 0 {
		return fmt.Errorf("%s failed", plural(n, "check", "checks"))
	}
	return nil
}
