package sys

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// CPUTime is how long something has run, in its own code and in the kernel.
type CPUTime struct{ User, System time.Duration }

// OwnCPU is this process's, EndedCPU that of all its children that were reaped,
// and of theirs. See getrusage(2).
func OwnCPU() CPUTime { return resourceUsage(unix.RUSAGE_SELF) }

// EndedCPU is described at OwnCPU.
func EndedCPU() CPUTime { return resourceUsage(unix.RUSAGE_CHILDREN) }

func resourceUsage(who int) CPUTime {
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		panic("BUG: getrusage: " + err.Error())
	}
	return CPUTime{time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())}
}

// tick is the unit of times in /proc: USER_HZ is 100 on all that Go runs on.
const tick = 10 * time.Millisecond

// ProcessCPU is that of another process. It is zero where there is no such
// process or no /proc. See utime and stime in proc_pid_stat(5).
func ProcessCPU(pid int) CPUTime {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return CPUTime{}
	}
	// The name, in brackets, may hold anything.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < 13 {
		return CPUTime{}
	}
	ticks := func(field []byte) time.Duration {
		n, _ := strconv.ParseInt(string(field), 10, 64)
		return time.Duration(n) * tick
	}
	return CPUTime{ticks(fields[11]), ticks(fields[12])}
}

// Ran is how long a process has run, to the nanosecond, if that can be known. See
// clock_getcpuclockid(3); the clock is made of the pid as the kernel's
// include/linux/posix-timers.h has it.
func Ran(pid int) (ran time.Duration, ok bool) {
	const schedulersClock = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedulersClock), &t); err != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}

// Load is how many processes ran or waited to run, on average over the last 1,
// 5 and 15 minutes. See sysinfo(2).
func Load() [3]float64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		panic("BUG: sysinfo: " + err.Error())
	}
	const unit = 1 << 16 // SI_LOAD_SHIFT
	var load [3]float64
	for i := range load {
		load[i] = float64(info.Loads[i]) / unit
	}
	return load
}
