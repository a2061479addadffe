// Package once makes updates happen exactly once, although requests and replies get lost, are
// sent again and overtake each other. Window is the owner's side: what it applied, and with what
// outcome. Sequences is the caller's side: which updates are under way.
//
// Both are pure state machines without clocks, goroutines, locks or I/O. Whoever drives one calls
// it under a lock of its own:
//
//	action, released := window.Step(&once.Event[*outcome]{Kind: once.Begin, Caller: caller,
//		Sequence: 7, Floor: 5, Path: target.Path, Vertex: target.ID}, nil)
//	switch action.Verdict {
//	case once.Run:    // calculate, then Step an End (or an Abort) with action.Ticket
//	case once.Wait:   // the same update runs now: answer when the End of action.Ticket comes
//	case once.Replay: // answer with action.Outcome, run nothing
//	case once.Refuse: // answer action.Err: nothing was applied
//	}
//	// After the lock: release each of released.
//
// The package never runs, waits, releases or sends anything itself.
package once

import (
	"dcf/core/status"
	"dcf/vertex"
	"dcf/wire"
)

// Kind says what an Event reports.
type Kind uint8

// The kinds of events. The fields of Event that each uses stand beside it.
const (
	// Begin asks whether an update may run: Caller, Sequence, Floor, Path, Vertex. The answer is
	// Run, Wait, Replay or Refuse.
	Begin Kind = iota + 1
	// End reports what an update came to, under the lock that publishes its effects and before
	// they are: Ticket, Outcome, Bytes. The answer is Recorded, or Refuse where the outcome is too
	// large: then the effects must not be published, and the update ends with an Abort.
	End
	// Abort reports that an update failed and applied nothing: Ticket, Err. The failure is
	// remembered like a success. Were it forgotten, a duplicate still under way would run after
	// the caller was told that nothing was applied.
	Abort
	// Raise reports how far a caller is: Caller, Floor. What lies below is forgotten. Begin does
	// the same, so this is for a caller that has nothing to send for a while.
	Raise
	// Dead reports that an incarnation is gone for good: Caller. All of it is forgotten, and
	// nothing runs for it any more.
	Dead
)

// Event is one input of a Window.
type Event[T any] struct {
	Kind     Kind
	Caller   wire.Identity // who started the tree of calls
	Sequence uint64        // of the root call at its caller, from 1
	Floor    uint64        // all sequences of the caller below it are finished; 0: not known
	Path     []uint32      // where in the tree the update hangs; borrowed for the step
	Vertex   vertex.ID
	Ticket   Ticket        // of the update that ends, as Run gave it
	Outcome  T             // what a duplicate gets; the window takes it over unless it refuses
	Bytes    int64         // the memory that Outcome holds
	Err      *status.Error // what a duplicate of a failed update gets; nil: a general message
}

// Ticket names one running update, never the same twice. The zero Ticket names none.
type Ticket uint64

// Verdict is a window's answer.
type Verdict uint8

// The verdicts.
const (
	// Noted answers Abort, Raise and Dead.
	Noted Verdict = iota + 1
	// Run says that the update is new: run it, and report End or Abort with Ticket.
	Run
	// Wait says that the very same update is running under Ticket: the duplicate shares its end,
	// whether that is an outcome or a failure.
	Wait
	// Replay says that the update was applied before: Outcome is what it came to, borrowed until
	// the next step, so take a reference before the lock is given up.
	Replay
	// Recorded says that the outcome is kept and the effects are to be published now.
	Recorded
	// Refuse says that nothing may run or be published: Err is why. That nothing was applied is
	// final, but where Undecided is set: then nothing is remembered, and a caller that sent the
	// update more than once must count its effects as unknown, for another copy may yet find room.
	Refuse
)

// Action is one output of a Window.
type Action[T any] struct {
	Verdict Verdict
	Ticket  Ticket        // Run, Wait: the update that runs
	Outcome T             // Replay
	Err     *status.Error // Refuse; the receiver's own
	Waited  bool          // after End and Abort: duplicates were told to wait for this ticket

	Undecided bool // Refuse
}
