//go:build !linux

package testcloud

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

const unsupported = "the test servers need linux, and this is " + runtime.GOOS

func dieWithThread() *syscall.SysProcAttr { return nil }

func inGroup(*exec.Cmd) {}

func signalGroup(*exec.Cmd, syscall.Signal) error { return errors.New(unsupported) }

func tryLock(*os.File) (bool, error) { return false, errors.New(unsupported) }
