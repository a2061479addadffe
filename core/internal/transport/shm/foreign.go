package shm

import (
	"sync"

	"golang.org/x/sys/unix"

	"dcf/core/internal/transport/socket"
	"dcf/core/status"
	"dcf/vertex/arena"
)

// foreign is a segment of another process. It is mapped once in this process, over however many
// connections it comes, as long as anybody retains it.
type foreign struct {
	file    file
	mapping *arena.Mapping
	refs    int // under mapped.mu
}

// file is what makes a file in memory the same one.
type file struct{ device, number uint64 }

// mapped has all foreign segments.
var mapped struct {
	mu    sync.Mutex
	all   map[file]*foreign
	bytes int64
}

// mapForeign gives the segment behind a descriptor that a peer sent, with a reference of the caller's.
func mapForeign(fd int) (*foreign, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	var info unix.Stat_t
	if err == nil {
		err = unix.Fstat(fd, &info)
	}
	if err != nil {
		return nil, socket.SystemError("the descriptor of a segment", err)
	}
	if flags&unix.O_ACCMODE != unix.O_RDONLY {
		return nil, status.Errorf(status.Corrupt, "the descriptor of a segment allows to write: whoever "+
			"sent it is at fault")
	}
	mapped.mu.Lock()
	defer mapped.mu.Unlock()
	id := file{info.Dev, info.Ino}
	f := mapped.all[id]
	if f == nil {
		if info.Size > maxMappedBytes-mapped.bytes {
			return nil, status.Errorf(status.Exhausted, "the segments of other processes take %d bytes "+
				"of addresses already, and one more would have %d (maxMappedBytes)", mapped.bytes, info.Size)
		}
		mapping, err := arena.Map(fd, 0)
		if err != nil {
			e := *status.From(err)
			if e.Code == status.InvalidArgument { // it is the peer's fault, not the caller's
				e.Code = status.Corrupt
			}
			return nil, &e
		}
		f = &foreign{file: id, mapping: mapping}
		if mapped.all == nil {
			mapped.all = map[file]*foreign{}
		}
		mapped.all[id] = f
		mapped.bytes += int64(len(mapping.Bytes()))
	}
	f.refs++
	return f, nil
}

func (f *foreign) retain() {
	mapped.mu.Lock()
	f.refs++
	mapped.mu.Unlock()
}

// release drops a reference, and unmaps the segment with the last.
func (f *foreign) release() {
	mapped.mu.Lock()
	f.refs--
	last := f.refs == 0
	if last {
		delete(mapped.all, f.file)
		mapped.bytes -= int64(len(f.mapping.Bytes()))
	}
	mapped.mu.Unlock()
	if last {
		f.mapping.Release()
	}
}
