;; Calls the host in the module's own start function, and then traps.
(module
  (import "apphost_v1" "stopping" (func $stopping (result i32)))
  (memory (export "memory") 1)
  (func $start (drop (call $stopping)) unreachable)
  (start $start)
  (func (export "process_connection") (result i32) (i32.const 0)))
