// Package failpoint names the instructions between which a process must be able to die: tests have it
// die there. The points are compiled in with the build tag `failpoint` and under the race detector, and cost
// nothing otherwise. The package knows nothing of what is between them.
package failpoint

import "fmt"

// Point is a place in the program, named for what was done last.
type Point uint8

// The points.
const (
	// Connected: a dialer has its socket, and has said nothing.
	Connected Point = iota
	// Greeted: its memory is handed over, and the greeting sent.
	Greeted
	// Written: a message is in its slots, which the consumer does not see.
	Written
	// Published: the consumer sees messages, and is not woken for them.
	Published
	// PieceWritten: a piece is in the queue of bytes, and no message tells of it.
	PieceWritten
	// Found: a message is here, and not taken.
	Found
	// Taken: it is taken, and the producer not told.
	Taken
	// PieceRead: a piece is read, and its room not given back.
	PieceRead
	// Armed: the consumer has said that it sleeps.
	Armed
	// CallWritten: a call is on its lane, which its server does not see.
	CallWritten
	// CallAsked: the server sees it, and is not woken for it.
	CallAsked
	// AnswerTaken: the caller has read the answer, and has not left the lane.
	AnswerTaken
	// Introduced: the peer was told of a segment, and no message refers to it.
	Introduced
	// Lent: a loan is on the books, and no message tells of it.
	Lent
	// Borrowed: a body lies in what the peer lent, and nobody has it.
	Borrowed
	// Unused: nobody uses a loan any more, and the peer was not told.
	Unused
	// Filled: a builder's value is complete, and not put.
	Filled

	count int = iota
)

var names = [count]string{"connected", "greeted", "written", "published", "piece-written", "found", "taken",
	"piece-read", "armed", "call-written", "call-asked", "answer-taken", "introduced", "lent", "borrowed", "unused",
	"filled"}

func (p Point) String() string { return names[p] }

// Parse gives the point of a name.
func Parse(name string) (Point, error) {
	for p, n := range names {
		if n == name {
			return Point(p), nil
		}
	}
	return 0, fmt.Errorf("there is no failpoint %q, but %q", name, names)
}

// All gives all points.
func All() []Point {
	all := make([]Point, count)
	for i := range all {
		all[i] = Point(i)
	}
	return all
}
