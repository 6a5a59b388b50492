;; A conn guest that reads one byte and then does for ever, whatever is returned: write,
;; if the byte is a "w", write nothing, if it is a "z", write what is not in its memory,
;; if it is a "p", or too much, if it is an "l", read to where it has no memory, if it is
;; a "b", ask whether to stop, if it is an "s", or else read.
(module
  (import "apphost_v1" "conn_read" (func $read (param i32 i32) (result i32)))
  (import "apphost_v1" "conn_write" (func $write (param i32 i32) (result i32)))
  (import "apphost_v1" "stopping" (func $stopping (result i32)))
  (memory (export "memory") 1)
  (func $is (param $c i32) (result i32) (i32.eq (i32.load8_u (i32.const 0)) (local.get $c)))
  (func (export "process_connection") (result i32)
    (drop (call $read (i32.const 0) (i32.const 1)))
    (if (call $is (i32.const 119))
      (then (loop $on (drop (call $write (i32.const 0) (i32.const 65536))) (br $on))))
    (if (call $is (i32.const 122))
      (then (loop $on (drop (call $write (i32.const 0) (i32.const 0))) (br $on))))
    (if (call $is (i32.const 112))
      (then (loop $on (drop (call $write (i32.const -1) (i32.const 1))) (br $on))))
    (if (call $is (i32.const 108))
      (then (loop $on (drop (call $write (i32.const 0) (i32.const -1))) (br $on))))
    (if (call $is (i32.const 98))
      (then (loop $on (drop (call $read (i32.const -1) (i32.const 1))) (br $on))))
    (if (call $is (i32.const 115))
      (then (loop $on (drop (call $stopping)) (br $on))))
    (loop $on (drop (call $read (i32.const 0) (i32.const 1))) (br $on))
    (unreachable)))
