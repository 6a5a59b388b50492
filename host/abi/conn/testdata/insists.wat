;; Reads once, and traps if that is an error.
(module
  (import "apphost_v1" "conn_read" (func $read (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "process_connection") (result i32)
    (if (i32.lt_s (call $read (i32.const 0) (i32.const 1)) (i32.const 0)) (then unreachable))
    (i32.const 0)))
