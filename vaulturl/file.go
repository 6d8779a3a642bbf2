package vaulturl

import (
	"context"
	"strconv"
	"strings"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// parseFile parses the URL of a local store: file:///DIR?versions=N or mem://.
func parseFile(u parsedURL, o *Options) (*Location, error) {
	c := memfs.Config{Now: o.Now, LockTimeout: o.Timeout, MustExist: o.MustExist, Unsynced: o.Unsynced}
	known := []string{}
	switch u.Scheme {
	case "mem":
		if u.Host != "" || strings.Trim(u.Path, "/") != "" || u.Opaque != "" {
			return nil, bad("the URL must be mem:// without anything after it")
		}
	case "file":
		known = []string{"versions"}
		dir, err := localPath(u.Path)
		if err != nil || u.Host != "" || u.Opaque != "" || u.User != nil || u.Path == "" || u.Path == "/" {
			return nil, bad("the URL must have the form file:///DIR with an absolute path")
		}
		c.Dir = dir
	}
	if err := u.only(known...); err != nil {
		return nil, err
	}
	if text := u.query.Get("versions"); u.query.Has("versions") {
		n, err := strconv.ParseUint(text, 10, 20)
		if err != nil {
			return nil, bad("versions=%s is not a number from 0 to 1048575", text)
		}
		c.Versions = int(n)
		if n == 0 {
			c.Versions = -1 // no versions; 0 means the default
		}
	}
	return &Location{
		Scheme: u.Scheme, Dir: c.Dir, options: o,
		open: func(ctx context.Context, _ *federation.Provider) (*vault.Store, error) { return memfs.Open(ctx, c) },
	}, nil
}
