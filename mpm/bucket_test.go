package mpm

import "testing"

func TestBucketsFollowCoresAndRatio(t *testing.T) {
	for _, tc := range []struct{ cores, ratio, want int }{
		{8, 0, 1}, {1, 1, 1}, {2, 1, 2}, {8, 8, 1}, {8, 3, 2}, {8, 9, 1}, {64, 8, 8}, {8, -1, 1},
	} {
		if got := Buckets(tc.cores, tc.ratio); got != tc.want {
			t.Errorf("Buckets(%d, %d) = %d, want %d", tc.cores, tc.ratio, got, tc.want)
		}
	}
}

func TestABucketsShareIsRoundedUp(t *testing.T) {
	for _, tc := range []struct{ buckets, min, max, wantMin, wantMax int }{
		{0, 5, 10, 5, 10}, {1, 5, 10, 5, 10}, {2, 5, 10, 3, 5}, {4, 5, 10, 2, 3}, {8, 5, 10, 1, 2}, {3, 6, 7, 2, 3}, {20, 1, 2, 1, 2},
	} {
		o := Options{Buckets: tc.buckets, MinSpareServers: tc.min, MaxSpareServers: tc.max}
		if s := o.Share(); s.MinSpareServers != tc.wantMin || s.MaxSpareServers != tc.wantMax {
			t.Errorf("of %d to %d spare children each of %d buckets gets %d to %d, want %d to %d",
				tc.min, tc.max, tc.buckets, s.MinSpareServers, s.MaxSpareServers, tc.wantMin, tc.wantMax)
		}
	}
}
