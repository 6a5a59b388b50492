;; Asks in the module's own start function where the granted folder is and whether its
;; standard input is a file, neither of which waits, then for the folder itself, and traps.
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fdstat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get" (func $filestat (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $start
    (if (call $prestat (i32.const 3) (i32.const 0)) (then (return)))
    (if (call $fdstat (i32.const 0) (i32.const 0)) (then (return)))
    (if (call $filestat (i32.const 3) (i32.const 0)) (then (return)))
    (unreachable))
  (start $start)
  (func (export "process_connection") (result i32) (i32.const 0)))
