;; An http-wasm guest that reads the request's body to its end.
(module
  (import "http_handler" "read_body" (func $read (param i32 i32 i32) (result i64)))
  (import "http_handler" "write_body" (func $write (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "ate")
  (func (export "handle_request") (result i64)
    (loop $more
      (br_if $more (i64.eqz (i64.shr_u (call $read (i32.const 0) (i32.const 1024) (i32.const 4096)) (i64.const 32)))))
    (call $write (i32.const 1) (i32.const 0) (i32.const 3))
    (i64.const 0))
  (func (export "handle_response") (param i32 i32)))
