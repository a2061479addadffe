package tcp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawBytes is the size up to which a send keeps the scheduler out: it takes some microseconds,
// which is less than telling the scheduler about it is worth.
const rawBytes = 16 << 10

// receiveNow takes what is there, or gives EAGAIN.
func receiveNow(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// receiveSlice waits for the socket's receive time-out, transport.Slice, at most. One call that
// sleeps is some microseconds faster than poll and receive.
func receiveSlice(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	return int(n), errno
}

// receiveBulk takes what is there without keeping the scheduler out: much may be copied.
func receiveBulk(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// sendNow hands over as much as the socket takes, or gives EAGAIN.
func sendNow(fd int, b []byte) (int, unix.Errno) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	p := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	if len(b) <= rawBytes {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), p, uintptr(len(b)), flags, 0, 0)
		return int(n), errno
	}
	n, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), p, uintptr(len(b)), flags, 0, 0)
	return int(n), errno
}

// sendVector hands over as much of several pieces as the socket takes. With wait it sleeps while
// the socket takes nothing, for its send time-out at most.
func sendVector(fd int, pieces []unix.Iovec, wait bool) (int, unix.Errno) {
	message := unix.Msghdr{Iov: unsafe.SliceData(pieces)}
	message.SetIovlen(len(pieces))
	flags := unix.MSG_NOSIGNAL
	if !wait {
		flags |= unix.MSG_DONTWAIT
	}
	n, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&message)), uintptr(flags))
	return int(n), errno
}

func vector(pieces []unix.Iovec, b []byte) []unix.Iovec {
	piece := unix.Iovec{Base: unsafe.SliceData(b)}
	piece.SetLen(len(b))
	return append(pieces, piece)
}
