package doctor

import (
	"fmt"
	"os"
)

// Directory checks whether other users can enter the directory of a file:// store. It does not
// check whether they can write to it, because a store does not open such a directory.
func Directory(dir string) []Line {
	lines := []Line{{Check: "bucket-settings", Status: Skipped, Message: "settings of the bucket: this store has none"}}
	info, err := os.Stat(dir)
	if err != nil {
		return lines // there is no store yet, or another result describes why it cannot be opened
	}
	line := Line{Check: "directory", Status: OK, Message: fmt.Sprintf("only its owner can enter %s", dir)}
	if mode := info.Mode().Perm(); mode&0o055 != 0 {
		line.Status = Warning
		line.Message = fmt.Sprintf("other users of this machine can enter %s (mode %04o), so they can see names, sizes and times, "+
			"and the encrypted bytes of files whose mode is not 0600; they cannot decrypt or change a value", dir, mode)
		line.Hint = "run chmod 700 " + dir
	}
	return append(lines, line)
}
