// Package sched chooses where a call runs: whether its function goes to the data or the data comes
// to its function. It is pure: the same question has the same answer.
package sched

// Choice is where a calculate on a remote vertex runs.
type Choice int

// The choices.
const (
	Owner Choice = iota // at the vertex's owner
	Here                // here, with the data brought
)

// Call is what is known of a calculate on a vertex that another worker owns.
type Call struct {
	AtOwner bool // the caller wants it there
	Here    bool // the caller wants it here
	HaveIt  bool // this worker has the function
	Private bool // only this worker can have it
	Missing bool // the owner said lately that it does not have it
}

// Pick chooses. A function runs at the owner of its vertex if that has it, and else here. What this
// worker does not have it cannot run.
func Pick(c Call) Choice {
	switch {
	case !c.HaveIt || c.AtOwner:
		return Owner
	case c.Here || c.Private || c.Missing:
		return Here
	}
	return Owner
}
