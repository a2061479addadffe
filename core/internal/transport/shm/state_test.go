package shm

import (
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"dcf/core/internal/clock"
	"dcf/core/internal/processor"
	"dcf/core/internal/ring"
	"dcf/core/internal/transport"
	"dcf/core/status"
	"dcf/udf"
)

// Frames of a connection in use cost no allocation.
func TestSmallFramesDoNotAllocate(t *testing.T) {
	near, far := connected(t, New())
	frame := callFrame()
	var in transport.Inbound
	defer in.Clear()
	require.Zero(t, testing.AllocsPerRun(2000, func() {
		if _, _, err := near.Send(frame); err != nil {
			t.Fatal(err)
		}
		if err := near.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := far.Next(0); err != nil {
			t.Fatal(err)
		}
		if err := far.Take(&in); err != nil {
			t.Fatal(err)
		}
	}))
}

// A receiver that polled counts so, and polling becomes rare where it does not help.
func TestSpin(t *testing.T) {
	near, far := connected(t, New())
	far.SetSpin(patience)
	received := make(chan error)
	for spun := uint64(0); spun == 0; spun = far.Counters().Spun {
		go func() { _, err := await(far); received <- err }()
		_, _, err := near.Send(setFrame(udf.Value{Bytes: []byte("value")}))
		require.NoError(t, err)
		require.NoError(t, near.Flush())
		require.NoError(t, <-received)
		far.Skip()
	}
	require.Zero(t, far.Counters().Slept)
	far.SetSpin(time.Microsecond)
	for range 100 {
		_, err := far.Next(time.Microsecond)
		require.ErrorIs(t, err, transport.ErrAgain)
	}
	require.Equal(t, uint64(1), far.Counters().Spun)
	require.Equal(t, uint64(100), far.Counters().Slept)
}

// A group that sleeps on the words of its connections wakes when one is added, and when it is closed.
func TestChangeOfASleepingGroup(t *testing.T) {
	tr := New()
	_, far := connected(t, tr)
	_, another := connected(t, tr)
	g := far.Group().(*group)
	require.NoError(t, g.Add(far, "first"))
	asleep := func() bool { return atomic.LoadUint32(far.inbox.ring.Word()) == ring.Armed }
	for _, change := range []func(){
		func() { require.NoError(t, g.Add(another, "second")) },
		g.Close,
	} {
		far.inbox.ring.Arm()
		require.True(t, asleep())
		change()
		require.False(t, asleep())
	}
}

// After polling in vain a group leaves the processor on which it was woken, where it has another one, and not at once again.
func TestGroupPartsFromItsCaller(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	near, far := connected(t, New())
	g := far.Group().(*group)
	require.NoError(t, g.Add(far, "it"))
	g.take()
	g.part()
	require.Zero(t, g.parted, "nobody woke it")
	far.inbox.ring.Arm()
	near.caller.Wake()
	require.GreaterOrEqual(t, far.server.Waker(), 0)
	var allowed unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &allowed))
	for range 100 { // the system may move this thread between, too
		woken := processor.Current()
		if far.inbox.ring.Arm(); woken != far.server.Waker() {
			near.caller.Wake()
			continue
		}
		if g.part(); g.parted == 0 {
			continue
		}
		at := g.parted
		if allowed.Count() > 1 && processor.Current() == woken {
			g.parted = 0
			continue
		}
		g.part()
		require.Equal(t, at, g.parted)
		return
	}
	t.Fatal("it never parted")
}

// Whatever a receiver does when the process at the other end dies, it learns of it.
func TestDeathOfTheOtherProcess(t *testing.T) {
	for name, state := range map[string]func(c *conn) error{
		"spinning": func(c *conn) error {
			c.SetSpin(time.Hour)
			_, err := await(c)
			return err
		},
		"asleep": func(c *conn) error { _, err := await(c); return err },
		"parked": func(c *conn) error {
			if err := c.Park(); err != nil {
				return err
			}
			_, err := await(c)
			return err
		},
		"short of room": func(c *conn) error {
			for c.Queued() <= transport.MaxQueuedBytes {
				if _, _, err := c.Send(setFrame(udf.Value{Bytes: make([]byte, 8<<20)})); err != nil {
					return err
				}
			}
			return c.WaitRoom(soon())
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, child := dialProcess(t, copying(), "silent")
			ended := make(chan error, 1)
			go func() { ended <- state(c) }()
			time.AfterFunc(20*time.Millisecond, func() { _ = child.Signal(syscall.SIGKILL) })
			require.ErrorIs(t, <-ended, status.Unavailable)
		})
	}
}

// A process that is stopped takes nothing: the sender waits for room as long as it is told, and goes on
// when the process does.
func TestStoppedProcess(t *testing.T) {
	c, child := dialProcess(t, copying(), "echo")
	require.NoError(t, child.Signal(syscall.SIGSTOP))
	sent := 0
	for c.Queued() <= transport.MaxQueuedBytes/2 {
		_, _, err := c.Send(setFrame(udf.Value{Bytes: make([]byte, 8<<20)}))
		require.NoError(t, err)
		sent++
	}
	require.ErrorIs(t, c.WaitRoom(clock.After(time.Millisecond)), status.Timeout)
	require.NoError(t, child.Signal(syscall.SIGCONT))
	require.NoError(t, c.WaitRoom(soon()))
	for range sent {
		_, err := await(c)
		require.NoError(t, err)
		c.Skip()
	}
}

// One that is stopped for long is cut.
func TestStalledProcessIsCut(t *testing.T) {
	tr := copying()
	tr.StallAfter = 100 * time.Millisecond
	c, child := dialProcess(t, tr, "echo")
	require.NoError(t, child.Signal(syscall.SIGSTOP))
	_, _, err := c.Send(setFrame(udf.Value{Bytes: make([]byte, 64<<20)}))
	require.NoError(t, err)
	_, err = await(c)
	require.ErrorIs(t, err, status.Unavailable)
	require.ErrorContains(t, err, "took nothing")
	require.Zero(t, c.Queued())
}

// An idle connection has next to no memory.
func TestIdleConnectionIsSmall(t *testing.T) {
	near, far := connected(t, New())
	_, _, err := near.Send(callFrame())
	require.NoError(t, err)
	require.NoError(t, near.Flush())
	_, err = await(far)
	require.NoError(t, err)
	far.Skip()
	require.LessOrEqual(t, residentPages(t, near), 4*os.Getpagesize())
}

// copying gives a transport that lends nothing.
func copying() *Transport {
	tr := New()
	tr.maxLoans = 0
	return tr
}
