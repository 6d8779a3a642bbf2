//go:build !linux

package testcloud

import (
	"errors"
	"os"
	"runtime"
	"syscall"
)

const unsupported = "the test servers need linux, and this is " + runtime.GOOS

func dieWithThread() *syscall.SysProcAttr { return nil }

func tryLock(*os.File) (bool, error) { return false, errors.New(unsupported) }
