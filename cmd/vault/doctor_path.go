package main

import (
	"debug/buildinfo"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
)

// firstOnPath checks whether a shell that searches for this program's name finds this program.
// Other programs have the same name, such as HashiCorp Vault.
func (s *session) firstOnPath() doctor.Line {
	line := func(status doctor.Status, hint, format string, args ...any) doctor.Line {
		return doctor.Line{Check: "path", Status: status, Message: fmt.Sprintf(format, args...), Hint: hint}
	}
	ours, ok := debug.ReadBuildInfo()
	if !ok || ours.Main.Path == "" {
		return line(doctor.Skipped, "", "this program contains no build information, so it cannot be compared with the program on PATH")
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
		const hint = "put this program first on PATH, or install it under another name"
		r, ok := f.(io.ReaderAt)
		if !ok {
			break
		}
		switch found, err := buildinfo.Read(r); {
		case err != nil || found.Main.Path != ours.Main.Path:
			return line(doctor.Warning, hint, "%s is first on PATH, and is another program", path)
		case found.Main.Version != ours.Main.Version:
			return line(doctor.Warning, hint, "%s is first on PATH, and is version %s; this program is version %s", path, found.Main.Version, ours.Main.Version)
		}
		return line(doctor.OK, "", "%s is first on PATH, and is the same version of this program", path)
	}
	return line(doctor.Skipped, "", "there is no program %s on PATH", name)
}
