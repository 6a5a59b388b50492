;; An http-wasm guest that sets a header field whose name would end the header.
(module
  (import "http_handler" "set_header_value" (func $set (param i32 i32 i32 i32 i32)))
  (import "http_handler" "write_body" (func $write (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "X-A: b\0d\0a\0d\0a")
  (func (export "handle_request") (result i64)
    (call $set (i32.const 1) (i32.const 0) (i32.const 10) (i32.const 0) (i32.const 3))
    (call $write (i32.const 1) (i32.const 0) (i32.const 3))
    (i64.const 0))
  (func (export "handle_response") (param i32 i32)))
