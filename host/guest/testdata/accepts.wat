;; Accepts connections, but is no program.
(module
  (import "apphost_v1" "accept" (func (param i32) (result i32)))
  (import "apphost_v1" "conn_read" (func (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "process_connection") (result i32) (i32.const 0)))
