package core

// growStack makes the stack large enough for an operation of another worker, in one step. A thread of C enters Go on a
// small stack, which else doubles two or three times while deeper and deeper calls are on it to be moved: of the first
// get of a process that was a third.
func growStack()
