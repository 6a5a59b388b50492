;; Answers, unless the path has five characters: then it runs without end.
(module
  (import "http_handler" "get_uri" (func $uri (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "handle_request") (result i64)
    (if (i32.eq (call $uri (i32.const 0) (i32.const 256)) (i32.const 5)) (then (loop $spin (br $spin))))
    (i64.const 0))
  (func (export "handle_response") (param i32 i32)))
