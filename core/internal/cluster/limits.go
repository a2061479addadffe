package cluster

import "time"

// Limits of a Node. A zero field means the default.
type Limits struct {
	Members      int // nodes that listen
	Guests       int // nodes that do not
	Names        int // claimed names, lost ones included
	CachedOwners int // owners that a worker remembers of other nodes' names
	Undecided    int // own claims and drops whose answer is not known
	Gone         int // incarnations that the directory remembers as gone

	// DeadAfter is how long a node may be without a session before it is declared dead.
	DeadAfter time.Duration
	// ProbeEvery is how often the directory tries to reach a node without a session.
	ProbeEvery time.Duration
	// RefreshEvery is how often a worker makes sure that it missed no notice.
	RefreshEvery time.Duration
	// RetryEvery is how often a worker tries to reach a lost directory or its successor, to join
	// while an older incarnation of its node id dies, and to settle what is undecided.
	RetryEvery time.Duration
	// FormerFor is how long a worker that followed its directory into a new cluster waits for others
	// of the old one to come there, before it takes them for dead.
	FormerFor time.Duration
}

// The defaults of Limits.
const (
	MaxMembers      = 1 << 10
	MaxGuests       = 1 << 14
	MaxNames        = 1 << 22
	MaxCachedOwners = 1 << 16
	MaxUndecided    = 1 << 10
	MaxGone         = 1 << 12
	DeadAfter       = 5 * time.Second
	ProbeEvery      = 500 * time.Millisecond
	RefreshEvery    = 10 * time.Second
	RetryEvery      = 250 * time.Millisecond
	FormerFor       = time.Minute
)

// Limits that nobody sets.
const (
	// MaxAddresses is how many addresses a node may have, MaxAddressBytes how long one may be.
	MaxAddresses    = 8
	MaxAddressBytes = 256
	// MaxJoinHops is how often a worker that joins may be sent on to the directory.
	MaxJoinHops = 4
	// MaxJoinAddresses is how many addresses to join are tried.
	MaxJoinAddresses = 64
	// MaxAttempts is how often one operation is sent while its caller waits.
	MaxAttempts = 3
	// MaxReclaims is how many names are claimed again at a time after a directory was restarted.
	MaxReclaims = 16
	// pauseFor is how long a claim waits for an earlier one of the same name to be settled.
	pauseFor = 2 * time.Millisecond
)

func (l Limits) orDefaults() Limits {
	fill(&l.Members, MaxMembers)
	fill(&l.Guests, MaxGuests)
	fill(&l.Names, MaxNames)
	fill(&l.CachedOwners, MaxCachedOwners)
	fill(&l.Undecided, MaxUndecided)
	fill(&l.Gone, MaxGone)
	fill(&l.DeadAfter, DeadAfter)
	fill(&l.ProbeEvery, ProbeEvery)
	fill(&l.RefreshEvery, RefreshEvery)
	fill(&l.RetryEvery, RetryEvery)
	fill(&l.FormerFor, FormerFor)
	return l
}

func fill[N int | time.Duration](field *N, value N) {
	if *field == 0 {
		*field = value
	}
}
