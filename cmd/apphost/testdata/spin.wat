;; An http-wasm guest that answers "fine" to GET, calls the host for ever at PUT
;; until the client is gone, and loops for ever at POST.
(module
  (import "http_handler" "get_method" (func $method (param i32 i32) (result i32)))
  (import "http_handler" "write_body" (func $write (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "fine")
  (func (export "handle_request") (result i64)
    (if (i32.eq (call $method (i32.const 0) (i32.const 16)) (i32.const 4)) (then (loop $again (br $again))))
    (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 80)) (then
      (loop $again (call $write (i32.const 1) (i32.const 64) (i32.const 4)) (br $again))))
    (call $write (i32.const 1) (i32.const 64) (i32.const 4))
    (i64.const 0))
  (func (export "handle_response") (param i32 i32)))
