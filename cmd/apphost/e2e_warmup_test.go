package main

import (
	"strings"
	"testing"

	"github.com/apphost/apphost/cmd/apphosttest"
)

// countingWasm answers "hello N", N how often the instance has answered.
const countingWasm = "../../host/abi/httpwasm/testdata/hello.wasm"

// A plugin is warmed up before anybody is served, and what that has left is there in
// each request. The status says how instances are reused.
func TestE2EAWarmUpIsThereForEachRequest(t *testing.T) {
	s := apphosttest.Start(t, plain+"[plugin.hello]\nwarm_up = \"/hello/\"\n", map[string]string{"hello": countingWasm, "echo": echoWasm})
	for range 5 {
		if got, err := get("http://" + s.Addr("web") + "/hello/"); err != nil || got != "hello 2\n" {
			t.Errorf("%q, %v", got, err)
		}
	}
	st := statusOf(t, s)
	if len(st.Modules) != 2 || st.Modules[0].Name != "echo" || st.Modules[0].ABI != "conn" || st.Modules[0].Bytes == 0 {
		t.Errorf("modules: %+v", st.Modules)
	}
	out, code := s.Run("status", "-c", "config.toml")
	for _, p := range st.Modules {
		if !strings.HasPrefix(p.Instances, "reset: ") || code != 0 || !strings.Contains(out, ", instances: "+p.Instances+"\n") {
			t.Errorf("%s: %q; status: %s", p.Name, p.Instances, out)
		}
	}
	if line, ok := s.WaitLog("plugin loaded", func(e map[string]any) bool { return e["plugin"] == "hello" }); !ok || line["instances"] != st.Modules[1].Instances {
		t.Errorf("the log says %v", line)
	}
}

// One that fails in its warm-up, or does not come back from it, is found before it
// serves.
func TestE2EAWarmUpThatFailsChangesNothing(t *testing.T) {
	s := startPlain(t)
	for file, test := range map[string]struct{ settings, want string }{
		"host/abi/httpwasm/testdata/hello.wasm": {
			"warm_up = \"/trap!\"", `plugin "new": warm_up, GET /trap!: handle_request trapped: wasm error: unreachable`,
		},
		"cmd/apphost/testdata/spin_path.wasm": {
			"warm_up = \"/spin\"", `plugin "new": warm_up, GET /spin: it did not return within 2s (mpm.candidate_timeout)`,
		},
		"plugins/echo.wasm": {
			"warm_up = \"/\"", `plugin "new": warm_up is the path "/", but with the conn ABI it is a number of connections, such as 1`,
		},
	} {
		s.Plugin("new", "../../"+file)
		config := plain + "[plugin.new]\n" + test.settings + "\n"
		if strings.Contains(test.want, "candidate_timeout") {
			config = strings.Replace(config, `candidate_timeout = "60s"`, `candidate_timeout = "2s"`, 1)
		}
		s.Configure(config)
		for _, command := range []string{"reload", "-t"} {
			if out, code := s.Run(command, "-c", "config.toml"); code == 0 || !strings.Contains(out, test.want) {
				t.Errorf("%s, %s: exit status %d: %s", file, command, code, out)
			}
		}
		if got, err := get("http://" + s.Addr("web") + "/hello/"); err != nil || !strings.HasPrefix(got, "Hello") {
			t.Errorf("afterwards: %q, %v", got, err)
		}
	}
}
