(module
  (import "apphost_v1" "stopping" (func (result i32)))
  (memory (export "memory") 1))
