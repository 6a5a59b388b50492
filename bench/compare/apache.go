package main

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
)

// debianModules is where Debian has the modules of Apache httpd.
const debianModules = "/usr/lib/apache2/modules"

// apache is Apache httpd with an mpm and what else it serves with: "static",
// "lua" or "echo". With prefork, children is how many it has from the start to
// the end.
func apache(name, mpm, what string, children int) contender {
	return peer(name, func(_ *bed, dir string, port int) (*exec.Cmd, error) {
		binary, err := find("apache2")
		if err != nil {
			return nil, err
		}
		templates := []string{"apache/httpd.conf", "apache/" + mpm + ".conf"}
		modules := []string{"mpm_" + mpm, "authz_core"}
		if what != "static" {
			templates = append(templates, "apache/"+what+".conf")
			modules = append(modules, what)
		}
		for _, m := range modules {
			if _, err := os.Stat(filepath.Join(debianModules, "mod_"+m+".so")); err != nil {
				return nil, missing("mod_" + m)
			}
		}
		// It refuses to serve as root.
		who, err := user.Lookup("www-data")
		if err != nil {
			return nil, missing("the user www-data")
		}
		group, err := user.LookupGroupId(who.Gid)
		if err != nil {
			return nil, err
		}
		conf, public := filepath.Join(dir, "httpd.conf"), filepath.Join(dir, "public")
		err = errors.Join(
			fill(conf, map[string]string{
				"DIR": dir, "PORT": strconv.Itoa(port), "MPM": mpm, "MODULES": debianModules,
				"USER": who.Username, "GROUP": group.Name,
				"CHILDREN": strconv.Itoa(children), "MORE": strconv.Itoa(children + 1),
			}, templates...),
			fill(filepath.Join(dir, "hello.lua"), nil, "apache/hello.lua"),
			os.Mkdir(public, 0o755),
			os.WriteFile(filepath.Join(public, "hello.txt"), []byte("Hello from WebAssembly!\n"), 0o644))
		return exec.Command(binary, "-d", dir, "-f", conf, "-DFOREGROUND"), err
	})
}
