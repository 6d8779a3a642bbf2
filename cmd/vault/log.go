package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/oplog"
	"github.com/objectvault/objectvault/vault"
)

// logOperations returns what appends each operation of a vault to the file of --log, or nil without one. A
// file that cannot be written is reported once. It does not make the operation fail, whose result is certain.
func (s *session) logOperations(set config.Settings) func(context.Context, vault.Operation) {
	if set.Log.Text == "" {
		return nil
	}
	l := &oplog.Log{Path: set.Log.Text}
	var failed sync.Once
	return func(ctx context.Context, o vault.Operation) {
		line := oplog.Line{
			Time: o.Start.UTC(), Op: o.Op, Tenant: string(o.Tenant), Collection: string(o.Collection), Name: string(o.Name), Store: o.Store,
			Revision: o.Info.Revision, Tag: o.Info.Tag, Version: o.Info.Version, Names: o.Names, Result: "ok",
			Duration: float64(o.Duration.Microseconds()) / 1000, Requests: o.Requests, Retries: o.Retries, RequestIDs: o.RequestIDs,
			RequestsWithoutID: o.RequestsWithoutID,
		}
		if o.Err != nil {
			line.Result = explain(o.Op, o.Err).Kind
		}
		// The line of an interrupted command is written, too.
		if err := l.Append(context.WithoutCancel(ctx), line); err != nil {
			failed.Do(func() {
				text := "the operation is not in the log"
				if errors.As(err, new(*oplog.RotateError)) {
					text = "the operation is in the log, but"
				}
				fmt.Fprintf(s.err, "%s: %s\n", s.prog, visible(fmt.Sprintf("%s %s: %v", text, set.Log.Text, err)))
			})
		}
	}
}
