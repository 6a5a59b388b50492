package host

import (
	"fmt"

	"github.com/apphost/apphost/host/abi/conn"
	"github.com/apphost/apphost/host/abi/httpwasm"
	"github.com/apphost/apphost/host/guest"
)

// WarmUp is work without a client for a guest that has been prepared. What it
// makes on first use is then there for every connection or request. It is one of
// two things, or nothing.
type WarmUp struct {
	// Path is that of a GET which a plugin that speaks HTTP answers to nobody.
	Path string `json:",omitempty"`
	// Calls is how many connections a plugin of the conn ABI serves on which
	// nobody speaks.
	Calls int `json:",omitempty"`
}

// readyMax bounds how many instances of a plugin are made ahead. The rest are made
// when they are needed, as fast as these.
const readyMax = 8

// instances is how many of a plugin are made ahead: in a candidate, one.
func (c *Config) instances() int { return min(max(c.Threads, 1), readyMax) }

// trial reports whether the process serves nobody.
func (h *Host) trial() bool { return h.slot < 0 }

// checkWarmUp says why a plugin cannot be warmed up as its settings say.
func checkWarmUp(p *Plugin, m *guest.Module) error {
	if p.WarmUp == (WarmUp{}) {
		return nil
	}
	switch m.ABI() {
	case conn.Name:
		if p.WarmUp.Path != "" {
			return fmt.Errorf("warm_up is the path %q, but with the %s ABI it is a number of connections, such as 1", p.WarmUp.Path, conn.Name)
		}
	case httpwasm.Name:
		if p.WarmUp.Calls != 0 {
			return fmt.Errorf("warm_up is %d, but with the %s ABI it is the path of a request, such as \"/\"", p.WarmUp.Calls, httpwasm.Name)
		}
	case conn.ServerName:
		return fmt.Errorf("warm_up is set, but with the %s ABI a plugin does what it wants before its first accept; remove it", m.ABI())
	default:
		return fmt.Errorf("warm_up is set, but with the %s ABI each run begins anew, so that nothing of a warm-up would be left; remove it", m.ABI())
	}
	if why := m.MadeAnew(); why != "" && p.Isolation != IsolateChildren {
		return fmt.Errorf("warm_up is set, but the plugin is made anew for each run, because %s, and would be warmed up each time; remove it", why)
	}
	return nil
}
