;; An http-wasm guest that has 160 MiB of memory from its start.
(module
  (import "http_handler" "write_body" (func $write (param i32 i32 i32)))
  (memory (export "memory") 2560)
  (func (export "handle_request") (result i64) (i64.const 0))
  (func (export "handle_response") (param i32 i32)))
