package guest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/apphost/apphost/host/guest"
)

// What a burst has left, or was made ahead, goes when it was not needed for a while:
// as many stay as were in use at a time lately, and one where none was.
func TestInstancesThatAreNotNeededGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := newPool(t, "run"), newSession(t)
		if err := p.Warm(s, 6); err != nil {
			t.Fatal(err)
		}
		use := func(n int) map[*guest.Instance]bool {
			used := map[*guest.Instance]bool{}
			for range n {
				used[get(t, p, s)] = true
			}
			for i := range used {
				p.Put(i, guest.Returned)
			}
			return used
		}
		first := use(6)
		kept := func() (n int) { // looks without use, and puts all back
			var out []*guest.Instance
			for range 6 {
				i := get(t, p, s)
				out = append(out, i)
				if first[i] {
					n++
				}
			}
			for _, i := range out {
				p.Put(i, guest.Failed) // so that those made now are not found next time
			}
			return n
		}
		const turn = 11 * time.Second
		for range 3 { // a burst is remembered for two turns
			<-time.After(turn)
			use(2)
		}
		if got := kept(); got != 2 {
			t.Errorf("%d instances are left, 2 were in use at a time", got)
		}
		if err := p.Warm(s, 6); err != nil { // and then nothing at all
			t.Fatal(err)
		}
		first = use(6)
		<-time.After(3 * turn)
		if got := kept(); got != 1 {
			t.Errorf("%d instances are left, none was in use", got)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}
