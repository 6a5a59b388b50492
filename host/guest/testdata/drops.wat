;; Drops a segment of data, which memory.init no longer finds then.
(module
  (memory (export "memory") 1)
  (data $d "once")
  (func (export "process_connection") (result i32)
    (memory.init $d (i32.const 0) (i32.const 0) (i32.const 4))
    (data.drop $d)
    (i32.const 0)))
