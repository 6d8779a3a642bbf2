package main

import (
	"debug/buildinfo"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
)

// firstOnPath looks at the program that a shell finds by our name: another one, such as
// HashiCorp's, may have it too.
func (s *session) firstOnPath() doctor.Line {
	line := func(status doctor.Status, hint, format string, args ...any) doctor.Line {
		return doctor.Line{Check: "path", Status: status, Message: fmt.Sprintf(format, args...), Hint: hint}
	}
	ours, ok := debug.ReadBuildInfo()
	if !ok || ours.Main.Path == "" {
		return line(doctor.Skipped, "", "this program has no build information to compare with the one on PATH")
	}
	name := s.prog
	if s.goos == "windows" {
		name += ".exe"
	}
	for _, dir := range filepath.SplitList(s.getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		path := filepath.Join(dir, name)
		f, _, err := s.world.open(path)
		if err != nil {
			continue
		}
		defer f.Close()
		const hint = "put the correct program first on PATH, or install this one under another name"
		r, ok := f.(io.ReaderAt)
		if !ok {
			break
		}
		switch its, err := buildinfo.Read(r); {
		case err != nil || its.Main.Path != ours.Main.Path:
			return line(doctor.Warning, hint, "%s, first on PATH, is another program", path)
		case its.Main.Version != ours.Main.Version:
			return line(doctor.Warning, hint, "%s, first on PATH, is version %s; this is %s", path, its.Main.Version, ours.Main.Version)
		}
		return line(doctor.OK, "", "%s, first on PATH, is this version of this program", path)
	}
	return line(doctor.Skipped, "", "no %s on PATH", name)
}
