package connguest

//go:wasmexport child_init
func childInit() int32 {
	defer trapOnPanic()
	return result(Init())
}

//go:wasmexport process_connection
func processConnection() int32 {
	defer trapOnPanic()
	return result(Serve(NewConn()))
}
