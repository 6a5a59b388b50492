;; A program that writes a header and then lines, for ever, whatever becomes of them.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\06\00\00\00")  ;; 6 bytes at 32
  (data (i32.const 8) "\26\00\00\00\0a\00\00\00")  ;; 10 bytes at 38
  (data (i32.const 32) "A: b\0a\0aand so on\0a")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (loop $on
      (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))
      (br $on))))
