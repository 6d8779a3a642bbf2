package main

import (
	"fmt"
	"os"

	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
)

// inspectDir reports whether other users can enter the directory of a file:// store. One that others
// can write to could not be opened.
func inspectDir(dir string) []doctor.Line {
	lines := []doctor.Line{{Check: "bucket-settings", Status: doctor.Skipped, Message: "settings of the bucket: this store tells none"}}
	info, err := os.Stat(dir)
	if err != nil {
		return lines // there is no store yet, or the line about opening it says more
	}
	line := doctor.Line{Check: "directory", Status: doctor.OK, Message: fmt.Sprintf("only its owner can enter %s", dir)}
	if mode := info.Mode().Perm(); mode&0o055 != 0 {
		line.Status = doctor.Warning
		line.Message = fmt.Sprintf("other users of this machine can enter %s, mode %04o: they can learn the names, sizes and times in it, "+
			"and read the sealed bytes of files that are not 0600; they cannot open or change an object", dir, mode)
		line.Hint = "run chmod 700 " + dir
	}
	return append(lines, line)
}
