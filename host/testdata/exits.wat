;; An http-wasm guest that exits with the last digit of the URI.
(module
  (import "http_handler" "get_uri" (func $uri (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "handle_request") (result i64)
    (call $exit (i32.sub (i32.load8_u (i32.sub (call $uri (i32.const 1024) (i32.const 256)) (i32.const -1023))) (i32.const 48)))
    (i64.const 0))
  (func (export "handle_response") (param i32 i32)))
