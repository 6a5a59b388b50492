// Wagi is a program for WAGI, and, built as a library, one that begins at hello.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Print("Content-Type: text/plain\n\n")
	fmt.Printf("args %q\nscript %q info %q\nTZ %q NAME %q\n", os.Args,
		os.Getenv("SCRIPT_NAME"), os.Getenv("PATH_INFO"), os.Getenv("TZ"), os.Getenv("NAME"))
	if name := os.Getenv("QUERY_STRING"); name == "save" {
		fmt.Println("saved", os.WriteFile("/data/saved", []byte("by a guest"), 0o600))
	}
	text, err := os.ReadFile("/data/file")
	fmt.Printf("file %q, %v\n", text, err != nil)
}

//go:wasmexport hello
func hello() {
	fmt.Printf("Content-Type: text/plain\n\nhello from a library: %q %q\n", os.Args, os.Getenv("QUERY_STRING"))
}
