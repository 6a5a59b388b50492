;; An http-wasm guest that answers with a greeting of 24 bytes, which a test
;; replaces in the binary to tell one generation from the next.
(module
  (import "http_handler" "write_body" (func $write (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "greeting................")
  (func (export "handle_request") (result i64)
    (call $write (i32.const 1) (i32.const 64) (i32.const 24))
    (i64.const 0))
  (func (export "handle_response") (param i32 i32)))
