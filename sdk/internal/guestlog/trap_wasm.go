package guestlog

// Trap ends the guest with WebAssembly's unreachable instruction. A panic that
// ran to its end would write its message to standard error a second time, and
// end as an exit, which a host can mistake for a decision of the guest.
func Trap()
