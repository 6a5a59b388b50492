package mpm

import (
	"errors"
	"strings"
	"testing"
)

func TestPrivilegesOutOfRangeAreNamedByTheirKey(t *testing.T) {
	www := func() *Identity { return &Identity{User: "www", UID: 33, GID: 33, Groups: []int{33}} }
	for _, tc := range []struct {
		key string // "" is none at fault
		p   Privileges
	}{
		{"", Privileges{Identity: www(), Chroot: "/srv", CoreDumpDirectory: "/tmp", Limits: Limits{OpenFiles: 128, Tasks: 32, CoreBytes: 1}}},
		{"", Privileges{Identity: &Identity{UID: 4294967294, GID: 0}}},
		{"user", Privileges{Identity: &Identity{}}},
		{"user", Privileges{Identity: &Identity{UID: -1}}},
		{"user", Privileges{Identity: &Identity{UID: 4294967295}}},
		{"group", Privileges{Identity: &Identity{UID: 1, GID: 4294967295}}},
		{"user", Privileges{Identity: &Identity{UID: 1, Groups: []int{-1}}}},
		{"user", Privileges{Identity: &Identity{UID: 1, Groups: make([]int, groupsMax+1)}}},
		{"chroot", Privileges{Chroot: "/srv"}},
		{"chroot", Privileges{Identity: www(), Chroot: "srv"}},
		{"core_dump_directory", Privileges{CoreDumpDirectory: "/a\x00b"}},
		{"limit_nofile", Privileges{Limits: Limits{OpenFiles: 127}}},
		{"limit_nofile", Privileges{Limits: Limits{OpenFiles: -1}}},
		{"limit_memory", Privileges{Limits: Limits{MemoryBytes: 256<<20 - 1}}},
		{"limit_nproc", Privileges{Limits: Limits{Tasks: 31}}},
	} {
		o := good()
		o.Privileges = tc.p
		err := o.Validate()
		if tc.key == "" {
			if err != nil {
				t.Errorf("%+v: %v", tc.p, err)
			}
			continue
		}
		var fault *Error
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), tc.key+": ") {
			t.Errorf("%+v: error %v does not name %s", tc.p, err, tc.key)
		}
	}
}

func TestWhoPluginsRunAsCannotChange(t *testing.T) {
	www := &Identity{User: "www", Group: "www", UID: 33, GID: 33}
	for _, tc := range []struct {
		key      string // "" is none refused
		from, to Privileges
	}{
		{"", Privileges{}, Privileges{CoreDumpDirectory: "/tmp", Limits: Limits{OpenFiles: 200}}},
		{"", Privileges{Identity: www}, Privileges{Identity: &Identity{User: "33", Group: "33", UID: 33, GID: 33, Groups: []int{4}}}},
		{"mpm.user: ", Privileges{}, Privileges{Identity: www}},
		{"mpm.user: ", Privileges{Identity: www}, Privileges{}},
		{"mpm.user: ", Privileges{Identity: www}, Privileges{Identity: &Identity{UID: 34, GID: 33}}},
		{"mpm.group: ", Privileges{Identity: www}, Privileges{Identity: &Identity{UID: 33, GID: 34}}},
		{"mpm.chroot: ", Privileges{Identity: www}, Privileges{Identity: www, Chroot: "/srv"}},
	} {
		err := tc.from.Change(&tc.to)
		if tc.key == "" && err != nil {
			t.Errorf("%+v to %+v: %v", tc.from, tc.to, err)
		}
		if tc.key != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.key)) {
			t.Errorf("%+v to %+v: %v, want a refusal of %s", tc.from, tc.to, err, tc.key)
		}
	}
}
