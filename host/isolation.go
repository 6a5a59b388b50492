package host

import (
	"fmt"

	"github.com/apphost/apphost/host/abi/command"
	"github.com/apphost/apphost/host/abi/conn"
	"github.com/apphost/apphost/host/abi/httpwasm"
	"github.com/apphost/apphost/host/guest"
)

// isolate says how runs of a plugin that speaks abi are kept apart, if that can be.
func isolate(want Isolation, abi string) (how guest.Isolation, ok bool) {
	how = guest.Fresh
	if want == IsolateChildren {
		how = guest.Kept
	}
	may := possibleIsolations(abi)
	return how, want == "" || want == may[0] || want == may[1]
}

func possibleIsolations(abi string) [2]Isolation {
	switch abi {
	case conn.Name, conn.ServerName:
		return [2]Isolation{IsolateConnections, IsolateChildren}
	case httpwasm.Name:
		return [2]Isolation{IsolateRequests, IsolateChildren}
	case command.Name: // of a program nothing can be left: it has ended
		return [2]Isolation{IsolateConnections, IsolateRequests}
	}
	panic("BUG: plugin of an ABI that is not one of ours: " + abi)
}

// isolations lists them.
func isolations(abi string) string {
	may := possibleIsolations(abi)
	return fmt.Sprintf("%q or %q", may[0], may[1])
}
