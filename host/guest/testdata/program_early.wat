;; A program that waits for a connection too early: in its start function.
(module
  (import "test" "accept" (func $accept (result i32)))
  (memory (export "memory") 1)
  (func $early (drop (call $accept)))
  (start $early)
  (func (export "_start")))
