// Sorted writes the lines of its input in order.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"slices"
)

func main() {
	var lines []string
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		lines = append(lines, in.Text())
	}
	if err := in.Err(); err != nil {
		log.Fatal("read lines: ", err)
	}
	slices.Sort(lines)
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprint(out, "Content-Type: text/plain\n\n")
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
	if err := out.Flush(); err != nil {
		log.Fatal("write lines: ", err)
	}
}
