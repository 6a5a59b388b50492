package config

import (
	"strings"
	"time"

	"github.com/apphost/apphost/host"
	"github.com/apphost/apphost/mpm"
)

// nameBytesMax bounds a listener's name; an address, its default, fits.
const nameBytesMax = 300

// listen reads the [[listen]] sections.
func (d *decoder) listen(sections []*table) {
	names := map[string]string{}     // to the path of the section
	addresses := map[string]string{} // likewise
	for _, t := range sections {
		d.listener(t, names, addresses)
	}
}

func (d *decoder) listener(t *table, names, addresses map[string]string) {
	defer t.done()
	var name, address string
	named := t.text("name", &name)
	addressed := t.address("address", &address, addresses)
	shown := address
	unix := strings.HasPrefix(address, mpm.UnixPrefix)
	if unix && addressed {
		address = d.unixAddress(address)
	}
	if !named && !t.has("name") {
		name = shown
	}
	if named || addressed {
		t.listenerName(name, names)
	}
	protocol := string(host.HTTP)
	t.choice("protocol", &protocol, string(host.HTTP), string(host.TCP))
	plugin := d.listenerPlugin(t, host.Protocol(protocol))
	backlog := BacklogDefault
	if t.integer("backlog", &backlog) && (backlog < 1 || backlog > backlogMax) {
		t.fault("backlog", "must be from 1 to %d, got %d", backlogMax, backlog)
	}
	options := t.socketOptions(unix, host.Protocol(protocol))
	if options.V6Only && addressed {
		t.v6only(address)
	}
	read := t.timeout("read_timeout", host.Protocol(protocol))
	write := t.timeout("write_timeout", host.Protocol(protocol))
	d.config.MPM.Listeners = append(d.config.MPM.Listeners,
		mpm.Listener{
			Name: name, Address: address, Backlog: backlog, Mode: t.mode("mode", unix), GID: d.socketGroup(unix), Socket: options,
		})
	d.config.Host.Listeners = append(d.config.Host.Listeners,
		host.Listener{Name: name, Protocol: host.Protocol(protocol), Plugin: plugin, ReadTimeout: read, WriteTimeout: write})
}

// address reads an address that no section before has.
func (t *table) address(key string, dst *string, seen map[string]string) bool {
	if !t.text(key, dst) {
		if !t.has(key) {
			t.fault(key, `is missing; give HOST:PORT, such as "127.0.0.1:8080", or unix:PATH`)
		}
		return false
	}
	normal, err := t.d.normalAddress(*dst)
	if err != nil {
		t.fault(key, "%s", err)
		return false
	}
	if strings.HasSuffix(normal, ":0") && !strings.HasPrefix(normal, mpm.UnixPrefix) { // the kernel chooses, another each time
		return true
	}
	if other, ok := seen[normal]; ok {
		t.fault(key, "%q is the address of %s already", *dst, other)
		return false
	}
	seen[normal] = t.path
	return true
}

func (t *table) listenerName(name string, seen map[string]string) {
	switch other, taken := seen[name]; {
	case name == "":
		t.fault("name", "must not be empty; leave it out to use the address")
	case len(name) > nameBytesMax:
		t.fault("name", "must be at most %d bytes long, got %d", nameBytesMax, len(name))
	case strings.ContainsFunc(name, isControl):
		t.fault("name", "must not hold control characters, got %q", name)
	case taken:
		t.fault("name", "%q is the name of %s already; give each listener its own", name, other)
	default:
		seen[name] = t.path
	}
}

// listenerPlugin reads the plugin, which tcp needs and http has by path.
func (d *decoder) listenerPlugin(t *table, protocol host.Protocol) string {
	var plugin string
	given := t.text("plugin", &plugin)
	switch {
	case !t.has("plugin"):
		if protocol == host.TCP {
			t.fault("plugin", `is missing: protocol "tcp" needs one; %s`, d.plugins.have())
		}
	case protocol == host.HTTP && !t.refusedKey("protocol"):
		t.fault("plugin", `goes with protocol "tcp" only; http mounts each plugin at /NAME/, and [[route]] elsewhere`)
	case given:
		d.reference(t, "plugin", plugin)
	}
	return plugin
}

// timeout reads one that goes with tcp; http has others.
func (t *table) timeout(key string, protocol host.Protocol) time.Duration {
	timeout := TimeoutDefault
	t.duration(key, &timeout)
	switch {
	case !t.has(key) || t.refusedKey(key):
	case protocol == host.HTTP && !t.refusedKey("protocol"):
		t.fault(key, `goes with protocol "tcp" only; http has several, which are in section [http]`)
	case timeout != 0 && timeout < time.Millisecond:
		t.fault(key, `must be "0s", which is none, or at least "1ms", got %q`, t.values[key])
	}
	if protocol == host.HTTP {
		return 0
	}
	return timeout
}
