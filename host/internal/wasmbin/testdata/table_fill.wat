(module (memory 1) (table $t 2 funcref) (elem $e func $f) (data $d "x") (func $f) (func (table.fill $t (i32.const 0) (ref.null func) (i32.const 1))))
