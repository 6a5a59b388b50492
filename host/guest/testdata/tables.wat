;; Has two tables without a maximum. grow() grows both as long as it can, and
;; returns how many elements they have together.
(module
  (memory (export "memory") 1)
  (table $a 1 funcref)
  (table $b 5 funcref)
  (func (export "process_connection") (result i32) (i32.const 0))
  (func (export "grow") (result i32) (local $step i32)
    (local.set $step (i32.const 0x1000000))
    (loop $halve
      (loop $more
        (br_if $more (i32.ne (i32.const -1) (table.grow $a (ref.null func) (local.get $step)))))
      (loop $more
        (br_if $more (i32.ne (i32.const -1) (table.grow $b (ref.null func) (local.get $step)))))
      (local.set $step (i32.shr_u (local.get $step) (i32.const 1)))
      (br_if $halve (local.get $step)))
    (i32.add (table.size $a) (table.size $b))))
