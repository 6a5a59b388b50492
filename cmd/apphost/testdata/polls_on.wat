;; A program that reads one byte and then does for ever, whatever is returned: sleep for
;; a nanosecond, if the byte is an "n", read from a descriptor that it does not have, if
;; it is a "b", read on in a file at its end, if it is an "e", or else ask what the
;; folder is.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get" (func $stat (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\01\00\00\00") ;; 1 byte at 16
  (data (i32.const 32) "file")
  (data (i32.const 88) "\01") ;; nanosecond, of a subscription at 64
  (func $is (param $c i32) (result i32) (i32.eq (i32.load8_u (i32.const 16)) (local.get $c)))
  (func (export "_start")
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (if (call $is (i32.const 110))
      (then (loop $on (drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 8))) (br $on))))
    (if (call $is (i32.const 98))
      (then (loop $on (drop (call $read (i32.const 99) (i32.const 0) (i32.const 1) (i32.const 8))) (br $on))))
    (if (call $is (i32.const 101)) (then
      (if (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 4) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8))
        (then (unreachable)))
      (loop $on
        (if (call $read (i32.load (i32.const 8)) (i32.const 0) (i32.const 1) (i32.const 12)) (then (unreachable)))
        (br $on))))
    (loop $on (if (call $stat (i32.const 3) (i32.const 256)) (then (unreachable))) (br $on))))
