package shm

import (
	"bytes"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"dcf/core/internal/transport/socket"
	"dcf/core/status"
)

// A dialer sends its greeting with the descriptor of the memory, and goes on. Whether it wants loans it says in the
// same message, right behind. A listener says something only where it refuses, and then closes the socket.
// All else that passes through it is said in ears.go.

const (
	magic = "dcf-shm\n"
	// layout is the version of the greeting and of the memory's layout.
	layout        = 3
	greetingBytes = len(magic) + 8
)

func greeting() []byte {
	return binary.LittleEndian.AppendUint64([]byte(magic), layout)
}

// greet hands the memory over, and says whether loans are welcome.
func greet(fd, memory int, loans bool) error {
	words := greeting()
	if !loans {
		words = append(words, noLoans)
	}
	err := unix.Sendmsg(fd, words, unix.UnixRights(memory), nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	if err != nil {
		return status.Errorf(status.Unavailable, "the connection broke at once: %w", err)
	}
	return nil
}

// greeted takes the memory that a dialer hands over, when something is here to be received. Where the dialer
// is gone that is status.Aborted: status.Unavailable is what Accept gives when the listener is closed.
func greeted(fd int) (memory int, err error) {
	b, control := make([]byte, greetingBytes), make([]byte, unix.CmsgSpace(4))
	n, controlBytes, flags, _, err := unix.Recvmsg(fd, b, control, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, status.Errorf(status.Aborted, "the dialer was gone at once: %w", err)
	}
	descriptors, err := rights(control[:controlBytes])
	if err == nil {
		err = checkGreeting(b[:n], len(descriptors), flags&unix.MSG_CTRUNC != 0)
	}
	if err != nil {
		for _, fd := range descriptors {
			_ = unix.Close(fd)
		}
		return -1, err
	}
	return descriptors[0], nil
}

// rights gives the descriptors that came with a message.
func rights(control []byte) (descriptors []int, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
	for i := range messages {
		some, failure := unix.ParseUnixRights(&messages[i])
		descriptors, err = append(descriptors, some...), errors.Join(err, failure)
	}
	if err != nil {
		err = status.Errorf(status.Corrupt, "descriptors that came cannot be read: %w", err)
	}
	return descriptors, err
}

func checkGreeting(b []byte, descriptors int, cut bool) error {
	switch {
	case len(b) == 0:
		return status.Errorf(status.Aborted, "the dialer was gone at once")
	case len(b) < greetingBytes || !bytes.HasPrefix(b, []byte(magic)):
		return status.Errorf(status.Corrupt, "this is not a dcf peer: it begins with %q", b)
	}
	if version := binary.LittleEndian.Uint64(b[len(magic):]); version != layout {
		return status.Errorf(status.Unsupported, "it shares memory in layout %d, this process in layout "+
			"%d: use programs of one version, or a unix:// or tcp:// address", version, layout)
	}
	switch {
	case descriptors == 0 && cut:
		return status.Errorf(status.Exhausted, "there is no descriptor left for the memory that it "+
			"shares: allow more (ulimit -n)")
	case descriptors != 1 || cut:
		return status.Errorf(status.Corrupt, "the greeting comes with %d descriptors, not with one",
			descriptors)
	}
	return nil
}

// refuse tells a dialer why there will be no connection, if it can be told.
func refuse(fd int, reason error) {
	text := string(refusal) + status.From(reason).Message
	_, _ = unix.SendmsgN(fd, []byte(text[:min(len(text), maxRefusalBytes)]), nil, nil,
		unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
}

// refusalIn gives the refusal of a listener that a dialer has no connection to yet, or nil.
func refusalIn(fd int, peer string) *status.Error {
	var b [maxRefusalBytes]byte
	n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_DONTWAIT)
	if err != nil {
		return nil
	}
	_, words, refused := bytes.Cut(b[:n], []byte{refusal})
	if !refused {
		return nil
	}
	return errRefused(peer, words)
}

func errRefused(peer string, words []byte) *status.Error {
	return status.Errorf(status.Unavailable, "%s refused: %s", peer, bytes.ToValidUTF8(words, []byte("?")))
}

// wake makes the socket of a peer that sleeps on it readable. A socket that takes nothing is.
func wake(s *socket.State) {
	if s.Enter() {
		b := [1]byte{wakeUp}
		_ = unix.Send(s.FD, b[:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		s.Leave()
	}
}
