package core

import (
	"dcf/core/internal/rpc"
	"dcf/core/internal/transport"
	"dcf/core/internal/transport/inproc"
	"dcf/core/internal/transport/shm"
	"dcf/core/internal/transport/tcp"
)

// sharedMemory is the scheme of the transport between processes of one host.
const sharedMemory = "shm"

// ways are the schemes of all transports.
var ways = []string{"inproc", sharedMemory, "tcp", "unix"}

// transports gives the ways that frames travel between workers, the better ones first: "inproc://"
// within a process, "shm://" within a host, "tcp://" and "unix://" beyond it.
func transports(o *Options) []transport.Transport {
	if o.NoSharedMemory {
		return []transport.Transport{inproc.New(), tcp.New()}
	}
	return []transport.Transport{inproc.New(), shm.New(), tcp.New()}
}

var _ rpc.Handler = (*Worker)(nil)
