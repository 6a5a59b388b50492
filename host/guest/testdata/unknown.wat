(module
  (import "foo" "bar" (func))
  (memory (export "memory") 1))
