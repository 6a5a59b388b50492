;; Calls the host for ever.
(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "process_connection") (result i32) (i32.const 0))
  (func (export "sched_yield") (loop $ever (drop (call $yield)) (br $ever)))
  (func (export "environ_sizes_get") (loop $ever (drop (call $environ (i32.const 0) (i32.const 4))) (br $ever)))
  (func (export "fd_close") (loop $ever (drop (call $close (i32.const 7))) (br $ever)))
  (func (export "path_unlink_file") (loop $ever (drop (call $unlink (i32.const 7) (i32.const 0) (i32.const 1))) (br $ever))))
