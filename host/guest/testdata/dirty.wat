;; run(seed, last) looks for traces of the run whose seed was last, and leaves
;; traces wherever it can: in memory at 16 places that follow from the seed, in
;; every kind of global, on the stack, and in pages that it grows by. It returns
;; what it has found: bits 0 to 3 a global, 4 the size of the memory, 5 a byte, 6
;; a byte of a new page.
(module
  (memory (export "memory") 2 8)
  (global $a (mut i32) (i32.const 1))
  (global $b (mut i64) (i64.const 0x123456789abcdef0))
  (global $c (mut f32) (f32.const 1.5))
  (global $d (mut f64) (f64.const -2.25))
  (global $fixed i32 (i32.const 9))
  (global $size (mut i32) (i32.const 0)) ;; set by init, so it is the image's
  (data (i32.const 256) "data")
  (func (export "process_connection") (result i32) (i32.const 0))
  (func (export "_initialize")
    (global.set $size (memory.size))
    (i32.store (i32.const 512) (i32.const 77)))
  (func $next (param $x i32) (result i32)
    (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
  ;; place is an address from 4096 up to the first $limit bytes.
  (func $place (param $x i32) (param $limit i32) (result i32)
    (i32.add (i32.const 4096) (i32.rem_u (i32.shr_u (local.get $x) (i32.const 4))
      (i32.sub (local.get $limit) (i32.const 4096)))))
  (func (export "run") (param $seed i32) (param $last i32) (result i32)
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
    (local.get $found)))
