;; A program that dirties all that it can reach for each connection, as dirty.wat
;; does, and looks before for traces of the connection that was before. It reports
;; what it has found: bits 0 to 6 as there, 7 a local variable of its main function.
;; Then it does as it is told: 0 it goes on, 1 it traps, 2 it exits with code 3, 3 it
;; returns, 4 it recurses some thousand calls deep and goes on, 5 it takes all the
;; memory it gets and goes on, 6 it reports a random number and the clock and goes on,
;; 7 it recurses without end.
(module
  (import "test" "accept" (func $accept (result i32)))
  (import "test" "ask" (func $ask (param i32) (result i32)))
  (import "test" "report" (func $report (param i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 2 8)
  (global $a (mut i32) (i32.const 1))
  (global $b (mut i64) (i64.const 0x123456789abcdef0))
  (global $c (mut f32) (f32.const 1.5))
  (global $d (mut f64) (f64.const -2.25))
  (global $size (mut i32) (i32.const 0)) ;; set by main, so it is the image's
  (data (i32.const 256) "data")
  (func $deep (param $n i32) (result i32)
    (if (i32.eqz (local.get $n)) (then (return (i32.const 0))))
    (i32.add (i32.const 1) (call $deep (i32.sub (local.get $n) (i32.const 1)))))
  (func $next (param $x i32) (result i32)
    (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
  ;; place is an address from 4096 up to the first $limit bytes.
  (func $place (param $x i32) (param $limit i32) (result i32)
    (i32.add (i32.const 4096) (i32.rem_u (i32.shr_u (local.get $x) (i32.const 4))
      (i32.sub (local.get $limit) (i32.const 4096)))))
  (func $run (param $seed i32) (param $last i32) (result i32)
    (local $found i32) (local $n i32) (local $x i32) (local $limit i32) (local $grown i32)
    (if (i32.ne (global.get $a) (i32.const 1)) (then (local.set $found (i32.const 1))))
    (if (i64.ne (global.get $b) (i64.const 0x123456789abcdef0)) (then (local.set $found (i32.or (local.get $found) (i32.const 2)))))
    (if (f32.ne (global.get $c) (f32.const 1.5)) (then (local.set $found (i32.or (local.get $found) (i32.const 4)))))
    (if (f64.ne (global.get $d) (f64.const -2.25)) (then (local.set $found (i32.or (local.get $found) (i32.const 8)))))
    (if (i32.ne (global.get $size) (memory.size)) (then (local.set $found (i32.or (local.get $found) (i32.const 16)))))
    (if (i32.ne (i32.load (i32.const 512)) (i32.const 77)) (then (local.set $found (i32.or (local.get $found) (i32.const 32)))))
    (if (i32.ne (i32.load (i32.const 256)) (i32.const 0x61746164)) (then (local.set $found (i32.or (local.get $found) (i32.const 32)))))
    (local.set $limit (i32.mul (global.get $size) (i32.const 65536)))
    (local.set $x (local.get $last))
    (local.set $n (i32.const 16))
    (loop $look
      (local.set $x (call $next (local.get $x)))
      (if (i32.load8_u (call $place (local.get $x) (local.get $limit))) (then (local.set $found (i32.or (local.get $found) (i32.const 32)))))
      (br_if $look (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    ;; the traces
    (global.set $a (local.get $seed))
    (global.set $b (i64.extend_i32_u (local.get $seed)))
    (global.set $c (f32.convert_i32_u (local.get $seed)))
    (global.set $d (f64.convert_i32_u (local.get $seed)))
    (i32.store (i32.const 512) (local.get $seed))
    (i32.store (i32.const 256) (local.get $seed))
    (local.set $x (local.get $seed))
    (local.set $n (i32.const 16))
    (loop $write
      (local.set $x (call $next (local.get $x)))
      (i32.store8 (call $place (local.get $x) (local.get $limit)) (i32.const 255))
      (br_if $write (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (if (i32.eqz (i32.and (local.get $seed) (i32.const 3))) (then
      (local.set $grown (memory.grow (i32.const 1)))
      (if (i32.ne (local.get $grown) (i32.const -1)) (then
        (local.set $grown (i32.add (i32.mul (local.get $grown) (i32.const 65536)) (i32.and (local.get $x) (i32.const 0xfffc))))
        (if (i32.load (local.get $grown)) (then (local.set $found (i32.or (local.get $found) (i32.const 64)))))
        (i32.store (local.get $grown) (i32.const -1))))))
    (global.set $size (i32.const 0))
    (local.get $found))
  (func $main (export "_start") (local $calls i32) (local $found i32) (local $told i32)
    ;; What comes from outside: random numbers, the clocks, and what only an answer
    ;; of the host tells apart.
    (drop (call $random (i32.const 1024) (i32.const 32)))
    (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 1056)))
    (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 1064)))
    (i32.store (i32.const 1072) (call $ask (i32.const 3)))
    (global.set $size (memory.size))
    (i32.store (i32.const 512) (i32.const 77))
    (loop $next
      (if (call $accept) (then unreachable))
      (local.set $calls (i32.add (local.get $calls) (i32.const 1)))
      (local.set $found (call $run (call $ask (i32.const 0)) (call $ask (i32.const 1))))
      (if (i32.ne (local.get $calls) (i32.const 1)) (then (local.set $found (i32.or (local.get $found) (i32.const 128)))))
      (call $report (local.get $found))
      (local.set $told (call $ask (i32.const 2)))
      (if (i32.eq (local.get $told) (i32.const 1)) (then unreachable))
      (if (i32.eq (local.get $told) (i32.const 2)) (then (call $exit (i32.const 3))))
      (if (i32.eq (local.get $told) (i32.const 3)) (then return))
      (if (i32.eq (local.get $told) (i32.const 4)) (then (drop (call $deep (i32.const 5000)))))
      (if (i32.eq (local.get $told) (i32.const 5)) (then
        (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))))
      (if (i32.eq (local.get $told) (i32.const 6)) (then
        (drop (call $random (i32.const 2048) (i32.const 4)))
        (call $report (i32.load (i32.const 2048)))
        (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 2048)))
        (call $report (i64.gt_u (i64.load (i32.const 2048)) (i64.load (i32.const 1064))))))
      (if (i32.eq (local.get $told) (i32.const 7)) (then (drop (call $deep (i32.const -1)))))
      (br $next))))
