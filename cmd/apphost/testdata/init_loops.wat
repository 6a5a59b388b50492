;; A conn guest whose child_init never returns.
(module
  (memory (export "memory") 1)
  (func (export "process_connection") (result i32) (i32.const 0))
  (func (export "child_init") (result i32) (loop $again (br $again)) (unreachable)))
