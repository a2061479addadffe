package tcp

import (
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"dcf/core/internal/transport/socket"
	"dcf/core/status"
)

const (
	schemeTCP  = "tcp"
	schemeUnix = "unix"
)

// endpoint is a parsed address.
type endpoint struct {
	text   string // as it was given
	family int
	path   string // unix
	tcp    netip.AddrPort
}

// parse reads an address and resolves its host.
func parse(address string) (endpoint, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	switch {
	case !ok:
	case scheme == schemeUnix:
		if !strings.HasPrefix(rest, "/") || len(rest) > socket.MaxPathBytes {
			return endpoint{}, status.Errorf(status.InvalidArgument,
				"the address %q needs an absolute path of at most %d bytes", address, socket.MaxPathBytes)
		}
		return endpoint{text: address, family: unix.AF_UNIX, path: rest}, nil
	case scheme == schemeTCP:
		resolved, err := net.ResolveTCPAddr("tcp", rest)
		if err != nil || resolved.IP == nil {
			return endpoint{}, status.Errorf(status.InvalidArgument,
				"the address %q does not resolve to tcp://host:port: %v", address, err)
		}
		at := resolved.AddrPort()
		at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
		family := unix.AF_INET6
		if at.Addr().Is4() {
			family = unix.AF_INET
		}
		return endpoint{text: address, family: family, tcp: at}, nil
	}
	return endpoint{}, status.Errorf(status.InvalidArgument,
		"the address %q is neither tcp://host:port nor unix:///path", address)
}

func (e *endpoint) loopback() bool {
	return e.family == unix.AF_UNIX || e.tcp.Addr().IsLoopback()
}

func (e *endpoint) sockaddr() unix.Sockaddr {
	switch e.family {
	case unix.AF_UNIX:
		return &unix.SockaddrUnix{Name: e.path}
	case unix.AF_INET:
		return &unix.SockaddrInet4{Port: int(e.tcp.Port()), Addr: e.tcp.Addr().As4()}
	default:
		return &unix.SockaddrInet6{Port: int(e.tcp.Port()), Addr: e.tcp.Addr().As16(),
			ZoneId: zone(e.tcp.Addr().Zone())}
	}
}

func zone(name string) uint32 {
	if name == "" {
		return 0
	}
	device, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return uint32(device.Index)
}

// name gives the address of a socket as Dial takes it.
func name(address unix.Sockaddr) string {
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		at := netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
		return schemeTCP + "://" + at.String()
	case *unix.SockaddrInet6:
		at := netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
		return schemeTCP + "://" + at.String()
	case *unix.SockaddrUnix:
		return schemeUnix + "://" + a.Name
	default:
		return "an unknown address"
	}
}
