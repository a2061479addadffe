package core

import "runtime"

// UseProcessors makes sure that the Go runtime has two processors to run on, as libdcf and dcfnode
// do when they start. With one, as in a process that is bound to one CPU, the runtime takes it away
// from a caller that waits in a socket for longer than 20 us, and wakes another thread for it: each
// call then costs a switch of threads more.
func UseProcessors() {
	if runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2)
	}
}
