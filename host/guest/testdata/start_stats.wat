;; Asks for the granted folder in the module's own start function, and then traps.
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $start (if (i32.eqz (call $prestat (i32.const 3) (i32.const 0))) (then unreachable)))
  (start $start)
  (func (export "process_connection") (result i32) (i32.const 0)))
