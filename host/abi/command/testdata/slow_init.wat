;; A library whose _initialize sleeps for a second. Its function "run" answers with the
;; first byte of the request's body.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\31\00\00\00\01\00\00\00") ;; 1 byte at 49
  (data (i32.const 8) "\20\00\00\00\13\00\00\00") ;; 19 bytes at 32
  (data (i32.const 32) "Content-Type: x\0a\0a-\0a") ;; its "-" is at 49
  (func (export "_initialize")
    (i64.store (i32.const 88) (i64.const 1000000000)) ;; of a subscription at 64
    (drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 16))))
  (func (export "run")
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))))
