;; Traps in the module's own start function, that is, while instantiated.
(module
  (memory (export "memory") 1)
  (func $start unreachable)
  (start $start)
  (func (export "process_connection") (result i32) (i32.const 0)))
