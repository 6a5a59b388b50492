;; Has a table without a maximum; grow(n) grows it by n elements.
(module
  (memory (export "memory") 1)
  (table $fixed 1 1 funcref)
  (table $t 2 funcref)
  (elem (table $t) (i32.const 1) func $grow)
  (func (export "process_connection") (result i32) (i32.const 0))
  (func $grow (export "grow") (param i32) (result i32)
    (table.grow $t (ref.null func) (local.get 0))))
