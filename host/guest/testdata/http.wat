;; The smallest plugin of the http-wasm ABI.
(module
  (memory (export "memory") 1)
  (func (export "handle_request") (result i64) (i64.const 0)))
