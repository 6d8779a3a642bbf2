package doctor

import (
	"fmt"
	"os"
)

// Directory checks whether other users can enter the directory of a file:// store. A store does
// not open one that others can write to.
func Directory(dir string) []Line {
	lines := []Line{{Check: "bucket-settings", Status: Skipped, Message: "settings of the bucket: this store has none"}}
	info, err := os.Stat(dir)
	if err != nil {
		return lines // there is no store yet, or the line about opening it says more
	}
	line := Line{Check: "directory", Status: OK, Message: fmt.Sprintf("only its owner can enter %s", dir)}
	if mode := info.Mode().Perm(); mode&0o055 != 0 {
		line.Status = Warning
		line.Message = fmt.Sprintf("other users of this machine can enter %s, mode %04o: they can learn the names, sizes and times in it, "+
			"and read the sealed bytes of files that are not 0600; they cannot open or change an object", dir, mode)
		line.Hint = "run chmod 700 " + dir
	}
	return append(lines, line)
}
