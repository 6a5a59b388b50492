;; Calls a host function.
(module
  (import "apphost_v1" "stopping" (func $stopping (result i32)))
  (memory (export "memory") 1)
  (func (export "process_connection") (result i32) (call $stopping)))
