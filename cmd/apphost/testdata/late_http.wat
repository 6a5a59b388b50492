;; An http-wasm guest that does what the first letter of the request's body says:
;; s sleeps for an hour, a writes and then sleeps, r reads on, c calls the host for
;; ever, w writes for ever, n passes on, g eats all memory it gets and traps, d calls
;; itself without end. Anything else is answered with "fine".
(module
  (import "http_handler" "read_body" (func $read (param i32 i32 i32) (result i64)))
  (import "http_handler" "write_body" (func $write (param i32 i32 i32)))
  (import "http_handler" "get_method" (func $method (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "fine")
  (global $letter (mut i32) (i32.const 0))
  (func $is (param i32) (result i32) (i32.eq (global.get $letter) (local.get 0)))
  (func $sleep
    (i64.store (i32.const 1024) (i64.const 0))
    (i32.store8 (i32.const 1032) (i32.const 0))        ;; a clock
    (i32.store (i32.const 1040) (i32.const 1))         ;; the monotonic one
    (i64.store (i32.const 1048) (i64.const 3600000000000))
    (i64.store (i32.const 1056) (i64.const 0))
    (i32.store16 (i32.const 1064) (i32.const 0))       ;; relative
    (drop (call $poll (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 4096))))
  (func $deep (param i32) (result i32) (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
  (func $eat (local $at i32)
    (loop $more
      (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
      (local.set $at (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1048576)))
      (memory.fill (local.get $at) (i32.const 7) (i32.const 1048576))
      (br $more)))
  (func (export "handle_request") (result i64)
    (drop (call $read (i32.const 0) (i32.const 512) (i32.const 1)))
    (global.set $letter (i32.load8_u (i32.const 512)))
    (if (call $is (i32.const 0x73)) (then (call $sleep)))
    (if (call $is (i32.const 0x61)) (then
      (call $write (i32.const 1) (i32.const 64) (i32.const 4))
      (call $write (i32.const 1) (i32.const 64) (i32.const 4))
      (call $sleep)))
    (if (call $is (i32.const 0x72)) (then (drop (call $read (i32.const 0) (i32.const 512) (i32.const 1024)))))
    (if (call $is (i32.const 0x63)) (then (loop $again (drop (call $method (i32.const 0) (i32.const 16))) (br $again))))
    (if (call $is (i32.const 0x77)) (then (loop $again (call $write (i32.const 1) (i32.const 0) (i32.const 65536)) (br $again))))
    (if (call $is (i32.const 0x6e)) (then (return (i64.const 1))))
    (if (call $is (i32.const 0x67)) (then (call $eat)))
    (if (call $is (i32.const 0x64)) (then (drop (call $deep (i32.const 0)))))
    (call $write (i32.const 1) (i32.const 64) (i32.const 4))
    (i64.const 0))
  (func (export "handle_response") (param i32 i32)))
