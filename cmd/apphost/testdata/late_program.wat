;; A program that does what the first letter of its input says: s sleeps for an hour,
;; r reads on for ever, also at the end, c calls the host for ever, w writes for ever.
;; Anything else is answered with "fine" and a header.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 64) "Content-Type: text/plain\n\nfine")
  (func $is (param i32) (result i32) (i32.eq (i32.load8_u (i32.const 512)) (local.get 0)))
  (func $sleep
    (i32.store (i32.const 1040) (i32.const 1))         ;; the monotonic clock
    (i64.store (i32.const 1048) (i64.const 3600000000000))
    (drop (call $poll (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 4096))))
  (func $read (param $n i32)
    (i32.store (i32.const 0) (i32.const 512))
    (i32.store (i32.const 4) (local.get $n))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16))))
  (func $write (param $n i32)
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (local.get $n))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))))
  (func (export "_start")
    (call $read (i32.const 1))
    (if (call $is (i32.const 0x73)) (then (call $sleep)))
    (if (call $is (i32.const 0x72)) (then (loop $ever (call $read (i32.const 8)) (br $ever))))
    (if (call $is (i32.const 0x63)) (then (loop $ever (drop (call $yield)) (br $ever))))
    (if (call $is (i32.const 0x77)) (then (loop $ever (call $write (i32.const 65536)) (br $ever))))
    (call $write (i32.const 30))))
