;; An http-wasm guest that reads the request's body, and reads on at its end, for ever.
(module
  (import "http_handler" "read_body" (func $read (param i32 i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "handle_request") (result i64)
    (loop $on (drop (call $read (i32.const 0) (i32.const 0) (i32.const 4096))) (br $on))
    (unreachable)))
