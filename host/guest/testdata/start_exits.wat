;; A command whose main returns through proc_exit(0).
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (global $ready (mut i64) (i64.const 0))
  (func (export "_start")
    (global.set $ready (i64.const 5))
    (call $exit (i32.const 0))
    unreachable)
  (func (export "handle_request") (result i64) (global.get $ready)))
