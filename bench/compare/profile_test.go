package main

import (
	"maps"
	"strings"
	"testing"
)

const script = `
	ffffffff821fae4e __schedule
	ffffffff8201352e tcp_recvmsg
	ffffffff816bb8da ksys_read
	            e06e internal/runtime/syscall/linux.Syscall6
	          648a76 github.com/apphost/apphost/mpm/prefork.(*conn).Read

	ffffffff8201352e tcp_sendmsg
	ffffffff816bb8da __sys_sendto

	ffffffff8201352e asm_sysvec_reschedule_ipi

	           90000 runtime.memmove
	          592dfb github.com/apphost/apphost/host/internal/mem.(*Region).Reset
	          592dfb github.com/valyala/fasthttp.(*Server).serveConn

	           90000 runtime.findRunnable
	           90000 runtime.mcall

	          648a76 [unknown]
`

func TestSamplesBelongToWhoDoesTheWork(t *testing.T) {
	want := map[string]int{
		"switching, and going to sleep": 1, "sending, and what that wakes": 1, otherKernel: 1,
		"guest, and what it calls": 2, "Go's scheduler and collector": 1,
	}
	got, all, err := shares(strings.NewReader(script), true)
	if err != nil || all != 6 || !maps.Equal(got, want) {
		t.Errorf("%d samples: %v, %v; want %v", all, got, err, want)
	}
	if got, _, _ = shares(strings.NewReader(script), false); got[otherCode] != 1 {
		t.Errorf("without guests, code without a name is counted as %v", got)
	}
}
