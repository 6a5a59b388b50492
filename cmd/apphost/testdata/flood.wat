;; An http-wasm guest that answers with 10 GiB, in pieces of 64 KiB.
(module
  (import "http_handler" "write_body" (func $write (param i32 i32 i32)))
  (memory (export "memory") 2)
  (func (export "handle_request") (result i64) (local $n i32)
    (local.set $n (i32.const 163840))
    (loop $more
      (call $write (i32.const 1) (i32.const 0) (i32.const 65536))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $more (local.get $n)))
    (i64.const 0))
  (func (export "handle_response") (param i32 i32)))
