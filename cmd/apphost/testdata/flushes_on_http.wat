;; An http-wasm guest that writes twice to the response's body, and then nothing for ever.
(module
  (import "http_handler" "write_body" (func $write (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "some\0a")
  (func (export "handle_request") (result i64)
    (call $write (i32.const 1) (i32.const 0) (i32.const 5))
    (call $write (i32.const 1) (i32.const 0) (i32.const 5))
    (loop $on (call $write (i32.const 1) (i32.const 0) (i32.const 0)) (br $on))
    (unreachable)))
