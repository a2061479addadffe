package shm

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"dcf/core/internal/lane"
	"dcf/core/internal/ring"
	"dcf/core/internal/transport/socket"
	"dcf/core/status"
)

const (
	// memoryBytes is the size of what the ends of a connection share: the dialer's ring, the listener's,
	// and the lanes, on which the dialer calls. The system gives pages to what is used of it only.
	memoryBytes = 2*ring.Bytes + lane.Bytes
	// guardBytes is the size of what lies before and behind it, which nobody may touch: who runs over the
	// memory's end dies of it, and reads nothing.
	guardBytes = 64 << 10
	// seals are what keeps the memory's size as it is: reading beyond the end of a file that became
	// shorter kills a process.
	seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
)

// newMemory makes the memory of a connection and gives its descriptor.
func newMemory() (fd int, err error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err = unix.MemfdCreate("dcf-ring", flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // a system that is older than that flag
		fd, err = unix.MemfdCreate("dcf-ring", flags)
	}
	if err != nil {
		return -1, socket.SystemError("memfd_create", err)
	}
	if err = unix.Ftruncate(fd, memoryBytes); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, socket.SystemError("memfd", err)
	}
	return fd, nil
}

// mapMemory maps the memory of a connection, whoever made it.
func mapMemory(fd int) ([]byte, error) {
	have, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || have&seals != seals {
		return nil, status.Errorf(status.Corrupt, "what it shares is no memory whose size is sealed "+
			"(seals %#x, needed are %#x)", max(have, 0), seals)
	}
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return nil, socket.SystemError("fstat", err)
	}
	if info.Size != memoryBytes {
		return nil, status.Errorf(status.Corrupt, "it shares %d bytes of memory, needed are %d: the "+
			"two programs may be of different versions", info.Size, memoryBytes)
	}
	return mapGuarded(fd)
}

// mapGuarded maps memoryBytes between two guards.
func mapGuarded(fd int) ([]byte, error) {
	const whole = memoryBytes + 2*guardBytes
	start, err := unix.MmapPtr(-1, 0, nil, whole, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, socket.SystemError("mmap", err)
	}
	at := unsafe.Add(start, guardBytes)
	if _, err := unix.MmapPtr(fd, 0, at, memoryBytes, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
		_ = unix.MunmapPtr(start, whole)
		return nil, socket.SystemError("mmap", err)
	}
	return unsafe.Slice((*byte)(at), memoryBytes), nil
}

// unmapMemory ends what mapMemory began.
func unmapMemory(b []byte) {
	start := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), -guardBytes)
	_ = unix.MunmapPtr(start, memoryBytes+2*guardBytes)
}
