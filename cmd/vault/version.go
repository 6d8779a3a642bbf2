package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

func versionCommand(s *session) *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print the version",
		UsageText: s.prog + " version",
		Description: "Examples:\n" +
			"   " + s.prog + " version --json",
		Action: s.action(s.version),
	}
}

func (s *session) version(context.Context) error {
	if _, err := s.arguments(0, 0); err != nil {
		return err
	}
	v := struct {
		Version string `json:"version"`
		Commit  string `json:"commit,omitempty"`
		Go      string `json:"go"`
		System  string `json:"system"`
	}{version, "", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if v.Version == "" {
			v.Version = info.Main.Version
		}
		for _, b := range info.Settings {
			switch {
			case b.Key == "vcs.revision":
				v.Commit = b.Value + v.Commit
			case b.Key == "vcs.modified" && b.Value == "true":
				v.Commit += "-dirty"
			}
		}
	}
	if v.Version == "" {
		v.Version = "unknown"
	}
	if s.json {
		return s.print(v)
	}
	commit := v.Commit
	if commit != "" {
		commit = " commit " + commit
	}
	_, err := fmt.Fprintf(s.out, "%s %s%s %s %s\n", s.prog, v.Version, commit, v.Go, v.System)
	return err
}
