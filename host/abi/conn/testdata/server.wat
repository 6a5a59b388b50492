;; Accepts connections in a loop. What it does with one is what the client sends,
;; byte by byte, until the end of the stream:
;;   e  echoes the rest
;;   t  traps
;;   x  exits with code 9
;;   r  returns from its main function
;;   g  grows its memory by a page
;;   s  runs without end
;;   k  writes 0, or 1 once it is to leave
;;   d  recurses, some thousand calls deep
;;   c  counts, and writes the counts: of a local variable of its main function, a
;;      global, a byte of memory and a byte of a new page, and the size of its memory
(module
  (import "apphost_v1" "accept" (func $accept (result i32)))
  (import "apphost_v1" "conn_read" (func $read (param i32 i32) (result i32)))
  (import "apphost_v1" "conn_write" (func $write (param i32 i32) (result i32)))
  (import "apphost_v1" "stopping" (func $stopping (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1 16)
  (global $count (mut i32) (i32.const 0))
  (data (i32.const 512) "MLGBPS\n")
  (func $echo (local $n i32)
    (loop $more
      (local.set $n (call $read (i32.const 1024) (i32.const 4096)))
      (if (i32.gt_s (local.get $n) (i32.const 0)) (then
        (drop (call $write (i32.const 1024) (local.get $n)))
        (br $more)))))
  (func $deep (param $n i32) (result i32)
    (if (i32.eqz (local.get $n)) (then (return (i32.const 0))))
    (i32.add (i32.const 1) (call $deep (i32.sub (local.get $n) (i32.const 1)))))
  (func $inc (param $at i32)
    (i32.store8 (local.get $at) (i32.add (i32.load8_u (local.get $at)) (i32.const 1))))
  (func $digit (param $at i32) (param $n i32)
    (i32.store8 (local.get $at) (i32.add (local.get $n) (i32.const 48))))
  (func (export "_start") (local $count i32) (local $op i32)
    ;; There is no connection yet.
    (if (i32.ne (call $read (i32.const 0) (i32.const 1)) (i32.const -53)) (then unreachable))
    (call $digit (i32.const 512) (i32.const 0))
    (loop $next
      (if (call $accept) (then unreachable))
      (loop $ops
        (if (i32.ne (call $read (i32.const 0) (i32.const 1)) (i32.const 1)) (then (br $next)))
        (local.set $op (i32.load8_u (i32.const 0)))
        (if (i32.eq (local.get $op) (i32.const 101)) (then (call $echo) (br $next)))
        (if (i32.eq (local.get $op) (i32.const 116)) (then unreachable))
        (if (i32.eq (local.get $op) (i32.const 120)) (then (call $exit (i32.const 9))))
        (if (i32.eq (local.get $op) (i32.const 114)) (then (return)))
        (if (i32.eq (local.get $op) (i32.const 103)) (then (drop (memory.grow (i32.const 1)))))
        (if (i32.eq (local.get $op) (i32.const 115)) (then (loop $spin (br $spin))))
        (if (i32.eq (local.get $op) (i32.const 107)) (then
          (call $digit (i32.const 520) (call $stopping))
          (drop (call $write (i32.const 520) (i32.const 1)))))
        (if (i32.eq (local.get $op) (i32.const 100)) (then (drop (call $deep (i32.const 5000)))))
        (if (i32.eq (local.get $op) (i32.const 99)) (then
          (local.set $count (i32.add (local.get $count) (i32.const 1)))
          (global.set $count (i32.add (global.get $count) (i32.const 1)))
          (call $inc (i32.const 256))
          (call $digit (i32.const 513) (local.get $count))
          (call $digit (i32.const 514) (global.get $count))
          (call $digit (i32.const 515) (i32.load8_u (i32.const 256)))
          (call $digit (i32.const 516) (i32.const 0))
          (if (i32.gt_u (memory.size) (i32.const 1)) (then
            (call $inc (i32.const 65536))
            (call $digit (i32.const 516) (i32.load8_u (i32.const 65536)))))
          (call $digit (i32.const 517) (memory.size))
          (drop (call $write (i32.const 512) (i32.const 7)))))
        (br $ops)))))
