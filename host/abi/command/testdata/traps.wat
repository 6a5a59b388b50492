;; A program that reads its standard input to the end, traps if it cannot be read, and
;; answers with an empty page.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\06\00\00\00\26\00\00\00\00\10\00\00") ;; 6 bytes at 32, 4096 at 38
  (data (i32.const 32) "A: b\0a\0a")
  (func (export "_start")
    (loop $on
      (if (call $read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 16)) (then (unreachable)))
      (br_if $on (i32.load (i32.const 16))))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))
