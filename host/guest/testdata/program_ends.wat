;; A program that ends before it waits for a connection.
(module
  (import "test" "accept" (func $accept (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (if (i32.const 0) (then (drop (call $accept))))))
