;; Asks for the next handler with the context 7. The features it enables are
;; the last byte of the URI, for 'e' in handle_response and then it writes a
;; body there; handle_response then, for features with
;; buffer_response, reads the response and replaces it, and else tries to set
;; the status if the byte is 's'.
(module
  (import "http_handler" "enable_features" (func $enable (param i32) (result i32)))
  (import "http_handler" "get_uri" (func $uri (param i32 i32) (result i32)))
  (import "http_handler" "read_body" (func $read (param i32 i32 i32) (result i64)))
  (import "http_handler" "write_body" (func $write (param i32 i32 i32)))
  (import "http_handler" "set_status_code" (func $status (param i32)))
  (memory (export "memory") 1)
  (func $op (result i32)
    (i32.load8_u (i32.sub (call $uri (i32.const 0) (i32.const 256)) (i32.const 1))))
  (func (export "handle_request") (result i64)
    (if (i32.eq (call $op) (i32.const 98)) (then (drop (call $enable (i32.const 2)))))
    (if (i32.eq (call $op) (i32.const 119)) (then (call $write (i32.const 1) (i32.const 0) (i32.const 1))))
    (i64.const 0x700000001))
  (func (export "handle_response") (param $ctx i32) (param $error i32) (local $n i64)
    (if (i32.ne (local.get $ctx) (i32.const 7)) (then unreachable))
    (if (i32.ne (local.get $error) (i32.const 0)) (then unreachable))
    (if (i32.eq (call $op) (i32.const 101)) (then
      (drop (call $enable (i32.const 2)))
      (call $write (i32.const 1) (i32.const 512) (i32.const 5))))
    (if (i32.eq (call $op) (i32.const 115)) (then (call $status (i32.const 200))))
    (if (i32.eq (call $op) (i32.const 98)) (then
      (local.set $n (call $read (i32.const 1) (i32.const 1024) (i32.const 64)))
      (call $status (i32.const 200))
      (call $write (i32.const 1) (i32.const 512) (i32.const 5))
      (call $write (i32.const 1) (i32.const 1024) (i32.wrap_i64 (local.get $n))))))
  (data (i32.const 512) "got: "))
