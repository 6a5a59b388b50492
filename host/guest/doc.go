// Package guest runs WebAssembly plugins: it loads a module, says which ABI
// it speaks, and hands out instances to call. The engine is wazero; no other
// package but this one and the ABI packages' tests need to know.
//
// An ABI (host/abi/…) describes itself in an [ABI] value: what a guest may
// import, what it must export. A [Runtime] is made with the ABIs it knows,
// [Runtime.Load] turns bytes into a [Module], and a [Pool] gives out its
// instances.
//
// The package promises that
//
//   - an instance is used by one goroutine at a time, and never again after a
//     run that failed;
//   - a guest's memory never exceeds its limit, whatever the module declares;
//   - whatever a guest does comes back as a [*Failure], without a Go stack in
//     its text.
//
// Guest code is never interrupted: it would slow down every loop. Deadlines
// come from outside the process.
package guest
