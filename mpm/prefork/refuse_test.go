package prefork

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// refuseTheFourth, with a folder behind it, is the greeting of a generation whose
// fourth child refuses to serve.
const refuseTheFourth = "refuse the fourth: "

// isFourth counts the children of a generation that ask, by a file for all of them.
func isFourth(dir string, generation uint64) bool {
	f, err := os.OpenFile(filepath.Join(dir, strconv.FormatUint(generation, 10)), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err = f.Write([]byte{'.'}); err != nil {
		panic(err)
	}
	place, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		panic(err)
	}
	return place == 4
}
