;; Declares more memory than its limit allows. grow(n) grows by n pages;
;; touch(p) stores to address p and reads it back.
(module
  (memory (export "memory") 1 65536)
  (func (export "process_connection") (result i32) (i32.const 0))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "touch") (param i32) (result i32)
    (i32.store8 (local.get 0) (i32.const 7))
    (i32.load8_u (local.get 0))))
