;; Sleeps for an hour where an instance is made: in the module's own start function, if
;; the environment says so by having a variable, or else in _initialize.
(module
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $sleep
    (i64.store (i32.const 24) (i64.const 3600000000000))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))
  (func $start
    (drop (call $environ (i32.const 256) (i32.const 260)))
    (if (i32.load (i32.const 256)) (then (call $sleep))))
  (start $start)
  (func (export "_initialize") (call $sleep))
  (func (export "process_connection") (result i32) (i32.const 0)))
