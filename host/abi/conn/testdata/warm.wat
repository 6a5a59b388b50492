;; Counts its connections. To a client that sends a byte it answers with the
;; count, a digit, and with what conn_info said of the first connection: its peer.
;; What it does when nothing comes is in the config value "m":
;;   t  traps
;;   x  exits with code 0
;;   e  returns the error 5
(module
  (import "apphost_v1" "conn_read" (func $read (param i32 i32) (result i32)))
  (import "apphost_v1" "conn_write" (func $write (param i32 i32) (result i32)))
  (import "apphost_v1" "conn_info" (func $info (param i32 i32 i32) (result i32)))
  (import "apphost_v1" "config_get" (func $config (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 0))
  (data (i32.const 0) "m")
  (func (export "process_connection") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (if (i32.eq (global.get $count) (i32.const 1)) (then
      (i32.store (i32.const 8) (call $info (i32.const 1) (i32.const 65) (i32.const 64)))))
    (if (i32.eq (call $read (i32.const 4) (i32.const 1)) (i32.const 1)) (then
      (i32.store8 (i32.const 64) (i32.add (global.get $count) (i32.const 48)))
      (drop (call $write (i32.const 64) (i32.add (i32.load (i32.const 8)) (i32.const 1))))
      (return (i32.const 0))))
    (drop (call $write (i32.const 64) (i32.const 1)))
    (drop (call $config (i32.const 0) (i32.const 1) (i32.const 4) (i32.const 1)))
    (if (i32.eq (i32.load8_u (i32.const 4)) (i32.const 116)) (then unreachable))
    (if (i32.eq (i32.load8_u (i32.const 4)) (i32.const 120)) (then (call $exit (i32.const 0))))
    (if (i32.eq (i32.load8_u (i32.const 4)) (i32.const 101)) (then (return (i32.const 5))))
    (i32.const 0)))
