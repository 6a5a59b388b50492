;; Each function ends a run in another way.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 0))
  (func (export "process_connection") (result i32) (i32.const 0))
  (func $inner unreachable)
  (func (export "trap") (call $inner))
  (func (export "out_of_bounds") (drop (i32.load (i32.const -1))))
  (func $deep (export "recurse") (param i32) (result i32)
    (i32.add (call $deep (local.get 0)) (i32.const 1)))
  (func (export "exit") (param i32) (call $exit (local.get 0)))
  ;; count adds one to a global and to a byte of memory: global*256 + byte.
  (func (export "count") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store8 (i32.const 64) (i32.add (i32.load8_u (i32.const 64)) (i32.const 1)))
    (i32.add (i32.mul (global.get $count) (i32.const 256)) (i32.load8_u (i32.const 64))))
  ;; print writes n bytes at 1024 to the stream.
  (func (export "print") (param $fd i32) (param $n i32) (result i32)
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (local.get $n))
    (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
  ;; arg copies the arguments to 1024.
  (func (export "arg") (result i32) (call $args (i32.const 0) (i32.const 1024)))
  (data (i32.const 1024) "one\ntwo\n\nthree"))
