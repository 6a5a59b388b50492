package main

// visits and visitors are what one call leaves for the next, if nothing puts
// them back.
var (
	visits   int32
	visitors = map[int32]string{}
)

//go:wasmexport process_connection
func processConnection() int32 {
	visits++
	visitors[visits] = string(make([]byte, 16))
	return visits - 1
}
