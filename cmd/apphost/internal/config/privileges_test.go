package config

import (
	"errors"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestAnAccountIsFoundByNameOrNumber(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Skipf("this user has no name: %v", err)
	}
	for _, name := range []string{me.Username, me.Uid, "#" + me.Uid} {
		a, err := lookUpAccount(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strconv.Itoa(a.uid) != me.Uid || strconv.Itoa(a.gid) != me.Gid || !slices.Contains(a.groups, a.gid) || a.noEntry {
			t.Errorf("%s: %+v, want user %s of group %s", name, a, me.Uid, me.Gid)
		}
	}
	if a, err := lookUpAccount("3999999999"); err != nil || a.uid != 3999999999 || !a.noEntry {
		t.Errorf("a number that nobody has: %+v, %v", a, err)
	}
	for _, name := range []string{"no such user", "-1", "4294967295", "4294967296"} {
		if _, err := lookUpAccount(name); !errors.Is(err, errNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAGroupIsFoundByNameOrNumber(t *testing.T) {
	g, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Skipf("this group has no name: %v", err)
	}
	for name, want := range map[string]string{g.Name: g.Gid, g.Gid: g.Gid, "3999999999": "3999999999"} {
		if gid, err := lookUpGroup(name); err != nil || strconv.Itoa(gid) != want {
			t.Errorf("%s: %d, %v, want %s", name, gid, err, want)
		}
	}
	for _, name := range []string{"no such group", "4294967295"} {
		if _, err := lookUpGroup(name); !errors.Is(err, errNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFolderMustBeOne(t *testing.T) {
	system, dir := thisSystem(), t.TempDir()
	write(t, dir+"/file", "")
	if err := system.isFolder(dir); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]string{dir + "/file": "it is a file", dir + "/none": "no such file"} {
		if err := system.isFolder(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
