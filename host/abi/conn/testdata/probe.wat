;; Serves one connection by the first byte that it reads:
;;   e  echoes until the end of the stream
;;   t  traps
;;   n  returns the error 7
;;   x  exits with code 9
;;   c  writes how often it has counted, in a global and in memory: two digits
(module
  (import "apphost_v1" "conn_read" (func $read (param i32 i32) (result i32)))
  (import "apphost_v1" "conn_write" (func $write (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (global $inits (mut i32) (i32.const 0))
  (global $count (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $inits (i32.add (global.get $inits) (i32.const 1))))
  (func (export "child_init") (result i32)
    ;; _initialize must have run once, and there is no connection yet.
    (if (i32.ne (global.get $inits) (i32.const 1)) (then (return (i32.const 1))))
    (if (i32.ne (call $read (i32.const 0) (i32.const 1)) (i32.const -53)) (then (return (i32.const 2))))
    (i32.store8 (i32.const 512) (i32.const 65)) ;; child_init was here
    (i32.const 0))
  (func $count (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store8 (i32.const 256) (i32.add (i32.load8_u (i32.const 256)) (i32.const 1)))
    (i32.store8 (i32.const 513) (i32.add (global.get $count) (i32.const 48)))
    (i32.store8 (i32.const 514) (i32.add (i32.load8_u (i32.const 256)) (i32.const 48)))
    (drop (call $write (i32.const 512) (i32.const 3)))
    (i32.const 0))
  (func $echo (result i32) (local $n i32)
    (loop $more
      (local.set $n (call $read (i32.const 1024) (i32.const 4096)))
      (if (i32.gt_s (local.get $n) (i32.const 0)) (then
        (drop (call $write (i32.const 1024) (local.get $n)))
        (br $more))))
    (local.get $n))
  (func (export "process_connection") (result i32) (local $op i32)
    (if (i32.ne (call $read (i32.const 0) (i32.const 1)) (i32.const 1)) (then (return (i32.const 1))))
    (local.set $op (i32.load8_u (i32.const 0)))
    (if (i32.eq (local.get $op) (i32.const 101)) (then (return (call $echo))))
    (if (i32.eq (local.get $op) (i32.const 116)) (then unreachable))
    (if (i32.eq (local.get $op) (i32.const 110)) (then (return (i32.const 7))))
    (if (i32.eq (local.get $op) (i32.const 120)) (then (call $exit (i32.const 9))))
    (if (i32.eq (local.get $op) (i32.const 99)) (then (return (call $count))))
    (i32.const 2)))
