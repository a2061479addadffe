package rpc

import "time"

// Limits of requests and connections.
const (
	// BulkBytes is the size of a body from which a frame takes the bulk connection.
	BulkBytes = 64 << 10
	// MaxOutstanding is how many requests one session has under way, each way; beyond it a
	// request gets status.Exhausted at once.
	MaxOutstanding = 8192
	// MaxHandshakes is how many accepted connections introduce themselves at a time.
	MaxHandshakes = 256
	// MaxPeers is how many peers a node remembers; those without a session are forgotten first.
	MaxPeers = 65536
	// MaxTogether is how many requests are served in one go.
	MaxTogether = 16
	// wakeLooks is how often a Reader that polls memory looks at it from one look at its descriptors
	// to the next.
	wakeLooks = 32
	// maxInTurn is how many frames of one connection are read before others of its group.
	maxInTurn = 64
	// busyAfter is how many requests a reader that was idle takes before it holds a thread again.
	busyAfter = 16
	// MaxOverruns is how many requests may hold the goroutine that read them for too long, at a
	// time; beyond it their connections wait for them.
	MaxOverruns = 256
)

// Times. Timing overrides those that it names.
const (
	// IdleAfter is how long a reader of requests holds a thread after the last one.
	IdleAfter = 100 * time.Millisecond
	// Overrun is how long Serve may take before another goroutine reads the connection.
	Overrun = 5 * time.Millisecond
	// PingEvery is how long a peer may be quiet before it is asked whether it lives.
	PingEvery = 500 * time.Millisecond
	// RestEvery is PingEvery of a peer on this host, whose end is seen at once, while no request to it is
	// under way.
	RestEvery = 10 * time.Second
	// SilentAfter is how long a peer may be quiet before it is declared down.
	SilentAfter = 1500 * time.Millisecond

	// tick is how often sessions and asynchronous deadlines are looked at, unless all sessions rest.
	tick = 50 * time.Millisecond
	// backoffMin and backoffMax bound how long a peer that could not be reached is not tried again.
	backoffMin = 20 * time.Millisecond
	backoffMax = time.Second
	// defaultTimeout is for what waits without a deadline of its own.
	defaultTimeout = 30 * time.Second
)

// Timing replaces the times of its fields' names; zero fields mean the defaults.
type Timing struct {
	IdleAfter, Overrun, PingEvery, RestEvery, SilentAfter time.Duration
}

func (t Timing) withDefaults() Timing {
	set := func(d *time.Duration, standard time.Duration) {
		if *d == 0 {
			*d = standard
		}
	}
	set(&t.IdleAfter, IdleAfter)
	set(&t.Overrun, Overrun)
	set(&t.PingEvery, PingEvery)
	set(&t.RestEvery, RestEvery)
	set(&t.SilentAfter, SilentAfter)
	return t
}
