package prefork

import (
	"encoding/json"
	"testing"

	"github.com/apphost/apphost/mpm"
	"github.com/apphost/apphost/mpm/image"
)

// A generation that serves again has the image of the one it goes back to, which
// may still finish what it serves. Each is handed over with a descriptor of its
// own.
func TestGenerationsOfOneImageAreHandedOver(t *testing.T) {
	l, err := newLinux(Config{}, make(chan event, 64))
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	o := &mpm.Options{Listeners: []mpm.Listener{{Name: "a", Address: "127.0.0.1:0", Backlog: 1}}}
	fd, err := image.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Fill(fd, nil); err != nil {
		t.Fatal(err)
	}
	img, err := image.Open(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = img.Close() }()
	st := &state{Protocol: takeoverProtocol, Slots: 1, Number: 2, Children: []childState{}, Pages: []pageState{}}
	for n := range uint64(2) {
		files, err := l.openGeneration(img, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(files.release)
		st.Generations = append(st.Generations, generationState{
			Number: n + 1, Retired: n == 0, Options: *o, Buckets: o.BucketCount(), files: files, from: img,
		})
	}
	undo, err := l.describe(st)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeState(raw); err != nil {
		t.Errorf("what is handed over cannot be taken over: %v", err)
	}
	own := st.Generations[1].Image
	undo()
	if own.Open() || !img.FD().Open() {
		t.Errorf("afterwards descriptor %d is open: %v; and that of the image: %v", own, own.Open(), img.FD().Open())
	}
}
