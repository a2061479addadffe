package shm

import (
	"strings"

	"golang.org/x/sys/unix"

	"dcf/core/internal/transport/socket"
	"dcf/core/status"
)

const scheme = "shm"

// parse gives the socket that an address means.
func parse(address string) (unix.Sockaddr, error) {
	name, ok := strings.CutPrefix(address, scheme+"://")
	if !ok || len(name) < 2 || len(name) > socket.MaxPathBytes || name[0] != '/' && name[0] != '@' ||
		strings.IndexByte(name, 0) >= 0 {
		return nil, status.Errorf(status.InvalidArgument, "the address %q is neither shm:///path nor "+
			"shm://@name with at most %d bytes", address, socket.MaxPathBytes)
	}
	return &unix.SockaddrUnix{Name: name}, nil // x/sys takes '@' for an abstract name
}
