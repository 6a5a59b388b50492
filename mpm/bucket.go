package mpm

// Buckets is how many buckets of children a server on so many cores has, one
// for each ratio of them and at least one; a ratio of 0 is one bucket.
func Buckets(cores, ratio int) int {
	if ratio <= 0 {
		return 1
	}
	return max(1, cores/ratio)
}

// BucketCount is how many buckets there are.
func (o *Options) BucketCount() int { return max(1, o.Buckets) }

// Share is what one bucket is to keep of the spare children or threads: its
// part, rounded up, so that each bucket has one at least.
func (o *Options) Share() Options {
	share, n := *o, o.BucketCount()
	share.MinSpareServers = (o.MinSpareServers + n - 1) / n
	share.MaxSpareServers = max((o.MaxSpareServers+n-1)/n, share.MinSpareServers+1)
	share.MinSpareThreads = (o.MinSpareThreads + n - 1) / n
	share.MaxSpareThreads = max((o.MaxSpareThreads+n-1)/n, share.MinSpareThreads+o.Threads())
	return share
}
