package scoreboard

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apphost/apphost/mpm/internal/sys"
)

func bulletins(t *testing.T, textBytesMax int) (master, child *Bulletin) {
	t.Helper()
	master, err := NewBulletin(textBytesMax)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd, err := unix.Dup(int(master.FD()))
	if err != nil {
		t.Fatal(err)
	}
	child, err = AttachBulletin(sys.FD(fd))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Close() })
	return master, child
}

func TestABulletinIsReadFromItsTimeOn(t *testing.T) {
	master, child := bulletins(t, 100)
	if text, ok := child.Read(0); ok {
		t.Errorf("an empty bulletin says %q", text)
	}
	for _, text := range []string{"first, and longer", "second"} {
		if err := master.Post([]byte(text), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if got, ok := child.Read(5 * time.Second); !ok || string(got) != text {
			t.Errorf("it says %q (%v), want %q", got, ok, text)
		}
	}
	if got, ok := child.Read(5*time.Second + 1); ok {
		t.Errorf("a text from before the time that was asked for: %q", got)
	}
	if err := master.Post(make([]byte, 101), time.Minute); err == nil {
		t.Error("a text was posted that does not fit")
	}
	if got, ok := child.Read(0); !ok || string(got) != "second" {
		t.Errorf("after a text that does not fit it says %q", got)
	}
}

// Only the mapping that the master has can change it.
func TestNobodyElseCanWriteToABulletin(t *testing.T) {
	master, child := bulletins(t, 100)
	if _, err := child.FD().Map(100, true); !errors.Is(err, unix.EPERM) {
		t.Errorf("it was mapped for writing: %v", err)
	}
	if _, err := unix.Pwrite(int(child.FD()), []byte("lie"), 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("it was written to: %v", err)
	}
	if err := unix.Ftruncate(int(child.FD()), 1); !errors.Is(err, unix.EPERM) {
		t.Errorf("it was cut short: %v", err)
	}
	if err := unix.Mprotect(child.mem, unix.PROT_READ|unix.PROT_WRITE); err == nil {
		t.Error("a mapping was made writable")
	}
	if err := master.Post([]byte("truth"), 1); err != nil {
		t.Fatal(err)
	}
	if got, ok := child.Read(0); !ok || string(got) != "truth" {
		t.Errorf("it says %q", got)
	}
}

func TestAttachBulletinRefusesWhatIsNone(t *testing.T) {
	fd, err := sys.Memfd("none", 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fd.Close() }()
	if _, err := AttachBulletin(fd); err == nil {
		t.Error("a memfd that anyone may write to was taken")
	}
	if err := fd.Seal(sys.ReadOnlySeals); err != nil {
		t.Fatal(err)
	}
	if _, err := AttachBulletin(fd); err == nil {
		t.Error("a memfd of zeros was taken")
	}
}

// Whoever reads while it is written gets a whole text or none.
func TestATextIsNeverTorn(t *testing.T) {
	const size = 64 << 10
	master, child := bulletins(t, size)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				if err := master.Post(bytes.Repeat([]byte{'a' + byte(i%26)}, size-i%7), 1); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	whole := 0
	for end := time.Now().Add(10 * time.Second); whole < 100 && time.Now().Before(end); {
		text, ok := child.Read(0)
		if !ok {
			continue
		}
		whole++
		if bytes.Count(text, text[:1]) != len(text) {
			t.Fatal("a text is torn")
		}
	}
	close(stop)
	<-done
	// The one that was posted last is whole at the latest.
	if text, ok := child.Read(0); !ok || len(text) < size-7 {
		t.Errorf("at rest it says %d bytes (%v)", len(text), ok)
	}
}
