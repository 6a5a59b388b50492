(module
  (import "apphost_v1" "conn_raed" (func (param i32 i32) (result i32)))
  (import "apphost_v1" "conn_read" (func (param i32) (result i32)))
  (import "env" "abort" (func (param i32)))
  (import "wasi_snapshot_preview1" "fd_jump" (func (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func (param i64)))
  (memory (export "memory") 1)
  (func (export "process_connection") (result i32) (i32.const 0)))
