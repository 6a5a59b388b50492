// Handler is a guest of the conn ABI, or of http-wasm, by its build tag. It says
// what it was granted.
package main

import (
	"fmt"
	"os"
)

func main() {}

func say() string {
	text, err := os.ReadFile("/d/file")
	return fmt.Sprintf("%q %q %q %v", os.Args, os.Environ(), text, err)
}
