package testcloud_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// setPrograms sets PATH to a directory that contains only the given shell scripts.
func setPrograms(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
}

// An installation is announced before the package manager runs.
func TestInstallRGWAnnounces(t *testing.T) {
	setPrograms(t, map[string]string{"apt-get": "echo apt-get $1\n", "apt-cache": ""})
	var log bytes.Buffer
	err := testcloud.InstallRGW(t.Context(), &log)
	if !errors.Is(err, testcloud.ErrNotInstalled) { // the script apt-get installed nothing
		t.Errorf("error %v", err)
	}
	reported := log.String()
	if os.Geteuid() != 0 { // only root installs, so there is no announcement
		reported = err.Error()
	}
	first, rest, _ := strings.Cut(reported, "apt-get update\n")
	for _, want := range []string{"radosgw", "ceph-mon", "ceph-osd", "apt-get"} {
		if !strings.Contains(first, want) {
			t.Errorf("%s is not named before apt-get runs: %q", want, reported)
		}
	}
	if os.Geteuid() == 0 && (!strings.Contains(first, "MB") || rest != "apt-get install\n") {
		t.Errorf("the log is %q", reported)
	}
}

func TestInstallVersityAnnounces(t *testing.T) {
	setPrograms(t, map[string]string{"go": "echo go $1\n: >$GOBIN/versitygw\n"})
	var log bytes.Buffer
	if err := testcloud.InstallVersity(t.Context(), &log); err != nil {
		t.Fatal(err)
	}
	first, _, ran := strings.Cut(log.String(), "go install\n")
	path := filepath.Join(os.Getenv("XDG_CACHE_HOME"), "objectvault-test", "versitygw-v1.8.0")
	if !ran || !strings.Contains(first, testcloud.VersityModule) || !strings.Contains(first, path) {
		t.Errorf("the log is %q, and the program is at %s", log.String(), path)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	log.Reset()
	if err := testcloud.InstallVersity(t.Context(), &log); err != nil || log.Len() > 0 {
		t.Errorf("an installed server is installed again: %v, %q", err, log.String())
	}
}
