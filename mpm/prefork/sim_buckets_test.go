package prefork

import "time"

// simEmptyMax is how long a bucket may be without children while the master
// could start one: until the next cycle of maintenance.
const simEmptyMax = maintenanceInterval + simSlack

// childrenOf counts the children in each bucket by the master's own table, less
// those with threads that are leaving. One that lies could be any of these.
func (w *simWorld) childrenOf(f *simFiles) (own []int, lies bool) {
	own = make([]int, f.options.BucketCount())
	for slot, ch := range w.parent.slots {
		if ch == nil || ch.generation.files != f {
			continue
		}
		lies = lies || w.threaded && ch.proc.(*simProc).lies
		if !w.parent.leaving(slot, ch) {
			own[ch.bucket]++
		}
	}
	return own, lies
}

// checkBucket holds which bucket a new child goes to: none gets a second one
// before each has a first.
func (w *simWorld) checkBucket(bucket int, f *simFiles) {
	own, lies := w.childrenOf(f)
	if lies {
		return
	}
	if bucket < 0 || bucket >= len(own) {
		w.violated("a child goes to bucket %d of %d", bucket, len(own))
		return
	}
	for b, n := range own {
		if n == 0 && own[bucket] > 0 {
			w.violated("a child goes to bucket %d, which has %d, and bucket %d has none", bucket, own[bucket], b)
		}
	}
}

// checkBuckets holds that the serving generation keeps room for a child in each
// bucket, and that no bucket stays without one while it could have one.
func (w *simWorld) checkBuckets() {
	g := w.parent.serving
	if g == nil || w.parent.stopping {
		return
	}
	own, lies := w.childrenOf(g.files.(*simFiles))
	if lies {
		return
	}
	without, counted := 0, 0
	may := w.parent.freeSlots() > 0 && !w.now().Before(g.notBefore)
	for b, n := range own {
		counted += n
		if n > 0 {
			w.empty[b] = 0
			continue
		}
		without++
		switch {
		case !may:
			w.empty[b] = 0
		case w.empty[b] == 0:
			w.empty[b] = max(w.active(), time.Nanosecond)
		case w.active()-w.empty[b] > simEmptyMax:
			w.violated("bucket %d of generation %d is without children for %s, with %d slots free", b, g.number, w.active()-w.empty[b], w.parent.freeSlots())
		}
	}
	if room := g.options.ChildrenMax() - counted; without > room {
		w.violated("%d buckets are without children, and max_request_workers leaves room for %d", without, room)
	}
}
