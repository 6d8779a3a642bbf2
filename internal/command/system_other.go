//go:build !unix

package command

import "os/exec"

// endTogether does nothing: when the context ends, only cmd itself is killed.
func endTogether(*exec.Cmd) {}
