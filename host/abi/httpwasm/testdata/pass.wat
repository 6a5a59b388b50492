;; Passes requests on. The URI is "/", a digit for the features to enable, and
;; letters: r reads 3 bytes of the request's body first, w writes a body in its
;; place. handle_response, if the response is buffered, answers with a 'E' if
;; the next handler failed, what it then reads of the request's body if that is
;; buffered, and a bar.
(module
  (import "http_handler" "enable_features" (func $enable (param i32) (result i32)))
  (import "http_handler" "get_uri" (func $uri (param i32 i32) (result i32)))
  (import "http_handler" "read_body" (func $read (param i32 i32 i32) (result i64)))
  (import "http_handler" "write_body" (func $write (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func $op (result i32)
    (i32.load8_u (i32.sub (call $uri (i32.const 0) (i32.const 256)) (i32.const 1))))
  (func $features (result i32)
    (drop (call $uri (i32.const 0) (i32.const 256)))
    (i32.sub (i32.load8_u (i32.const 1)) (i32.const 48)))
  (func (export "handle_request") (result i64)
    (drop (call $enable (call $features)))
    (if (i32.eq (call $op) (i32.const 114)) (then (drop (call $read (i32.const 0) (i32.const 1024) (i32.const 3)))))
    (if (i32.eq (call $op) (i32.const 119)) (then (call $write (i32.const 0) (i32.const 512) (i32.const 3))))
    (i64.const 0xffffffff00000001))
  (func (export "handle_response") (param $ctx i32) (param $error i32) (local $n i64)
    (if (i32.ne (local.get $ctx) (i32.const -1)) (then unreachable))
    (if (i32.eqz (i32.and (call $features) (i32.const 2))) (then (return)))
    (if (local.get $error) (then (call $write (i32.const 1) (i32.const 515) (i32.const 1))))
    (if (i32.and (call $features) (i32.const 1)) (then
      (local.set $n (call $read (i32.const 0) (i32.const 1024) (i32.const 64)))
      (call $write (i32.const 1) (i32.const 1024) (i32.wrap_i64 (local.get $n)))))
    (call $write (i32.const 1) (i32.const 516) (i32.const 1)))
  (data (i32.const 512) "newE|"))
