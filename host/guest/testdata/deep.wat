;; trap(n) traps n calls deep, in a function with a long name.
(module
  (memory (export "memory") 1)
  (func (export "process_connection") (result i32) (i32.const 0))
  (func $a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_ (export "trap") (param i32)
    (if (i32.eqz (local.get 0)) (then unreachable))
    (call $a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_a_function_with_a_very_long_name_ (i32.sub (local.get 0) (i32.const 1)))
    (drop (memory.size))))
