package floors

/*
#include "ring.h"
*/
import "C"

import "fmt"

// ServeRing starts to answer one client of the bare ring, for the rest of the process's life, and
// gives the path by which that client, in another process of the same user, opens its memory.
func ServeRing(pid int) (string, error) {
	fd, err := C.ring_serve()
	if fd < 0 {
		return "", fmt.Errorf("floors: a bare ring: %w", err)
	}
	return fmt.Sprintf("/proc/%d/fd/%d", pid, int(fd)), nil
}
