// Command visit is src/visit.c in Go, with the memory that a guest in Go has.
package main

func main() {} // never called: the host calls the export
