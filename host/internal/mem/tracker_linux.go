package mem

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Tracker finds out which pages of a region were written: by the program, and
// by the kernel for it. It needs Linux 6.7 and a system that lets an ordinary
// process use userfaultfd(2) for its own faults. Its methods may be called
// concurrently.
//
// A page of a region is write-protected until its first write, which the kernel
// notes without telling anybody (UFFD_FEATURE_WP_ASYNC). One call then lists the
// pages that were written (PAGEMAP_SCAN in ioctl_pagemap_scan(2)).
type Tracker struct {
	faults  int // the userfaultfd
	pagemap int // /proc/self/pagemap
}

// The numbers of linux/userfaultfd.h and linux/fs.h that package unix lacks.
const (
	uffdUserModeOnly = 1
	uffdAPIVersion   = 0xaa
	// UFFD_FEATURE_PAGEFAULT_FLAG_WP, _WP_UNPOPULATED and _WP_ASYNC.
	uffdFeatures       = 1<<0 | 1<<13 | 1<<15
	uffdioAPI          = 0xc018aa3f
	uffdioRegister     = 0xc020aa00
	uffdioWriteProtect = 0xc018aa06
	registerModeWP     = 2
	writeProtectModeWP = 1

	pagemapScan     = 0xc0606610
	pageIsWritten   = 2
	checkWriteAsync = 2 // PM_SCAN_CHECK_WPASYNC
)

// OpenTracker opens what the kernel has for it.
//
// # Errors
//
// errors.ErrUnsupported: the kernel is older, or does not allow it here.
func OpenTracker() (*Tracker, error) {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK|uffdUserModeOnly, 0, 0)
	if errno != 0 {
		return nil, fmt.Errorf("track written memory: userfaultfd: %w", errors.Join(errno, errors.ErrUnsupported))
	}
	t := &Tracker{faults: int(fd), pagemap: -1}
	api := [3]uint64{uffdAPIVersion, uffdFeatures, 0}
	err := t.ioctl(uffdioAPI, unsafe.Pointer(&api))
	if err == nil {
		t.pagemap, err = unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		err = t.probe()
	}
	if err != nil {
		t.Close()
		return nil, fmt.Errorf("track written memory: %w", errors.Join(err, errors.ErrUnsupported))
	}
	return t, nil
}

// probe tries all of it out.
func (t *Tracker) probe() error {
	image, err := NewImage(make([]byte, unix.Getpagesize()))
	if err != nil {
		return err
	}
	r, err := Reserve(image.Size(), image.Size())
	if err != nil {
		return errors.Join(err, image.Close())
	}
	defer r.Free()
	if err := r.Adopt(image, t); err != nil {
		return errors.Join(err, image.Close())
	}
	memory := r.Reallocate(image.Size())
	before, err := pageFaults()
	memory[0] = 1
	if after, _ := pageFaults(); err == nil && after == before {
		err = errors.New("page faults are not counted")
	}
	if err == nil {
		err = r.Reset()
	}
	if err == nil && memory[0] != 0 {
		err = errors.New("a written page was not found")
	}
	return errors.Join(err, image.Close())
}

// Close ends the tracking of all regions.
func (t *Tracker) Close() {
	_ = unix.Close(t.faults)
	if t.pagemap >= 0 {
		_ = unix.Close(t.pagemap)
	}
}

func (t *Tracker) ioctl(request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(t.faults), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// watch begins to track memory, none of which counts as written.
func (t *Tracker) watch(memory []byte) error {
	arg := [4]uint64{address(memory), uint64(len(memory)), registerModeWP, 0}
	if err := t.ioctl(uffdioRegister, unsafe.Pointer(&arg)); err != nil {
		return fmt.Errorf("register memory with userfaultfd: %w", err)
	}
	return t.protect(memory)
}

// protect makes all of memory count as not written.
func (t *Tracker) protect(memory []byte) error {
	arg := [3]uint64{address(memory), uint64(len(memory)), writeProtectModeWP}
	if err := t.ioctl(uffdioWriteProtect, unsafe.Pointer(&arg)); err != nil {
		return fmt.Errorf("write-protect memory: %w", err)
	}
	return nil
}

// scan is the argument of PAGEMAP_SCAN (struct pm_scan_arg), and its result.
type scan struct {
	size, flags, start, end, walkEnd  uint64
	vec, vecLen, maxPages             uint64
	inverted, mask, anyOf, returnMask uint64

	ranges [64][3]uint64 // struct page_region
}

const scanArgBytes = 96

// written calls each with the ranges of memory that were written since protect.
// s is scratch space on the heap.
func (t *Tracker) written(s *scan, memory []byte, each func(from, to uint64)) error {
	base := address(memory)
	end := base + uint64(len(memory))
	for start := base; start < end; start = s.walkEnd {
		s.size, s.flags, s.start, s.end, s.walkEnd = scanArgBytes, checkWriteAsync, start, end, 0
		s.vec, s.vecLen = uint64(uintptr(unsafe.Pointer(&s.ranges[0]))), uint64(len(s.ranges))
		s.mask, s.returnMask = pageIsWritten, pageIsWritten
		// It does not block, so the scheduler need not hear of it.
		n, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(t.pagemap), pagemapScan, uintptr(unsafe.Pointer(s)))
		if errno != 0 {
			return fmt.Errorf("find written pages: %w", errno)
		}
		for _, r := range s.ranges[:n] {
			each(r[0]-base, r[1]-base)
		}
		if s.walkEnd <= start {
			panic("BUG: the kernel's search for written pages does not move on")
		}
	}
	return nil
}

func address(memory []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&memory[0]))) }
