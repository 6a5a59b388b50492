;; Calls the host for ever.
(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (func (export "process_connection") (result i32) (i32.const 0))
  (func (export "yields") (loop $ever (drop (call $yield)) (br $ever))))
