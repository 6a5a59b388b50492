;; Keeps a reference in a global.
(module
  (memory (export "memory") 1)
  (global $f (mut funcref) (ref.null func))
  (elem declare func $p)
  (func $p (export "process_connection") (result i32)
    (global.set $f (ref.func $p))
    (i32.const 0)))
