;; An http-wasm guest that writes to the response's body for ever.
(module
  (import "http_handler" "write_body" (func $write (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "and so on\0a")
  (func (export "handle_request") (result i64)
    (loop $on (call $write (i32.const 1) (i32.const 0) (i32.const 10)) (br $on))
    (unreachable)))
