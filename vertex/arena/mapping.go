package arena

import (
	"errors"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"dcf/core/status"
)

// Mapping is a segment of another process, mapped to be read, between pages that nobody can touch.
// It is unmapped when the last reference is released. All methods are safe for concurrent use.
type Mapping struct {
	refs  atomic.Int64
	bytes []byte
}

// Map maps the segment behind a descriptor, which stays the caller's and may be closed afterwards.
// It is read-only whatever the descriptor allows, and has one reference, which the caller releases.
//
// The other process may be hostile, so what would make reading it dangerous is refused: it fails
// with status.InvalidArgument if this is no file in memory that is sealed against shrinking and
// growing, or one of more than limit bytes, where 0 means MaxSegmentBytes; with status.Exhausted if
// addresses are out. What is in it the other process may change at any time.
func Map(fd int, limit int64) (*Mapping, error) {
	size, err := checkSegment(fd, limit)
	if err != nil {
		return nil, err
	}
	page := uintptr(unix.Getpagesize())
	whole, err := unix.MmapPtr(-1, 0, nil, uintptr(size)+2*page, unix.PROT_NONE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, errMap(err)
	}
	at, err := unix.MmapPtr(fd, 0, unsafe.Add(whole, page), uintptr(size), unix.PROT_READ,
		unix.MAP_SHARED|unix.MAP_FIXED)
	if err != nil {
		_ = unix.MunmapPtr(whole, uintptr(size)+2*page)
		return nil, errMap(err)
	}
	m := &Mapping{bytes: unsafe.Slice((*byte)(at), size)}
	m.refs.Store(1)
	return m, nil
}

// tmpfs is the type of the file system that files in memory belong to; those of huge pages have
// another one, and reading what they have no page for may end the process.
const tmpfs = unix.TMPFS_MAGIC

// checkSegment gives the size of a segment that may be mapped.
func checkSegment(fd int, limit int64) (int64, error) {
	if limit <= 0 || limit > MaxSegmentBytes {
		limit = MaxSegmentBytes
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	var system unix.Statfs_t
	var file unix.Stat_t
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || got&seals != seals {
		return 0, status.Errorf(status.InvalidArgument,
			"the descriptor of a segment is no file in memory that is sealed against shrinking and "+
				"growing: whoever sent it is at fault")
	}
	if err := errors.Join(unix.Fstatfs(fd, &system), unix.Fstat(fd, &file)); err != nil {
		return 0, errMap(err)
	}
	switch {
	case system.Type != tmpfs:
		return 0, status.Errorf(status.InvalidArgument,
			"a segment lies in a file system of type %#x, it must be memory: whoever sent it is at fault",
			system.Type)
	case file.Size <= 0 || file.Size > limit || file.Size%int64(unix.Getpagesize()) != 0:
		return 0, status.Errorf(status.InvalidArgument, "a segment has %d bytes, and may have whole "+
			"pages up to %d: whoever sent it is at fault", file.Size, limit)
	}
	return file.Size, nil
}

func errMap(err error) *status.Error {
	var errno syscall.Errno
	errors.As(err, &errno)
	return osError(status.Exhausted, errno, "a segment of another process cannot be mapped")
}

// Bytes gives the memory, to be read only, valid while the mapping is retained.
func (m *Mapping) Bytes() []byte { return m.bytes }

// Retain adds a reference and gives the mapping back.
func (m *Mapping) Retain() *Mapping {
	m.refs.Add(1)
	return m
}

// Release drops a reference and unmaps the segment with the last.
func (m *Mapping) Release() {
	if m.refs.Add(-1) > 0 {
		return
	}
	page := unix.Getpagesize()
	start := unsafe.Add(unsafe.Pointer(unsafe.SliceData(m.bytes)), -page)
	_ = unix.MunmapPtr(start, uintptr(len(m.bytes)+2*page))
}
