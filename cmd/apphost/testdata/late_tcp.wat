;; A conn guest that does what each byte it reads says: s sleeps for an hour, c calls
;; the host for ever, w writes for ever, e reads on at the end for ever, g eats all
;; memory it gets and traps, d calls itself without end. Anything else is sent back.
(module
  (import "apphost_v1" "conn_read" (func $read (param i32 i32) (result i32)))
  (import "apphost_v1" "conn_write" (func $write (param i32 i32) (result i32)))
  (import "apphost_v1" "stopping" (func $stopping (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $is (param i32) (result i32) (i32.eq (i32.load8_u (i32.const 0)) (local.get 0)))
  (func $sleep
    (i32.store (i32.const 1040) (i32.const 1))         ;; the monotonic clock
    (i64.store (i32.const 1048) (i64.const 3600000000000))
    (drop (call $poll (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 4096))))
  (func $deep (param i32) (result i32) (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
  (func $eat (local $at i32)
    (loop $more
      (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
      (local.set $at (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1048576)))
      (memory.fill (local.get $at) (i32.const 7) (i32.const 1048576))
      (br $more)))
  (func (export "process_connection") (result i32)
    (loop $again
      (if (i32.le_s (call $read (i32.const 0) (i32.const 1)) (i32.const 0)) (then (return (i32.const 0))))
      (if (call $is (i32.const 0x73)) (then (call $sleep)))
      (if (call $is (i32.const 0x63)) (then (loop $ever (drop (call $stopping)) (br $ever))))
      (if (call $is (i32.const 0x77)) (then (loop $ever (drop (call $write (i32.const 0) (i32.const 65536))) (br $ever))))
      (if (call $is (i32.const 0x65)) (then (loop $ever (drop (call $read (i32.const 0) (i32.const 1))) (br $ever))))
      (if (call $is (i32.const 0x67)) (then (call $eat)))
      (if (call $is (i32.const 0x64)) (then (drop (call $deep (i32.const 0)))))
      (drop (call $write (i32.const 0) (i32.const 1)))
      (br $again))
    (unreachable)))
