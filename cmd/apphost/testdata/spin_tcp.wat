;; A conn guest that echoes byte by byte, and loops for ever at a "!".
(module
  (import "apphost_v1" "conn_read" (func $read (param i32 i32) (result i32)))
  (import "apphost_v1" "conn_write" (func $write (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "process_connection") (result i32)
    (loop $again
      (if (i32.le_s (call $read (i32.const 0) (i32.const 1)) (i32.const 0)) (then (return (i32.const 0))))
      (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 33)) (then (loop $ever (br $ever))))
      (drop (call $write (i32.const 0) (i32.const 1)))
      (br $again))
    (unreachable)))
