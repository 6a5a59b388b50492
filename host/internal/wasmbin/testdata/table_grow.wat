(module (memory 1) (table $t 2 funcref) (elem $e func $f) (data $d "x") (func $f) (func (drop (table.grow $t (ref.null func) (i32.const 1)))))
