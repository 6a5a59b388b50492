;; An http-wasm guest that does as the last letter of its URI says: "t" traps, "s"
;; loops for ever, "m" takes memory until there is no more, "r" calls itself without
;; end, and all else is answered "fine".
(module
  (import "http_handler" "get_uri" (func $uri (param i32 i32) (result i32)))
  (import "http_handler" "write_body" (func $write (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "fine")
  (func $recurse (param $n i32) (result i32)
    (i32.add (local.get $n) (call $recurse (i32.add (local.get $n) (i32.const 1)))))
  (func $eat (local $page i32)
    (loop $more
      (local.set $page (memory.grow (i32.const 1)))
      (if (i32.lt_s (local.get $page) (i32.const 0)) (then (unreachable)))
      (memory.fill (i32.mul (local.get $page) (i32.const 65536)) (i32.const 1) (i32.const 65536))
      (br $more)))
  (func (export "handle_request") (result i64) (local $last i32)
    (local.set $last (i32.load8_u (i32.add (i32.const 63) (call $uri (i32.const 64) (i32.const 1024)))))
    (if (i32.eq (local.get $last) (i32.const 116)) (then (unreachable)))
    (if (i32.eq (local.get $last) (i32.const 115)) (then (loop $again (br $again))))
    (if (i32.eq (local.get $last) (i32.const 109)) (then (call $eat)))
    (if (i32.eq (local.get $last) (i32.const 114)) (then (drop (call $recurse (i32.const 0)))))
    (call $write (i32.const 1) (i32.const 0) (i32.const 4))
    (i64.const 0))
  (func (export "handle_response") (param i32 i32)))
