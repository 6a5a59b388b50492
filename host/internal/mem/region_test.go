package mem_test

import (
	"testing"

	"github.com/apphost/apphost/host/internal/mem"
)

func TestARegionGrowsInPlaceToItsLimit(t *testing.T) {
	const page = 64 << 10
	r, err := mem.Reserve(page, 3*page)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Free()
	b := r.Reallocate(page)
	b[page-1] = 7
	grown := r.Reallocate(3 * page)
	if len(grown) != 3*page || cap(grown) != 3*page || grown[page-1] != 7 || grown[3*page-1] != 0 {
		t.Errorf("grown to %d bytes, capacity %d", len(grown), cap(grown))
	}
	if r.Reallocate(3*page+1) != nil {
		t.Error("grew over its limit")
	}
	r.Free()
	if r.Reallocate(page) != nil {
		t.Error("usable after Free")
	}
}

func TestARegionWithoutAPage(t *testing.T) {
	r, err := mem.Reserve(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Free()
	if b := r.Reallocate(0); b == nil || len(b) != 0 {
		t.Errorf("%v", b)
	}
	if _, err := mem.Reserve(2, 1); err == nil {
		t.Error("reserved more than the limit")
	}
}
