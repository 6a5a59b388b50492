(module (memory 1) (table $t 2 funcref) (elem $e func $f) (data $d "x") (func $f) (func (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1))))
