package tcp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// advance removes the first n bytes from pieces.
func advance(pieces []unix.Iovec, n int) []unix.Iovec {
	for n > 0 {
		length := int(pieces[0].Len)
		if n < length {
			base := unsafe.Pointer(pieces[0].Base)
			pieces[0].Base = (*byte)(unsafe.Add(base, n))
			pieces[0].SetLen(length - n)
			break
		}
		n -= length
		pieces = pieces[1:]
	}
	return pieces
}
