package main

import (
	"context"
	"fmt"
	"io"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// install installs the named servers, or all of them.
func install(ctx context.Context, w *world, names []string) error {
	known := map[string]func(context.Context, io.Writer) error{"rgw": testcloud.InstallRGW, "versity": testcloud.InstallVersity, "weed": testcloud.InstallWeed, "kms": testcloud.InstallLocalKMS}
	if len(names) == 0 {
		names = []string{"rgw", "versity", "weed", "kms"}
	}
	for _, name := range names {
		do := known[name]
		if do == nil {
			return fmt.Errorf("no server %q: use rgw, versity, weed or kms", name)
		}
		if err := do(ctx, w.err); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintln(w.err, name, "is installed")
	}
	return nil
}
