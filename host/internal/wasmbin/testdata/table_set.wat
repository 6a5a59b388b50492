(module (memory 1) (table $t 2 funcref) (elem $e func $f) (data $d "x") (func $f) (func (table.set $t (i32.const 0) (ref.null func))))
