(module (memory 1) (table $t 2 funcref) (elem $e func $f) (data $d "x") (func $f) (func (elem.drop $e)))
