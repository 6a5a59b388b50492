;; An http-wasm guest that answers "fine" to GET and traps at any other method.
(module
  (import "http_handler" "get_method" (func $method (param i32 i32) (result i32)))
  (import "http_handler" "write_body" (func $write (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "fine")
  (func $crash (unreachable))
  (func (export "handle_request") (result i64)
    (if (i32.ne (call $method (i32.const 0) (i32.const 16)) (i32.const 3)) (then (call $crash)))
    (call $write (i32.const 1) (i32.const 64) (i32.const 4))
    (i64.const 0))
  (func (export "handle_response") (param i32 i32)))
